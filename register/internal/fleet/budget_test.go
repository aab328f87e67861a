package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func TestSettingAgainAmendsAndKeepsTheUse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.FloorMicros = new(int64(10 * budget.Micro)) })
	b.dispatch(t, ask(10))
	b.clock.pass(time.Minute)
	change := b.budget(t, func(s *BudgetSet) { s.LimitMicros = 900 * budget.Micro })
	require.False(t, change.BeganNow)
	require.Equal(t, int64(500*budget.Micro), change.Before.LimitMicros)
	require.Equal(t, int64(900*budget.Micro), change.After.LimitMicros)
	require.Equal(t, int64(10*budget.Micro), change.After.FloorMicros)
	require.Equal(t, int64(10*budget.Micro), change.After.UsedMicros)
	require.Equal(t, start, change.After.Since)

	change = b.budget(t, func(s *BudgetSet) { s.UsedMicros = new(int64(100 * budget.Micro)) })
	require.Equal(t, int64(100*budget.Micro), change.After.CommittedMicros)
	change = b.budget(t, func(s *BudgetSet) { s.UsedMicros = new(int64(40 * budget.Micro)) })
	require.Equal(t, int64(40*budget.Micro), change.After.CommittedMicros)
	b.audit(t)
}

func TestAChangedWindowPlansWaitingWorkAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(25, exact))
	first, second := b.dispatch(t, ask(20, exact)), b.dispatch(t, ask(200, exact))
	change := b.budget(t, func(s *BudgetSet) { s.LimitMicros = 1000 * budget.Micro })
	require.Equal(t, []DispatchID{first.ID, second.ID}, change.Replanned)
	require.Equal(t, StateReady, b.show(t, first.ID).State)
	require.Equal(t, 1, change.After.Waiting)
	b.audit(t)
}

func TestWhatNoWindowCanBeIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	for _, wrong := range []struct {
		code, field, detail string
		alter               func(*BudgetSet)
	}{
		{CodeResetInPast, "reset_at", "The reset 2026-11-23T08:59:59Z is in the past; it is now 2026-11-23T09:00:00Z.", func(s *BudgetSet) { s.ResetAt = start.Add(-time.Second) }},
		{CodeLimitNotPositive, "limit_micros", "The limit 0 credits is not above zero.", func(s *BudgetSet) { s.LimitMicros = 0 }},
		{CodeLimitNotPositive, "limit_micros", "The limit -5 credits is not above zero.", func(s *BudgetSet) { s.LimitMicros = -5 * budget.Micro }},
		{CodeUnitMismatch, "unit", "The window main counts credits, not tokens.", func(s *BudgetSet) { s.Unit = "tokens" }},
		{CodeInvalid, "floor_micros", "The floor 500 credits leaves nothing of the limit 500 credits.", func(s *BudgetSet) { s.FloorMicros = new(int64(500 * budget.Micro)) }},
		{CodeInvalid, "floor_micros", "The floor -1 credit leaves nothing of the limit 500 credits.", func(s *BudgetSet) { s.FloorMicros = new(int64(-budget.Micro)) }},
		{CodeInvalid, "used_micros", "What is already used cannot be below zero.", func(s *BudgetSet) { s.UsedMicros = new(int64(-1)) }},
		{CodeInvalid, "since", "The window's start 2026-11-23T09:00:01Z is still to come.", func(s *BudgetSet) { s.Since = start.Add(time.Second) }},
	} {
		set := BudgetSet{Provider: "claude", Unit: "credits", LimitMicros: 500 * budget.Micro, ResetAt: start.Add(time.Hour)}
		wrong.alter(&set)
		_, err := b.SetBudget(t.Context(), b.by("olga"), set)
		refusal := requireCode(t, wrong.code, err)
		require.Equal(t, wrong.field, refusal.Field)
		require.Equal(t, wrong.detail, refusal.Detail)
		require.NotEmpty(t, refusal.Example, wrong.detail)
	}
	require.Equal(t, []string{"budget.set"}, b.story(t), "nothing was half done")
}

func TestALapsedWindowBeginsANewEpochAndKeepsWhatIsHeld(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	created := b.dispatch(t, ask(10))
	claim := b.claimed(t)
	b.clock.pass(2 * time.Hour)
	require.True(t, b.window(t).Lapsed)
	_, err := b.ResetBudget(t.Context(), b.by("olga"), BudgetReset{Provider: "claude", ResetAt: b.clock.now().Add(time.Hour)})
	requireCode(t, CodeWindowLapsed, err)

	change := b.budget(t, func(s *BudgetSet) { s.Unit = "credits"; s.LimitMicros = 100 * budget.Micro })
	require.True(t, change.BeganNow)
	require.True(t, change.Before.Lapsed)
	require.Equal(t, int64(10*budget.Micro), change.After.ReservedMicros)
	require.Zero(t, change.After.CommittedMicros)
	require.Equal(t, "main", b.show(t, created.ID).Holds[0].Window)
	b.audit(t)

	_, err = b.CompleteDispatch(t.Context(), b.by("coder-1"), created.ID, Completion{
		Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{"credits", 4 * budget.Micro}},
	})
	require.NoError(t, err)
	require.Equal(t, int64(4*budget.Micro), b.window(t).CommittedMicros)
	b.audit(t)
}

func TestResettingKeepsTheUseAndZeroStartsAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = new(int64(120 * budget.Micro)) })
	b.dispatch(t, ask(1, exact, func(a *Ask) { a.Priority = 9 }))
	b.clock.pass(30 * time.Minute)
	waiting := b.dispatch(t, ask(56, exact))
	require.Equal(t, StateQueued, waiting.State)

	change, err := b.ResetBudget(t.Context(), b.by("olga"), BudgetReset{Provider: "claude", ResetAt: b.clock.now().Add(30 * time.Minute)})
	require.NoError(t, err)
	require.Equal(t, int64(120*budget.Micro), change.After.CommittedMicros)
	require.Equal(t, start.Add(time.Hour), change.After.ResetAt)
	require.Equal(t, start, change.After.Since)
	require.False(t, change.BeganNow)
	require.Equal(t, []DispatchID{1, waiting.ID}, change.Replanned)
	require.Equal(t, StateReady, b.show(t, waiting.ID).State, "a nearer reset allows more by now")

	change, err = b.ResetBudget(t.Context(), b.by("olga"), BudgetReset{Provider: "claude", ResetAt: b.clock.now().Add(time.Hour), Zero: true})
	require.NoError(t, err)
	require.True(t, change.BeganNow)
	require.Zero(t, change.After.CommittedMicros)
	require.Equal(t, change.Before.ReservedMicros, change.After.ReservedMicros)
	require.Equal(t, b.clock.now(), change.After.Since)
	b.audit(t)

	_, err = b.ResetBudget(t.Context(), b.by("olga"), BudgetReset{Provider: "claude", ResetAt: b.clock.now()})
	requireCode(t, CodeResetInPast, err)
	_, err = b.ResetBudget(t.Context(), b.by("olga"), BudgetReset{Provider: "codex", ResetAt: b.clock.now().Add(time.Hour)})
	requireCode(t, CodeNotFound, err)
	_, err = b.ResetBudget(t.Context(), b.by("olga"), BudgetReset{Provider: "claude", Window: "weekly", ResetAt: b.clock.now().Add(time.Hour)})
	requireCode(t, CodeNotFound, err)
}

func TestTwoWhoSetANewWindowAtOnceMakeOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	done := make(chan error, 8)
	for range 8 {
		go func() {
			_, err := b.SetBudget(t.Context(), b.by("olga"), BudgetSet{
				Provider: "claude", Unit: "credits", LimitMicros: 500 * budget.Micro, ResetAt: start.Add(time.Hour),
			})
			done <- err
		}()
	}
	for range 8 {
		require.NoError(t, <-done)
	}
	b.window(t)
}
