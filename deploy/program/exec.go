package program

import (
	"context"
	"os"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/terminal"
)

type execCommand struct {
	Client client   `embed:""`
	JSON   bool     `help:"Print the typed result." name:"json"`
	Key    string   `help:"Repeat the command that had no answer, under the key it was told: it happens at most once." placeholder:"KEY"`
	Words  []string `arg:"" optional:"" passthrough:"" help:"The command, such as: budget status"`
}

func (c *execCommand) Run(ctx context.Context, program *program) error {
	api, err := c.Client.api()
	if err != nil {
		return err
	}
	zone, err := program.zone()
	if err != nil {
		return err
	}
	return exitFrom(terminal.Exec(ctx, terminal.Options{API: api, Zone: zone, Out: os.Stdout, Err: os.Stderr, JSON: c.JSON, Key: c.Key}, c.Words))
}

// exitFrom turns how a command ended into an exit code.
func exitFrom(code int) error {
	if code == 0 {
		return nil
	}
	return exitCode(code)
}
