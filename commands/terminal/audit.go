package terminal

import (
	"context"
	"errors"
	"fmt"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// VerifyAudit walks the fleet's audit, computes its chain and prints what it counted. Heads are such as the board room was told.
// A chain that does not hold is said in one sentence, and Refused.
func VerifyAudit(ctx context.Context, options Options, heads ...string) int {
	audited, err := options.API.VerifyAudit(ctx, register.By{Actor: options.Actor}, heads...)
	var broken *register.ChainBroken
	switch {
	case errors.As(err, &broken):
		fmt.Fprintln(options.Err, "BROKEN:", broken.Detail)
		return Refused
	case err != nil && register.CodeOf(err) == register.ProblemCodeInvalid:
		fmt.Fprintln(options.Err, err)
		return Misread
	case err != nil:
		fmt.Fprintln(options.Err, "The audit could not be read to its end, so nothing is known of it:", err)
		return Unanswered
	}
	fmt.Fprintf(options.Out, "The chain holds: %d entries under %d seals, %d not sealed yet.\n", audited.Entries, audited.Seals, audited.Unsealed)
	if audited.Head != "" {
		fmt.Fprintf(options.Out, "Head: %s\n", audited.Head)
	}
	if len(heads) == 0 {
		fmt.Fprintln(options.Out, "Whether its end was cut off only a head can show that was kept elsewhere: give one with --head, such as the board room was told.")
	}
	return Done
}
