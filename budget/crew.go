package budget

import (
	"fmt"
	"slices"
	"time"
)

// Worker is a live worker, as far as routing goes.
type Worker struct {
	Subscriptions []string // what its host is logged in to, by label; empty means every subscription
	Ceiling       string   // the highest model it may run; empty means the highest there is
}

// Crew is the live workers of one role. A nil crew is not asked for: any subscription can be run on.
type Crew struct {
	Role    string
	Workers []Worker
}

// Label names a subscription as workers do: its provider, and its own name where that is another, such as claude/team-a.
func Label(provider, name string) string {
	if name == "" || name == provider {
		return provider
	}
	return provider + "/" + name
}

// Serves says whether the worker may run a model on a subscription.
func (w *Worker) Serves(ladder Ladder, model, subscription string) bool {
	below, err := ladder.From(w.Ceiling)
	return err == nil && w.loggedIn(subscription) && slices.ContainsFunc(below, func(tier Tier) bool { return tier.Model == model })
}

func (w *Worker) loggedIn(subscription string) bool {
	return len(w.Subscriptions) == 0 || slices.Contains(w.Subscriptions, subscription)
}

// Missing says which worker it takes to run a model on a subscription, in one sentence; empty if there is one.
func (c *Crew) Missing(ladder Ladder, model, subscription string) string {
	if c == nil {
		return ""
	}
	loggedIn := false
	for i := range c.Workers {
		if c.Workers[i].Serves(ladder, model, subscription) {
			return ""
		}
		loggedIn = loggedIn || c.Workers[i].loggedIn(subscription)
	}
	if loggedIn {
		return fmt.Sprintf("No live worker for %s on %s may run %s.", c.Role, subscription, model)
	}
	return fmt.Sprintf("No live worker for %s is logged in to %s.", c.Role, subscription)
}

// awaitWorker makes a refused request wait, outside of every line, if all it lacks is a worker.
func (d *Decision) awaitWorker(ladder Ladder, subscriptions []Subscription, now time.Time) error {
	request := d.request
	request.Crew = nil
	manned, err := Decide(ladder, request, subscriptions, now)
	if err != nil {
		return err
	}
	if manned.Outcome == Refuse {
		manned.request = d.request
		*d = manned
		return nil
	}
	d.Outcome, d.chosen = Queue, -1
	d.Missing = d.request.Crew.Missing(ladder, manned.Tier.Model, Label(manned.Tier.Provider, manned.Subscription))
	return nil
}
