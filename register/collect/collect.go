// Package collect reads what agents' own tools write on this machine of what they use and how full their windows are, and posts
// it over the gateway API. It reads numbers, names and instants; prompts and answers are neither kept nor sent.
package collect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// Options are what a collector needs; API, Tool, Directory and State are required.
type Options struct {
	API *register.API
	// Tool is whose logs are read.
	Tool Tool
	// Directory is where the tool keeps its session logs.
	Directory string
	// Provider and Subscription are whose windows the tool draws on; default those of the tool.
	Provider, Subscription string
	// Runs is where `work` keeps its runs' folders, so that their use is told apart; empty if no worker runs here.
	Runs string
	// State is the file that remembers what was read and posted.
	State string
	// CacheReads also counts what was read from a provider's prompt cache as tokens.
	CacheReads bool
	// Since is from when use counts if the collector was never run before; default now.
	Since time.Time
	// Every is how long the logs are left alone between two looks; default 2 s.
	Every time.Duration
	// Once looks once and returns.
	Once bool
}

// Tool is one agent tool: its name, how its logs are read, and whose windows it draws on unless it is said.
type Tool struct {
	Name     string
	Provider string
	read     func(*session, []byte) (entry, bool)
	marks    [][]byte // a line without any of them says nothing of interest
}

// Collector follows one tool's logs.
type Collector struct {
	Options
	state  *state
	unread map[string]string // what could not be read, said once
}

// errRefused says that the gateway will not take this collector's posts at all.
var errRefused = errors.New("the gateway does not let this collector report")

// New checks the options and reads what was remembered.
func New(options Options) (*Collector, error) {
	if options.Provider == "" {
		options.Provider = options.Tool.Provider
	}
	if options.Subscription == "" {
		options.Subscription = options.Provider
	}
	if options.Every == 0 {
		options.Every = 2 * time.Second
	}
	if info, err := os.Stat(options.Directory); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("there is no directory %s with the logs of %s; give it with --directory", options.Directory, options.Tool.Name)
	}
	since := options.Since
	if since.IsZero() {
		since = time.Now()
	}
	state, err := openState(options.State, since)
	if err != nil {
		return nil, err
	}
	return &Collector{Options: options, state: state, unread: make(map[string]string)}, nil
}

// Run follows the logs until ctx ends, or looks once.
func (c *Collector) Run(ctx context.Context) error {
	for {
		err := c.look(ctx)
		switch {
		case c.Once || errors.Is(err, errRefused):
			return err
		case ctx.Err() != nil:
			return nil
		case err != nil:
			zerolog.Ctx(ctx).Warn().Err(err).Msg("what was read could not be posted; it is kept and posted later")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.Every):
		}
	}
}

// look posts what is still to be posted, reads what was written since, remembers it together with what it will post, and posts
// that: whenever the collector dies, the same requests go out again under the same keys, and nothing counts twice.
func (c *Collector) look(ctx context.Context) error {
	if err := c.post(ctx); err != nil {
		return err
	}
	found := c.read(ctx)
	if !found.any && len(found.uses) == 0 && len(found.limits) == 0 {
		return nil
	}
	c.queue(found)
	if err := c.state.save(); err != nil {
		return err
	}
	return c.post(ctx)
}
