package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func TestWhatNoRecurringWindowCanBeIsRefusedInOneSentence(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.Scope, s.Subscription = "role:coder", "claude" })
	for _, wrong := range []struct {
		field, detail string
		alter         func(*BudgetSet)
	}{
		{"scope", "The window main meters role:coder, not role:tester.", func(s *BudgetSet) { s.Subscription, s.Scope = "claude", "role:tester" }},
		{"scope", `"coder" is not a scope, write subscription, or role, project or mission with a name, such as role:coder.`, func(s *BudgetSet) { s.Scope = "coder" }},
		{"model", "The window main meters every model, not opus.", func(s *BudgetSet) { s.Model = "opus" }},
		{"recurrence", `"fortnight" is not a period, write hours, days, weeks or months, such as every 2 weeks.`, func(s *BudgetSet) { s.Recurrence = "every fortnight" }},
		{"recurrence", `"Mars/Olympus" is not a time zone, write its name in the tz database, such as Europe/Berlin.`, func(s *BudgetSet) { s.Recurrence, s.Zone = "every week", "Mars/Olympus" }},
		{"hours", `"noon" is not working hours, write weekdays and a span, such as mon-fri 09:00-18:00 in Europe/Berlin.`, func(s *BudgetSet) { s.Hours = "noon" }},
		{"reset_at", `When "every week" begins is not said.`, func(s *BudgetSet) { s.Recurrence, s.ResetAt = "every week", time.Time{} }},
		{"reset_at", "The reset 2026-11-25T09:00:00Z is not the next one of every day at 09:00 in UTC; that is 2026-11-24T09:00:00Z.", func(s *BudgetSet) { s.Recurrence, s.ResetAt = "every day", start.Add(48*time.Hour) }},
		{"reset_at", "The reset 2026-11-23T15:00:00Z is further away than a window of 5h lasts.", func(s *BudgetSet) { s.Window, s.Recurrence, s.ResetAt = "5h", "rolling 5h", start.Add(6*time.Hour) }},
		{"reset_at", "When the window resets is not said.", func(s *BudgetSet) { s.Window, s.ResetAt = "new", time.Time{} }},
		{"confidence", "The confidence 1.5 is not from 0 to 1.", func(s *BudgetSet) { s.Confidence = new(1.5) }},
		{"subscription", "A window of all providers is shared by all their subscriptions, so it cannot belong to team-a.", func(s *BudgetSet) { s.Provider, s.Subscription = All, "team-a" }},
	} {
		set := BudgetSet{Provider: "claude", Unit: "credits", LimitMicros: 500 * budget.Micro, ResetAt: start.Add(time.Hour)}
		wrong.alter(&set)
		_, err := b.SetBudget(t.Context(), b.by("olga"), set)
		refusal := requireCode(t, CodeInvalid, err)
		require.Equal(t, wrong.field, refusal.Field, refusal.Detail)
		require.Equal(t, wrong.detail, refusal.Detail)
		require.NotEmpty(t, refusal.Example, wrong.detail)
	}
	require.Equal(t, []string{"budget.set"}, b.story(t), "nothing was half done")
}

func TestARecurrenceWithoutADayIsCountedFromItsReset(t *testing.T) {
	t.Parallel()
	b := setup(t)
	change := b.budget(t, func(s *BudgetSet) {
		s.Recurrence, s.Zone, s.ResetAt = "every week", "Europe/Berlin", start.Add(96*time.Hour+30*time.Second)
	})
	require.Equal(t, "every week on fri at 10:00 in Europe/Berlin", change.After.Recurrence)
	require.Equal(t, "Europe/Berlin", change.After.Zone)
	require.Equal(t, start.Add(96*time.Hour), change.After.ResetAt, "whole minutes")
	require.Equal(t, start.Add(-72*time.Hour), change.After.Since)
	require.False(t, change.BeganNow)

	b.dispatch(t, ask(10))
	change = b.budget(t, func(s *BudgetSet) { s.LimitMicros, s.ResetAt = 900*budget.Micro, time.Time{} })
	require.Equal(t, "every week on fri at 10:00 in Europe/Berlin", change.After.Recurrence, "the same name amends and keeps what was not said")
	require.Equal(t, int64(10*budget.Micro), change.After.UsedMicros)
	require.Equal(t, start.Add(96*time.Hour), change.After.ResetAt)

	reset, err := b.ResetBudget(t.Context(), b.by("olga"), BudgetReset{Provider: "claude", ResetAt: start.Add(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, int64(10*budget.Micro), reset.After.UsedMicros, "a corrected reset keeps the use")
	b.clock.pass(time.Hour)
	_, err = b.Wake(t.Context())
	require.NoError(t, err)
	require.Equal(t, start.Add(time.Hour), b.window(t).Since, "the next epoch begins where this one ended")
	require.Equal(t, start.Add(96*time.Hour), b.window(t).ResetAt)

	zeroed, err := b.ResetBudget(t.Context(), b.by("olga"), BudgetReset{Provider: "claude", Zero: true})
	require.NoError(t, err)
	require.Equal(t, start.Add(time.Hour), zeroed.After.Since)
	require.Equal(t, start.Add(96*time.Hour), zeroed.After.ResetAt, "a window that recurs knows its reset")
	require.Zero(t, zeroed.After.CommittedMicros)
	b.audit(t)
}

func TestARollingWindowThatIsUsedAlreadyIsOpen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		alter        func(*BudgetSet)
		since, reset time.Duration
		beganNow     bool
	}{
		{func(s *BudgetSet) { s.UsedMicros = new(int64(budget.Micro)) }, 0, 5 * time.Hour, true},
		{func(s *BudgetSet) { s.Since = start.Add(-time.Hour) }, -time.Hour, 4 * time.Hour, false},
		{func(s *BudgetSet) { s.ResetAt = start.Add(2 * time.Hour) }, -3 * time.Hour, 2 * time.Hour, false},
	} {
		change := b.budget(t, func(s *BudgetSet) {
			s.Window, s.Recurrence, s.ResetAt = time.Duration(len(b.epochs(t))).String(), "rolling 5h", time.Time{}
			c.alter(s)
		})
		require.False(t, change.After.Closed)
		require.Equal(t, start.Add(c.since), change.After.Since)
		require.Equal(t, start.Add(c.reset), change.After.ResetAt)
		require.Equal(t, c.beganNow, change.BeganNow)
	}
	b.audit(t)
}

func TestALapsedWindowMayHaveBegunAnewBeforeAnybodySaidSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.clock.pass(3 * time.Hour)
	set := BudgetSet{Provider: "claude", Unit: "tokens", LimitMicros: 900 * budget.Micro, ResetAt: start.Add(10 * time.Hour), Since: start.Add(-time.Minute)}
	_, err := b.SetBudget(t.Context(), b.by("olga"), set)
	refusal := requireCode(t, CodeInvalid, err)
	require.Equal(t, "The epoch before ended at 2026-11-23T09:00:00Z, so this one cannot begin at 2026-11-23T08:59:00Z.", refusal.Detail)
	set.Since = start.Add(time.Hour) // within the epoch that lapsed
	change, err := b.SetBudget(t.Context(), b.by("olga"), set)
	require.NoError(t, err)
	require.Equal(t, "tokens", change.After.Unit, "a window that is unknown may count anew")
	require.Equal(t, [][2]time.Time{{start, start.Add(time.Hour)}, {start.Add(time.Hour), start.Add(10 * time.Hour)}}, b.epochs(t))
}

func TestWorkingHoursSpreadAWindowOverTheTimePeopleAreAtWork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	change := b.budget(t, func(s *BudgetSet) {
		s.Recurrence, s.Hours, s.Zone, s.ResetAt = "every day at 00:00", "mon-fri 09:00-19:00", "UTC", time.Time{}
	})
	require.Equal(t, "mon-fri 09:00-19:00 in UTC", change.After.Hours)
	require.Zero(t, change.After.AllowanceMicros, "nobody was at work yet")
	b.clock.pass(time.Hour)
	require.Equal(t, int64(50*budget.Micro), b.window(t).AllowanceMicros, "a tenth of the working day")
	b.clock.pass(9 * time.Hour)
	require.Equal(t, int64(500*budget.Micro), b.window(t).AllowanceMicros)
	change = b.budget(t, func(s *BudgetSet) { s.Hours, s.ResetAt = NoHours, time.Time{} })
	require.Empty(t, change.After.Hours)
	require.Equal(t, int64(500*19/24*budget.Micro)/1_000_000, change.After.AllowanceMicros/1_000_000)
}

func TestTheFiveHourAndTheWeeklyWindowAreBothJudged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) {
		s.Window, s.Recurrence, s.LimitMicros, s.ResetAt = "5h", "rolling 5h", 40*budget.Micro, time.Time{}
	})
	b.budget(t, func(s *BudgetSet) {
		s.Window, s.Recurrence, s.ResetAt = "weekly", "every week on mon at 08:00", time.Time{}
	})
	b.budget(t, func(s *BudgetSet) { s.Window, s.Model, s.LimitMicros = "opus", "opus", 200*budget.Micro })
	first := b.dispatch(t, ask(10, exact))
	require.Equal(t, StateReady, first.State, first.Reason)
	require.Len(t, first.Holds, 3, "all of them or none")
	second := b.dispatch(t, ask(35, exact))
	require.Equal(t, StateQueued, second.State, "the five hours are short: %s", second.Reason)
	other := b.dispatch(t, ask(3, exact, func(a *Ask) { a.Model, a.Priority = "sonnet", 9 }))
	waits := func(id DispatchID) (windows int) {
		require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT cardinality(waits_on) FROM fleet.dispatches WHERE id = $1`, int64(id)).Scan(&windows))
		return windows
	}
	require.Equal(t, 3, waits(second.ID))
	require.Equal(t, 2, waits(other.ID), "the window of opus does not meter sonnet: %s", other.Reason)
	b.audit(t)
}
