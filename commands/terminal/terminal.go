// Package terminal carries out the same commands on a TTY as the bot does in a room: operations never depend on chat being up.
package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// Exit codes of a command.
const (
	Done       = 0 // carried out, or accepted and waiting
	Refused    = 1 // understood and not done; nothing was changed
	Misread    = 2 // not understood; nothing was sent
	Unanswered = 4 // no answer; it is not known whether it was carried out
)

// Options are what a terminal needs; API, Out and Err are required.
type Options struct {
	API *register.API
	// Actor is set where the token may act for others; empty is the token's own identity.
	Actor string
	Zone  *time.Location
	Out   io.Writer
	Err   io.Writer
	JSON  bool
	// Key makes a repeated command the same command; empty makes a new one.
	Key string
	// Patience is how long an unreachable gateway is asked again; default 10 s.
	Patience time.Duration
}

// Exec carries out one command given as words and returns its exit code.
func Exec(ctx context.Context, options Options, words []string) int {
	return carryOut(ctx, options, commands.Asked{Words: words})
}

// carryOut understands one command, runs it, prints the reply and returns the exit code.
func carryOut(ctx context.Context, options Options, asked commands.Asked) int {
	asked.At, asked.Zone, asked.Origin = time.Now(), options.Zone, register.Origin{Transport: register.OriginTransportTty}
	call, err := commands.Prepare(asked)
	if err != nil {
		fmt.Fprintln(options.Err, err)
		return Misread
	}
	by := register.By{Actor: options.Actor, Key: options.Key}
	if by.Key == "" {
		by.Key = "tty-" + uuid.NewString()
	}
	reply, err := insist(ctx, options, by, call)
	if err != nil {
		return explain(options, by, call, err)
	}
	if options.JSON {
		fmt.Fprintln(options.Out, commands.JSON(reply))
	} else {
		fmt.Fprintln(options.Out, commands.Plain(reply.Markdown))
	}
	if reply.Mood == commands.MoodRefused {
		return Refused
	}
	return Done
}

// insist asks again with the same key and bytes while the gateway gives no answer that stands.
func insist(ctx context.Context, options Options, by register.By, call commands.Call) (commands.Reply, error) {
	patience := options.Patience
	if patience == 0 {
		patience = 10 * time.Second
	}
	until := time.Now().Add(patience)
	for told := false; ; {
		reply, err := commands.Run(ctx, options.API, by, call)
		if err == nil || !register.Retryable(err) || ctx.Err() != nil || !time.Now().Before(until) {
			return reply, err
		}
		if !told {
			fmt.Fprintf(options.Err, "No answer from the gateway at %s; asking again for %s.\n", options.API.Base(), patience)
			told = true
		}
		select {
		case <-ctx.Done():
			return reply, err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// explain says what an error means for the command.
func explain(options Options, by register.By, call commands.Call, err error) int {
	var failure *register.Error
	if !errors.As(err, &failure) || !failure.Retry() {
		fmt.Fprintln(options.Err, err)
		return Refused
	}
	fmt.Fprintln(options.Err, failure)
	switch {
	case failure.Code == register.ProblemCodeUnauthorized:
		fmt.Fprintln(options.Err, "Nothing was changed. Set MOSAIC_GATEWAY_TOKEN to a token the gateway knows.")
		return Refused
	case call.Mutation == nil:
		fmt.Fprintln(options.Err, "Nothing was changed: this command only reads.")
		return Unanswered
	}
	fmt.Fprintf(options.Err, "It is not known whether it was carried out. Repeat it with --key %s: it then happens at most once.\n", by.Key)
	return Unanswered
}
