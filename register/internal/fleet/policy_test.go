package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// accounts sets three of claude's windows: a has most left for its time, b resets first, c like a.
func (b *bundle) accounts(t *testing.T) {
	t.Helper()
	resets := map[string]time.Duration{"a": 1000 * time.Minute, "b": 200 * time.Minute}
	for _, name := range []string{"a", "b"} {
		_, err := b.SetBudget(t.Context(), b.by("olga"), BudgetSet{
			Provider: "claude", Subscription: name, Unit: coins, LimitMicros: 500 * budget.Micro, ResetAt: b.clock.now().Add(resets[name]),
		})
		require.NoError(t, err)
	}
	b.clock.pass(100 * time.Minute)
}

func (b *bundle) policy(t *testing.T, set PolicySet) Policy {
	t.Helper()
	policy, err := b.SetPolicy(t.Context(), b.by("olga"), set)
	require.NoError(t, err)
	return policy
}

func TestThePolicyDecidesBetweenWhatIsOnPaceAndWhatResetsFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.accounts(t)
	_, err := b.SetBudget(t.Context(), b.by("olga"), BudgetSet{ // b has spent more than even spread asks for, and still has room for a credit
		Provider: "claude", Subscription: "b", Unit: coins, LimitMicros: 500 * budget.Micro, ResetAt: b.clock.now().Add(100 * time.Minute), UsedMicros: new(int64(260 * budget.Micro)),
	})
	require.NoError(t, err)
	require.Equal(t, "a", b.dispatch(t, ask(1, exact)).Subscription, "pace: most is left for the time")
	policy := b.policy(t, PolicySet{Route: RouteDrain})
	require.Equal(t, int64(1), policy.Version)
	drained := b.dispatch(t, ask(1, exact))
	require.Equal(t, "b", drained.Subscription, "drain: what resets first")
	require.Contains(t, drained.Attempts[0].Reason, "b resets earlier")
	require.Equal(t, "policy.set", b.story(t)[len(b.story(t))-2])
	_, err = b.SetPolicy(t.Context(), Mutation{Actor: "olga", Caller: "bot", Key: "stale", Hash: b.by("olga").Hash, Status: 200, IfMatch: `"0"`}, PolicySet{Route: RoutePace})
	require.Contains(t, requireCode(t, CodePreconditionFailed, err).Detail, `is at "1" now`)
}

func TestWorkStaysWhereItsContextIsWarm(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.accounts(t)
	first := b.dispatch(t, ask(1, exact, func(a *Ask) { a.Mission = "apollo" }))
	other := map[string]string{"a": "b", "b": "a"}[first.Subscription]
	_, err := b.SetBudget(t.Context(), b.by("olga"), BudgetSet{ // the other one is a little better from now on
		Provider: "claude", Subscription: first.Subscription, Unit: coins, LimitMicros: 480 * budget.Micro, ResetAt: b.resetOf(t, first.Subscription),
	})
	require.NoError(t, err)
	_, err = b.SetBudget(t.Context(), b.by("olga"), BudgetSet{
		Provider: "claude", Subscription: other, Unit: coins, LimitMicros: 500 * budget.Micro, Since: b.clock.now().Add(-time.Minute), ResetAt: b.clock.now().Add(time.Hour), UsedMicros: new(int64(0)),
	})
	require.NoError(t, err)
	headroom := func(change ...func(*Ask)) string { return b.dispatch(t, ask(1, append(change, exact)...)).Subscription }
	stays := headroom(func(a *Ask) { a.Mission = "apollo" })
	after := headroom(func(a *Ask) { a.DependsOn = nil; a.Mission = "apollo" })
	require.Equal(t, first.Subscription, stays, "the mission's newest work ran there")
	require.Equal(t, first.Subscription, after)
	b.policy(t, PolicySet{Sticky: new(false)})
	cold := headroom(func(a *Ask) { a.Mission = "apollo" })
	require.Equal(t, headroom(), cold, "without stickiness the mission does not matter")
}

func (b *bundle) resetOf(t *testing.T, subscription string) time.Time {
	t.Helper()
	window, err := b.Budget(t.Context(), "claude", subscription, DefaultWindow)
	require.NoError(t, err)
	return window.ResetAt
}

func TestARolesWorkIsNotLoweredBelowItsLowestTier(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	require.Equal(t, "sonnet", b.dispatch(t, ask(25)).Model, "25 credits wait on opus, 15 on sonnet fit")
	b.policy(t, PolicySet{Lowest: []Lowest{{"coder", "opus"}}})
	held := b.dispatch(t, ask(20))
	require.Equal(t, StateQueued, held.State)
	require.Contains(t, held.Attempts[1].Reason, "Its role allows nothing below opus.")
	tester := b.dispatch(t, ask(20, func(a *Ask) { a.Role, a.DryRun = "tester", true }))
	for _, attempt := range tester.Attempts {
		require.NotEqual(t, string(budget.NotAllowed), attempt.Verdict, "another role may be lowered")
	}
	b.policy(t, PolicySet{Lowest: []Lowest{{"coder", ""}}})
	require.Equal(t, StateReady, b.show(t, held.ID).State, "what waited is judged anew by the policy")
	_, err := b.SetPolicy(t.Context(), b.by("olga"), PolicySet{Lowest: []Lowest{{"coder", "gpt-99"}}})
	require.Equal(t, "lowest", requireCode(t, CodeInvalid, err).Field)
}

func TestAnUnknownMeterGetsOneCanaryWhileAKnownOneIsFeasible(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.accounts(t)
	require.NoError(t, b.exec(t.Context(), `UPDATE fleet.windows SET source = 'unknown' WHERE definition_id = (SELECT d.id FROM fleet.definitions d JOIN fleet.subscriptions s ON s.id = d.subscription_id WHERE s.name = 'b')`))
	canary := b.dispatch(t, ask(1, exact))
	require.Equal(t, "b", canary.Subscription)
	require.Contains(t, canary.Reason, "meter unknown")
	for range 3 {
		require.Equal(t, "a", b.dispatch(t, ask(1, exact)).Subscription, "one at a time")
	}
	_, err := b.CancelDispatch(t.Context(), b.by("olga"), canary.ID, "")
	require.NoError(t, err)
	require.Equal(t, "b", b.dispatch(t, ask(1, exact)).Subscription, "the next one may try")
	b.audit(t)
}

func TestWorkThatWaitsLongIsNotPassedForEver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.ResetAt = b.clock.now().Add(1000 * time.Hour) })
	b.dispatch(t, ask(25, exact))
	wake := func() {
		_, err := b.Wake(t.Context())
		require.NoError(t, err)
	}
	low := b.dispatch(t, ask(100, exact, func(a *Ask) { a.Priority = 1 }))
	require.Equal(t, StateQueued, low.State)
	above := b.dispatch(t, ask(100, exact, func(a *Ask) { a.Priority = 3 }))
	wake()
	require.True(t, above.PromisedStart.Before(b.show(t, low.ID).PromisedStart), "a higher priority that comes soon after goes first")
	b.clock.pass(3 * time.Hour)
	wake()
	late := b.dispatch(t, ask(100, exact, func(a *Ask) { a.Priority = 3 }))
	require.True(t, late.PromisedStart.After(b.show(t, low.ID).PromisedStart), "one that comes three hours later does not")
}
