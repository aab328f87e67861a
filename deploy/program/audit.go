package program

import (
	"context"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/terminal"
)

type auditCommand struct {
	Verify auditVerifyCommand `cmd:"" help:"Read the whole audit, compute its chain, and say where it breaks (1 if it does)."`
}

type auditVerifyCommand struct {
	Client client   `embed:""`
	Head   []string `help:"A head that was kept elsewhere, such as 41:5f70…; the chain has to go through it. May be given more than once." placeholder:"POSITION:HASH"`
}

func (c *auditVerifyCommand) Run(ctx context.Context, program *program) error {
	options, err := c.Client.terminal(program)
	if err != nil {
		return err
	}
	return exitFrom(terminal.VerifyAudit(ctx, options, c.Head...))
}
