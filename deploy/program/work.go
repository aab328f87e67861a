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
	Runtime   string        `help:"What runs the briefs, such as claude-code; shown to people." env:"MOSAIC_WORK_RUNTIME" config:"work.runtime"`
	Ceiling   string        `help:"The highest model this worker may run; without it any." env:"MOSAIC_WORK_MODEL_CEILING" config:"work.model_ceiling" name:"model-ceiling" placeholder:"MODEL"`
	Logins    []string      `help:"The subscriptions this host is logged in to, such as claude,claude/team-a; without them every one." env:"MOSAIC_WORK_SUBSCRIPTIONS" config:"work.subscriptions" name:"subscriptions" placeholder:"SUBSCRIPTION"`
	Settings  []string      `help:"What runs on a subscription get in their environment, SUBSCRIPTION:NAME=VALUE, such as claude/team-a:CLAUDE_CONFIG_DIR=/home/agent/.claude-team-a." env:"MOSAIC_WORK_ENVIRONMENT" config:"work.environment" name:"environment" placeholder:"ENTRY"`
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
	environment, err := work.ParseEnvironment(c.Settings)
	if err != nil {
		return err
	}
	host, _ := os.Hostname()
	worker, err := work.New(work.Options{
		API: api, Role: c.Role, Worker: c.Name, Host: host, Command: command, Directory: c.Directory, TTL: c.TTL, Once: c.Once,
		Runtime: c.Runtime, ModelCeiling: c.Ceiling, Subscriptions: c.Logins, Environment: environment,
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
