package budget

import (
	"fmt"
	"slices"
	"strings"
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

// Serves says whether the worker may run a model on a subscription, named by its label.
func (w *Worker) Serves(ladder Ladder, model, label string) bool {
	provider, name, named := strings.Cut(label, "/")
	if !named {
		name = provider
	}
	return w.serves(ladder, model, provider, name)
}

func (w *Worker) serves(ladder Ladder, model, provider, name string) bool {
	below, err := ladder.From(w.Ceiling)
	return err == nil && w.loggedIn(provider, name) && slices.ContainsFunc(below, func(tier Tier) bool { return tier.Model == model })
}

func (w *Worker) loggedIn(provider, name string) bool {
	for _, label := range w.Subscriptions {
		rest, ok := strings.CutPrefix(label, provider)
		own, named := strings.CutPrefix(rest, "/")
		if ok && (rest == "" && (name == "" || name == provider) || named && own == name) {
			return true
		}
	}
	return len(w.Subscriptions) == 0
}

// serves says whether one of the crew may run a model on a subscription.
func (c *Crew) serves(ladder Ladder, model, provider, name string) bool {
	if c == nil {
		return true
	}
	for i := range c.Workers {
		if c.Workers[i].serves(ladder, model, provider, name) {
			return true
		}
	}
	return false
}

// Missing says which worker it takes to run a model on a subscription, named by its label, in one sentence; empty if there is one.
func (c *Crew) Missing(ladder Ladder, model, label string) string {
	provider, name, _ := strings.Cut(label, "/")
	if c.serves(ladder, model, provider, name) {
		return ""
	}
	return c.lacks(model, provider, name)
}

// lacks says which worker it takes to run a model on a subscription that none of the crew serves, in one sentence.
func (c *Crew) lacks(model, provider, name string) string {
	for i := range c.Workers {
		if c.Workers[i].loggedIn(provider, name) {
			return fmt.Sprintf("No live worker for %s on %s may run %s.", c.Role, Label(provider, name), model)
		}
	}
	return fmt.Sprintf("No live worker for %s is logged in to %s.", c.Role, Label(provider, name))
}

// awaitWorker makes a refused request wait, outside of every line, if all it lacks is a worker.
func (d *Decision) awaitWorker(now time.Time) error {
	request := d.request
	request.Crew = nil
	manned, err := d.sheet.fleet.Decide(&request, now)
	if err != nil {
		return err
	}
	if manned.Outcome == Refuse {
		manned.request = d.request
		*d = manned
		return nil
	}
	d.Outcome, d.chosen = Queue, -1
	d.Missing = d.request.Crew.lacks(manned.Tier.Model, manned.Tier.Provider, manned.Subscription)
	return nil
}
