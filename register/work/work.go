// Package work is the thin forge-exec adapter: it claims one dispatch at a time over the gateway API, runs a command on its
// brief, and reports outcome and actual spend. It sequences nothing.
package work

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
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
	// Runtime is what runs the briefs, such as claude-code; ModelCeiling is the highest model it may run, empty for any.
	Runtime, ModelCeiling string
	// Subscriptions are what the host is logged in to, such as claude or claude/team-a; none means every one.
	Subscriptions []string
	// Environment is what runs on each subscription get beside this program's own environment.
	Environment Environment
	// Liveness is how long the register counts the worker as live after it was last heard; default 60 s.
	Liveness time.Duration
	// Command is run once per claim, with the brief on its standard input.
	Command []string
	// Directory holds a folder per run; it is kept.
	Directory string
	// TTL bounds a claim that no heartbeat extends; 5 s to 24 h, default 900 s.
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
	withheld string // why nothing was given out last, said once
}

// The gateway takes claims that live this long.
const (
	shortestTTL = 5 * time.Second
	longestTTL  = 24 * time.Hour
)

// New checks the options and fills the defaults.
func New(options Options) (*Worker, error) {
	if options.Role == "" {
		return nil, errors.New("no role was given to claim for; example: mosaic-matrix work --role coder -- ./agent.sh")
	}
	if len(options.Command) == 0 {
		return nil, errors.New("no command was given to run the brief with; example: mosaic-matrix work --role coder -- ./agent.sh")
	}
	if _, err := exec.LookPath(options.Command[0]); err != nil {
		return nil, fmt.Errorf("the command cannot be run: %w; give a program that exists and may be executed", err)
	}
	if options.TTL == 0 {
		options.TTL = 900 * time.Second
	}
	if options.TTL < shortestTTL || options.TTL > longestTTL {
		return nil, fmt.Errorf("a claim cannot live %s without a heartbeat; give --ttl between %s and %s", options.TTL, shortestTTL, longestTTL)
	}
	if err := options.Environment.check(options.Subscriptions); err != nil {
		return nil, err
	}
	if options.Liveness == 0 {
		options.Liveness = defaultLiveness
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
	if err := writable(w.Directory); err != nil {
		return err
	}
	if err := w.declare(ctx); err != nil {
		return err
	}
	alive, ended := context.WithCancel(ctx)
	defer ended()
	go w.stayAlive(alive)
	for {
		claim, err := w.claim(ctx)
		found := claim.ID != ""
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("claiming work for role %s: %w", w.Role, err)
		}
		if found {
			err = w.run(ctx, claim.Claim)
		}
		switch {
		case errors.Is(err, errUnable):
			return err
		case w.Once && !found && claim.Withheld != "":
			return fmt.Errorf("%w: %s", ErrNothingReady, claim.Withheld)
		case w.Once && !found:
			return ErrNothingReady
		case w.Once:
			return err
		case err != nil:
			zerolog.Ctx(ctx).Error().Err(err).Msg("run not reported; its claim expires by itself")
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
func (w *Worker) claim(ctx context.Context) (register.ClaimAnswer, error) {
	tries := 0
	if w.Once {
		tries = 5
	}
	var claim register.ClaimAnswer
	err := w.insist(ctx, uuid.NewString(), register.ClaimDispatch(register.ClaimRequest{
		Role: w.Role, Worker: w.Worker, Host: w.Host, TTLSeconds: int(w.TTL.Seconds()),
	}), &claim, tries)
	if claim.Withheld != w.withheld && claim.Withheld != "" {
		zerolog.Ctx(ctx).Info().Str("reason", claim.Withheld).Msg("no work is given out; asking on")
	}
	w.withheld = claim.Withheld
	return claim, err
}

// insist sends a mutation with one key until it is consumed, at most tries times, or until ctx ends if tries is 0.
func (w *Worker) insist(ctx context.Context, key string, mutation register.Mutation, answer any, tries int) error {
	pause := 100 * time.Millisecond
	for try := 1; ; try++ {
		err := w.send(ctx, key, mutation, answer)
		if err == nil || !register.Retryable(err) || try == tries {
			return err
		}
		zerolog.Ctx(ctx).Warn().Err(err).Str("path", mutation.Path).Msg("the gateway gave no answer that stands; asking again")
		var failure *register.Error
		if errors.As(err, &failure) {
			pause = max(pause, failure.RetryAfter)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// send makes one attempt, which a gateway that hangs does not hold up for long.
func (w *Worker) send(ctx context.Context, key string, mutation register.Mutation, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, min(30*time.Second, w.TTL/3))
	defer cancel()
	return w.API.Send(ctx, register.By{Key: key}, mutation, answer)
}
