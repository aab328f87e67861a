package program

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/collect"
)

type collectCommand struct {
	ClaudeCode collectClaudeCode `cmd:"" name:"claude-code" help:"Follow Claude Code's session logs; with --status-line, read its status line from standard input."`
	Codex      collectCodex      `cmd:"" help:"Follow the Codex CLI's session logs, and what they say of its windows."`
}

// collectFlags are what every collector takes.
type collectFlags struct {
	Client       client `embed:""`
	Provider     string `help:"Whose windows the tool draws on; without it the tool's own provider." placeholder:"P"`
	Subscription string `help:"Which subscription it is logged in to; without it the provider's own name." placeholder:"S"`
	Runs         string `help:"Where work on this host keeps its runs' folders, so that their use is told apart." type:"path" placeholder:"DIRECTORY"`
	State        string `help:"The file that remembers what was read and posted; without it one in the user's state directory." type:"path" placeholder:"FILE"`
	Since        string `help:"From when use counts the first time, such as 2026-11-25T09:00:00Z; without it from now on." placeholder:"T"`
	CacheReads   bool   `help:"Also count what was read from the provider's prompt cache."`
	Once         bool   `help:"Look once, then exit."`
}

type collectClaudeCode struct {
	collectFlags `embed:""`
	Directory    string `help:"Where Claude Code keeps its files; without it CLAUDE_CONFIG_DIR, or ~/.claude." type:"path" placeholder:"DIRECTORY"`
	StatusLine   bool   `help:"Read one status line from standard input, print its windows and post them." name:"status-line"`
}

func (c *collectClaudeCode) Run(ctx context.Context) error {
	tool := collect.ClaudeCode()
	if !c.StatusLine {
		return c.follow(ctx, tool, logsIn("projects", c.Directory, "CLAUDE_CONFIG_DIR", ".claude"))
	}
	api, _ := c.Client.api() // without a token, as in a run, the follower posts it
	state, err := c.state(tool)
	if err != nil {
		return err
	}
	provider := cmp.Or(c.Provider, tool.Provider)
	return collect.StatusLine{
		API: api, Provider: provider, Subscription: cmp.Or(c.Subscription, provider), State: state, In: os.Stdin, Out: os.Stdout,
	}.Run(ctx)
}

type collectCodex struct {
	collectFlags `embed:""`
	Directory    string `help:"Where Codex keeps its files; without it CODEX_HOME, or ~/.codex." type:"path" placeholder:"DIRECTORY"`
}

func (c *collectCodex) Run(ctx context.Context) error {
	return c.follow(ctx, collect.Codex(), logsIn("sessions", c.Directory, "CODEX_HOME", ".codex"))
}

func (c *collectFlags) follow(ctx context.Context, tool collect.Tool, directory string) error {
	api, err := c.Client.api()
	if err != nil {
		return err
	}
	state, err := c.state(tool)
	if err != nil {
		return err
	}
	var since time.Time
	if c.Since != "" {
		if since, err = time.Parse(time.RFC3339, c.Since); err != nil {
			return fmt.Errorf("--since %q is not an instant with its offset; an example is 2026-11-25T09:00:00Z", c.Since)
		}
	}
	collector, err := collect.New(collect.Options{
		API: api, Tool: tool, Directory: directory, Provider: c.Provider, Subscription: c.Subscription, Runs: c.Runs, State: state,
		CacheReads: c.CacheReads, Since: since, Once: c.Once,
	})
	if err != nil {
		return err
	}
	return collector.Run(ctx)
}

// state is the file of one tool and subscription: two collectors must not share one.
func (c *collectFlags) state(tool collect.Tool) (string, error) {
	if c.State != "" {
		return c.State, nil
	}
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", errors.New("there is no home directory to keep the collector's state in; give a file with --state")
		}
		base = filepath.Join(home, ".local", "state")
	}
	name := tool.Name
	if c.Subscription != "" {
		name += "-" + c.Subscription
	}
	return filepath.Join(base, "mosaic-matrix", "collect", name+".json"), nil
}

// logsIn is the folder of logs in a tool's directory, or that directory itself if it holds none; without one that is given it is what
// the tool's own variable names, or what it takes itself.
func logsIn(folder, given, variable, usual string) string {
	directory := cmp.Or(given, os.Getenv(variable))
	if directory == "" {
		home, _ := os.UserHomeDir() // without one, the directory that is looked for is told
		directory = filepath.Join(home, usual)
	}
	if info, err := os.Stat(filepath.Join(directory, folder)); err == nil && info.IsDir() {
		return filepath.Join(directory, folder)
	}
	return directory
}
