package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// lift grants an override of claude's window.
func (b *bundle) lift(t *testing.T, lifts budget.Lift, credits int64, change ...func(*OverrideGrant)) OverrideChange {
	t.Helper()
	grant := OverrideGrant{Provider: "claude", Lifts: lifts, Micros: credits * budget.Micro, Reason: "the audit"}
	for _, alter := range change {
		alter(&grant)
	}
	done, err := b.GrantOverride(t.Context(), b.by("olga"), grant)
	require.NoError(t, err)
	return done
}

func TestAnOverrideOfThePaceStartsWhatWaitsAndIsAudited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t) // at once, 25 credits of slack are free
	b.dispatch(t, ask(20, exact))
	waiting := b.dispatch(t, ask(30, exact))
	require.Equal(t, StateQueued, waiting.State)

	change := b.lift(t, budget.LiftPace, 25)
	require.Equal(t, []DispatchID{waiting.ID}, change.Replanned)
	require.Equal(t, StateReady, b.show(t, waiting.ID).State)
	require.Equal(t, "O-1", change.Override.ID.String())
	require.Equal(t, int64(50*budget.Micro), change.Window.BurstMicros, "the slack is shown as it is now")
	require.Equal(t, []OverrideID{1}, []OverrideID{b.window(t).Overrides[0].ID})

	more := b.dispatch(t, ask(1, exact))
	require.Equal(t, StateQueued, more.State, "it grants its amount and no more")
	events := b.events(t)
	granted := events[len(events)-3] // the start of what waited and the new dispatch come after it
	require.Equal(t, "override.granted", granted.Type)
	require.Equal(t, "olga", granted.Actor)
	require.Equal(t, "O-1: 25 credits more pace for claude/claude/main, this cycle: the audit.", granted.Cause)
	b.audit(t)
}

func TestAnOverrideOfALimitOrFloorGoesThroughTheSameGate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wide(t, 10)
	b.dispatch(t, ask(10, exact))
	require.Equal(t, "refuse", b.window(t).Step)
	full := b.dispatch(t, ask(1, exact))
	require.Equal(t, StateQueued, full.State)
	change := b.lift(t, budget.LiftLimit, 2)
	require.Equal(t, int64(12*budget.Micro), change.Window.LimitMicros)
	require.Equal(t, StateReady, b.show(t, full.ID).State)
	require.Equal(t, StateReady, b.dispatch(t, ask(1, exact)).State)
	require.Equal(t, StateQueued, b.dispatch(t, ask(1, exact)).State, "the cap holds at the limit that is left")

	_, err := b.SetBudget(t.Context(), b.by("olga"), BudgetSet{Provider: "claude", Unit: coins, LimitMicros: 10 * budget.Micro, ResetAt: b.clock.now().Add(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, int64(12*budget.Micro), b.window(t).LimitMicros, "set again, the override still stands beside the limit")
	var limit int64
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT limit_micros FROM fleet.windows WHERE ended_at IS NULL`).Scan(&limit))
	require.Equal(t, int64(10*budget.Micro), limit, "and is never written into it")

	_, err = b.RevokeOverride(t.Context(), b.by("olga"), change.Override.ID, "done")
	require.NoError(t, err)
	require.Equal(t, int64(10*budget.Micro), b.window(t).LimitMicros)
	require.Equal(t, StateQueued, b.dispatch(t, ask(1, exact)).State)
	_, err = b.RevokeOverride(t.Context(), b.by("olga"), change.Override.ID, "")
	require.Contains(t, requireCode(t, CodeNotOpen, err).Detail, "revoked by olga: done")
	b.audit(t)
}

func TestAnOverrideHoldsForItsEpochsAndNoLongerThanItsExpiry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.lift(t, budget.LiftPace, 10, func(g *OverrideGrant) { g.Cycles = 2 })
	b.lift(t, budget.LiftPace, 7, func(g *OverrideGrant) { g.Cycles, g.Expires = 9, b.clock.now().Add(10*time.Minute) })
	require.Equal(t, int64(42*budget.Micro), b.window(t).BurstMicros)
	b.clock.pass(10 * time.Minute)
	require.Equal(t, int64(35*budget.Micro), b.window(t).BurstMicros, "it has expired to the microsecond, without a timer")
	b.sweep(t)

	zero := func() {
		_, err := b.ResetBudget(t.Context(), b.by("olga"), BudgetReset{Provider: "claude", ResetAt: b.clock.now().Add(100 * time.Minute), Zero: true})
		require.NoError(t, err)
	}
	zero()
	require.Equal(t, int64(35*budget.Micro), b.window(t).BurstMicros)
	require.Equal(t, 1, b.window(t).Overrides[0].CyclesLeft)
	zero()
	require.Equal(t, int64(25*budget.Micro), b.window(t).BurstMicros)
	b.sweep(t)
	b.sweep(t)

	page, err := b.Overrides(t.Context(), true, 0, 10)
	require.NoError(t, err)
	require.Equal(t, "it has expired", page.Overrides[0].EndedWhy)
	require.Equal(t, "its cycles are over", page.Overrides[1].EndedWhy)
	live, err := b.Overrides(t.Context(), false, 0, 10)
	require.NoError(t, err)
	require.Empty(t, live.Overrides)
	ended := 0
	for _, kind := range b.story(t) {
		if kind == "override.ended" {
			ended++
		}
	}
	require.Equal(t, 2, ended, "each end is told once")
}

func TestWhatCannotBeOverriddenSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	grant := func(change func(*OverrideGrant)) error {
		wanted := OverrideGrant{Provider: "claude", Micros: budget.Micro}
		change(&wanted)
		_, err := b.GrantOverride(t.Context(), b.by("olga"), wanted)
		return err
	}
	for _, wrong := range []struct {
		code, field, says string
		change            func(*OverrideGrant)
	}{
		{CodeNotFound, "", "There is no budget window main of codex.", func(g *OverrideGrant) { g.Provider = "codex" }},
		{CodeInvalid, "micros", "give an amount above zero", func(g *OverrideGrant) { g.Micros = 0 }},
		{CodeInvalid, "cycles", "give at least one", func(g *OverrideGrant) { g.Cycles = -1 }},
		{CodeInvalid, "lifts", "keeps nothing back", func(g *OverrideGrant) { g.Lifts = budget.LiftFloor }},
		{CodeInvalid, "lifts", "write pace, floor or limit", func(g *OverrideGrant) { g.Lifts = "roof" }},
		{CodeUnitMismatch, "unit", "The window main counts credits, not tokens.", func(g *OverrideGrant) { g.Unit = "tokens" }},
		{CodeInvalid, "expires_at", "would have expired", func(g *OverrideGrant) { g.Expires = b.clock.now() }},
	} {
		refused := requireCode(t, wrong.code, grant(wrong.change))
		require.Equal(t, wrong.field, refused.Field, refused.Detail)
		require.Contains(t, refused.Detail, wrong.says)
		require.NotEmpty(t, refused.NextStep)
	}
	limited := func(g *OverrideGrant) { g.Lifts = budget.LiftLimit }
	b.read(t, 0)
	require.NoError(t, grant(limited), "its use is the provider's to say, its limit is still ours")
	b.budget(t, func(s *BudgetSet) { s.Mine = new(false) })
	requireCode(t, CodeProviderLimit, grant(limited))
	b.budget(t, func(s *BudgetSet) { s.Mine = new(true) })
	b.read(t, 0, func(r *ReadingReport) { r.LimitMicros = 500 * budget.Micro })
	refused := requireCode(t, CodeProviderLimit, grant(func(g *OverrideGrant) { g.Lifts = budget.LiftLimit }))
	require.Contains(t, refused.Detail, "The limit 500 credits of the window main is the provider's: no override lifts it.")
	require.NoError(t, grant(func(*OverrideGrant) {}), "its pace is ours")

	b.clock.pass(101 * time.Minute)
	requireCode(t, CodeWindowLapsed, grant(func(*OverrideGrant) {}))
	for _, sql := range []string{
		`UPDATE fleet.overrides SET micros = 0`, `UPDATE fleet.overrides SET cycles = 0`, `UPDATE fleet.overrides SET lifts = NULL`,
		`UPDATE fleet.overrides SET ended_at = now()`,
	} {
		requireState(t, "23514", b.exec(t.Context(), sql))
	}
}
