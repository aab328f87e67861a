package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/work"
)

type workCommand struct {
	Client    client        `embed:""`
	Role      string        `help:"The role to claim for." required:"" env:"MOSAIC_WORK_ROLE" config:"work.role"`
	Name      string        `help:"The agent's name, <role>-<n>." env:"MOSAIC_WORK_NAME" config:"work.name"`
	Directory string        `help:"Where each run keeps its folder." default:"runs" type:"path" env:"MOSAIC_WORK_DIRECTORY" config:"work.directory"`
	TTL       time.Duration `help:"How long a claim lives without a heartbeat." default:"900s" env:"MOSAIC_WORK_TTL" config:"work.ttl"`
	Once      bool          `help:"Claim at most one dispatch, then exit (3 if none was ready)."`
	Command   []string      `arg:"" help:"The command that runs a brief; it gets the brief on standard input." passthrough:""`
}

func (c *workCommand) Run(ctx context.Context) error {
	api, err := c.Client.api()
	if err != nil {
		return err
	}
	command := c.Command
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	host, _ := os.Hostname()
	worker, err := work.New(work.Options{
		API: api, Role: c.Role, Worker: c.Name, Host: host, Command: command, Directory: c.Directory, TTL: c.TTL, Once: c.Once,
	})
	if err != nil {
		return err
	}
	err = worker.Run(ctx)
	if errors.Is(err, work.ErrNothingReady) {
		fmt.Fprintln(os.Stderr, "mosaic-matrix:", err)
		return exitCode(3)
	}
	return err
}
