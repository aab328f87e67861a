// Package work is the thin forge-exec adapter: it claims one dispatch at a time over the gateway API, runs a command on its
// brief, and reports outcome and actual spend. It sequences nothing.
package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// ErrNothingReady says that no dispatch was ready for the role; only with Options.Once.
var ErrNothingReady = errors.New("no dispatch is ready for this role")

// Options are what a worker needs; Role, Worker, Command and Directory are required.
type Options struct {
	API  *register.API
	Role string
	// Worker is the agent's name, <role>-<n>.
	Worker string
	Host   string
	// Command is run once per claim, with the brief on its standard input.
	Command []string
	// Directory holds a folder per run; it is kept.
	Directory string
	// TTL bounds a claim that no heartbeat extends; default 900 s.
	TTL time.Duration
	// Poll is how often an idle worker asks; default 1 s.
	Poll time.Duration
	// Grace is how long a stopped command has between TERM and KILL; default 10 s.
	Grace time.Duration
	// Once claims at most one dispatch and returns.
	Once bool
}

// Worker claims and runs dispatches of one role.
type Worker struct {
	Options
}

// New checks the options and fills the defaults.
func New(options Options) (*Worker, error) {
	if len(options.Command) == 0 {
		return nil, errors.New("no command was given to run the brief with; example: mosaic-matrix work --role coder -- ./agent.sh")
	}
	if options.Role == "" {
		return nil, errors.New("no role was given to claim for; example: mosaic-matrix work --role coder -- ./agent.sh")
	}
	if options.TTL == 0 {
		options.TTL = 900 * time.Second
	}
	if options.Poll == 0 {
		options.Poll = time.Second
	}
	if options.Grace == 0 {
		options.Grace = 10 * time.Second
	}
	if options.Worker == "" {
		options.Worker = options.Role + "-1"
	}
	return &Worker{Options: options}, nil
}

// Run claims and runs until ctx ends. An unreachable gateway is waited for.
func (w *Worker) Run(ctx context.Context) error {
	log := zerolog.Ctx(ctx)
	for {
		claim, found, err := w.claim(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !register.Retryable(err):
			return fmt.Errorf("claiming work for role %s: %w", w.Role, err)
		case err != nil:
			log.Warn().Err(err).Msg("the gateway did not answer; asking again")
		case found:
			if err := w.run(ctx, claim); err != nil {
				log.Error().Err(err).Str("dispatch", claim.Dispatch.ID).Msg("run not reported")
			}
		}
		if w.Once {
			if err == nil && !found {
				return ErrNothingReady
			}
			return err
		}
		if found && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(w.Poll):
		}
	}
}

// claim asks until the gateway gives an answer that stands; the key is kept, so that a lost answer is not a lost claim.
func (w *Worker) claim(ctx context.Context) (register.Claim, bool, error) {
	var claim register.Claim
	err := w.insist(ctx, uuid.NewString(), register.ClaimDispatch(register.ClaimRequest{
		Role: w.Role, Worker: w.Worker, Host: w.Host, TTLSeconds: int(w.TTL.Seconds()),
	}), &claim, 5)
	return claim, claim.ID != "", err
}

// insist sends a mutation with one key until it is consumed, at most tries times, or until ctx ends if tries is 0.
func (w *Worker) insist(ctx context.Context, key string, mutation register.Mutation, answer any, tries int) error {
	pause := 100 * time.Millisecond
	for try := 1; ; try++ {
		err := w.API.Send(ctx, register.By{Key: key}, mutation, answer)
		if err == nil || !register.Retryable(err) || try == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
}
