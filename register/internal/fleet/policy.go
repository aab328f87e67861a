package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// The routes between subscriptions that can all take a dispatch.
const (
	RoutePace  = "pace"  // keep all of them on their even spread
	RouteDrain = "drain" // spend first what expires first
)

// Policy is how the fleet routes work. Without SetBy nobody has set it yet.
type Policy struct {
	Route   string    `json:"route"`
	Sticky  bool      `json:"sticky"` // work stays on the subscription its context is warm on, unless another is clearly better
	Lowest  []Lowest  `json:"lowest"` // by role; a role that is not named may be lowered to any tier
	SetBy   string    `json:"set_by,omitempty"`
	SetAt   time.Time `json:"set_at,omitzero"`
	Version int64     `json:"version"`
}

// Lowest is the lowest model that a role's work may be lowered to.
type Lowest struct {
	Role  string `json:"role"`
	Model string `json:"model"`
}

// PolicySet is a change of the policy; what is left out stays.
type PolicySet struct {
	Route  string
	Sticky *bool
	Lowest []Lowest // an empty model lets the role be lowered to any tier again
}

// Policy reads the policy.
func (s *Store) Policy(ctx context.Context) (Policy, error) {
	var policy Policy
	err := s.read(ctx, func(t *transaction) error {
		var err error
		policy, err = t.readPolicy(ctx)
		return err
	})
	return policy, err
}

func (t *transaction) readPolicy(ctx context.Context) (Policy, error) {
	policy := Policy{Route: RoutePace, Sticky: true, Lowest: []Lowest{}}
	row, err := t.GetPolicy(ctx, t.Tenant)
	if none(err) {
		return policy, nil
	}
	if err != nil {
		return policy, fmt.Errorf("reading the policy: %w", err)
	}
	lowest := make(map[string]string)
	if err := json.Unmarshal(row.Lowest, &lowest); err != nil {
		return policy, fmt.Errorf("reading the policy: %w", err)
	}
	for _, role := range slices.Sorted(maps.Keys(lowest)) {
		policy.Lowest = append(policy.Lowest, Lowest{role, lowest[role]})
	}
	policy.Route, policy.Sticky, policy.SetBy, policy.SetAt, policy.Version = row.Route, row.Sticky, row.SetBy, row.SetAt.UTC(), row.Version
	return policy, nil
}

// SetPolicy changes the policy and judges the waiting work by it. Who judges shares the pause's lock, which this takes alone.
func (s *Store) SetPolicy(ctx context.Context, m Mutation, set PolicySet) (Policy, error) {
	return once(ctx, s, m, func(t *transaction) (Policy, error) {
		if err := t.LockPause(ctx, t.Tenant); err != nil {
			return Policy{}, fmt.Errorf("locking the policy: %w", err)
		}
		if err := t.climb(ctx); err != nil {
			return Policy{}, err
		}
		policy, err := t.readPolicy(ctx)
		if err != nil {
			return Policy{}, err
		}
		if err := t.requireMatch(standing{what: "The policy", exists: true, version: policy.Version, as: policy.text(), current: policy}); err != nil {
			return Policy{}, err
		}
		if err := policy.take(set, t.Ladder); err != nil {
			return Policy{}, err
		}
		if err := t.readClock(ctx); err != nil {
			return Policy{}, err
		}
		policy.SetBy, policy.SetAt, policy.Version = t.actor, t.now, policy.Version+1
		return policy, t.putPolicy(ctx, policy)
	})
}

// take changes the policy; a model that is not in the ladder is refused.
func (p *Policy) take(set PolicySet, ladder budget.Ladder) error {
	if set.Route != "" {
		p.Route = set.Route
	}
	if set.Sticky != nil {
		p.Sticky = *set.Sticky
	}
	for _, lowest := range set.Lowest {
		p.Lowest = slices.DeleteFunc(p.Lowest, func(known Lowest) bool { return known.Role == lowest.Role })
		if lowest.Model == "" {
			continue
		}
		from, err := ladder.From(lowest.Model)
		if err != nil {
			return &Error{
				Code: CodeInvalid, Field: "lowest", Detail: err.Error(), Example: fmt.Sprintf(`[{"role": %q, "model": %q}]`, lowest.Role, ladder[0].Model),
				NextStep: "Name a model of the ladder.",
			}
		}
		p.Lowest = append(p.Lowest, Lowest{lowest.Role, from[0].Model})
	}
	slices.SortFunc(p.Lowest, func(a, b Lowest) int { return strings.Compare(a.Role, b.Role) })
	return nil
}

func (t *transaction) putPolicy(ctx context.Context, policy Policy) error {
	lowest := make(map[string]string, len(policy.Lowest))
	for _, l := range policy.Lowest {
		lowest[l.Role] = l.Model
	}
	err := t.PutPolicy(ctx, query.PutPolicyParams{
		TenantID: t.Tenant, Host: t.Host, Route: policy.Route, Sticky: policy.Sticky, Lowest: encode(lowest), SetBy: policy.SetBy,
		SetAt: policy.SetAt, Version: policy.Version,
	})
	if err != nil {
		return fmt.Errorf("writing the policy: %w", err)
	}
	if err := t.tell(ctx, Event{Type: "policy.set", Cause: policy.text(), Policy: &policy}); err != nil {
		return err
	}
	b, err := t.openBook(ctx)
	if err != nil {
		return err
	}
	if _, err := t.replanLine(ctx, b); err != nil {
		return err
	}
	t.change.Replan, t.change.Schedule = true, true
	return t.closeBook(ctx, b)
}

// text is the policy in one sentence.
func (p Policy) text() string {
	says := "Work is routed to keep the subscriptions on pace"
	if p.Route == RouteDrain {
		says = "Work is routed to what resets first"
	}
	if p.Sticky && p.Route == RoutePace {
		says += " and stays where its context is warm"
	}
	for _, lowest := range p.Lowest {
		says += fmt.Sprintf(", %s not below %s", lowest.Role, lowest.Model)
	}
	return says + "."
}

func (p Policy) lowest(role string) string {
	for _, lowest := range p.Lowest {
		if lowest.Role == role {
			return lowest.Model
		}
	}
	return ""
}

// govern makes a book judge by the overrides and the fleet's policy, and says which subscriptions one dispatch may try though no meter
// of theirs is known: those on which nothing is under way.
func (t *transaction) govern(ctx context.Context, b *book) error {
	err := t.grant(ctx, b)
	if err != nil {
		return err
	}
	if b.policy, err = t.readPolicy(ctx); err != nil {
		return err
	}
	if b.policy.Route == RouteDrain {
		b.fleet.Policy = budget.PolicyDrain
	}
	var unknown []int64
	for s := range b.fleet.Subscriptions {
		if subscription := &b.fleet.Subscriptions[s]; unmetered(subscription, b.now) {
			unknown = append(unknown, subscription.ID)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	occupied, err := t.Occupied(ctx, query.OccupiedParams{TenantID: t.Tenant, Subscriptions: unknown})
	if err != nil {
		return fmt.Errorf("reading what runs without a meter: %w", err)
	}
	for s := range b.fleet.Subscriptions {
		id := b.fleet.Subscriptions[s].ID
		b.fleet.Subscriptions[s].Probe = slices.Contains(unknown, id) && !slices.Contains(occupied, id)
	}
	return nil
}

// unmetered says whether a subscription has windows, and none that can be believed.
func unmetered(subscription *budget.Subscription, now time.Time) bool {
	for w := range subscription.Windows {
		if subscription.Windows[w].Meter(now) != budget.MeterUnknown {
			return false
		}
	}
	return len(subscription.Windows) > 0
}

// steer gives a request what the policy says of it: the lowest tier of its role, and the subscription its context is warm on, that of
// what it retries, of what it depends on, or of its mission's newest work.
func (t *transaction) steer(ctx context.Context, b *book, row *query.Dispatch, request *budget.Request) error {
	request.Lowest = b.policy.lowest(row.Role)
	if !b.policy.Sticky || len(b.fleet.Subscriptions) < 2 {
		return nil
	}
	near := [][]int64{row.DependsOn}
	if row.RetryOf != nil {
		near = [][]int64{{*row.RetryOf}, row.DependsOn}
	}
	for _, ids := range near {
		if len(ids) == 0 {
			continue
		}
		warm, err := t.WarmAmong(ctx, query.WarmAmongParams{TenantID: t.Tenant, Dispatches: ids})
		if err == nil {
			request.Stays = warm
			return nil
		}
		if !none(err) {
			return fmt.Errorf("looking where the context is warm: %w", err)
		}
	}
	if row.Mission == "" {
		return nil
	}
	warm, err := t.WarmMission(ctx, query.WarmMissionParams{TenantID: t.Tenant, Mission: row.Mission, Before: row.ID})
	if err != nil && !none(err) {
		return fmt.Errorf("looking where the mission's context is warm: %w", err)
	}
	request.Stays = warm
	return nil
}
