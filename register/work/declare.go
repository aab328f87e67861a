package work

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// defaultLiveness is how long the register counts a worker as live after it was last heard.
const defaultLiveness = time.Minute

// declare tells the register who this worker is and what its host is logged in to, before it claims anything.
func (w *Worker) declare(ctx context.Context) error {
	tries := 0
	if w.Once {
		tries = 5
	}
	err := w.insist(ctx, uuid.NewString(), w.declaration(), nil, tries)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("declaring %s to the register: %w", w.Worker, err)
	}
	return nil
}

func (w *Worker) declaration() register.Mutation {
	return register.DeclareAgent(w.Worker, register.AgentDeclaration{
		Host: w.Host, Runtime: w.Runtime, ModelCeiling: w.ModelCeiling, Subscriptions: w.Subscriptions, LivenessSeconds: int(w.Liveness.Seconds()),
	})
}

// stayAlive says so again and again, idle or running, until ctx ends.
func (w *Worker) stayAlive(ctx context.Context) {
	ticks := time.NewTicker(w.Liveness / 3)
	defer ticks.Stop()
	silent := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		err := w.send(ctx, uuid.NewString(), w.declaration(), nil)
		if err != nil && !silent && ctx.Err() == nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("the gateway did not hear that this worker is alive; saying it again")
		}
		silent = err != nil
	}
}

// subscription is how a claim's subscription is named here: the provider, and the subscription's own name where that is another.
func subscription(dispatch register.Dispatch) string {
	if dispatch.Subscription == "" || dispatch.Subscription == dispatch.Provider {
		return dispatch.Provider
	}
	return dispatch.Provider + "/" + dispatch.Subscription
}

// Environment is what a run on each subscription finds in its environment, NAME=VALUE.
type Environment map[string][]string

// ParseEnvironment reads SUBSCRIPTION:NAME=VALUE entries.
func ParseEnvironment(entries []string) (Environment, error) {
	out := Environment{}
	for _, entry := range entries {
		name, setting, _ := strings.Cut(entry, ":")
		variable, _, found := strings.Cut(setting, "=")
		if name == "" || variable == "" || !found {
			return nil, fmt.Errorf("%q is no environment of a subscription; an example is claude/team-a:CLAUDE_CONFIG_DIR=/home/agent/.claude-team-a", entry)
		}
		out[name] = append(out[name], setting)
	}
	return out, nil
}

// check refuses an environment that no run could get.
func (e Environment) check(subscriptions []string) error {
	for name := range e {
		if len(subscriptions) > 0 && !slices.Contains(subscriptions, name) {
			return fmt.Errorf("there is an environment for %s, which this host is not logged in to; example: --subscriptions %s", name, strings.Join(append(subscriptions, name), ","))
		}
	}
	return nil
}
