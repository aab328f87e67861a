package fleet

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// toldOf counts the events of a type.
func (b *bundle) toldOf(t *testing.T, kind string) int {
	t.Helper()
	return len(b.told(t, kind))
}

// epochs is every epoch of a window's definition, as since and end.
func (b *bundle) epochs(t *testing.T) [][2]time.Time {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), `SELECT since, least(reset_at, ended_at) FROM fleet.windows ORDER BY definition_id, epoch`)
	require.NoError(t, err)
	defer rows.Close()
	var out [][2]time.Time
	for rows.Next() {
		var since, until *time.Time
		require.NoError(t, rows.Scan(&since, &until))
		out = append(out, [2]time.Time{instant(since), instant(until)})
	}
	require.NoError(t, rows.Err())
	return out
}

func TestACalendarWindowRollsOverWithinTheAdmissionThatFindsItPastItsReset(t *testing.T) {
	t.Parallel()
	b := setup(t)
	change := b.budget(t, func(s *BudgetSet) { s.Recurrence, s.ResetAt = "every day at 12:00", time.Time{} })
	require.Equal(t, start.Add(-21*time.Hour), change.After.Since, "it began where its recurrence says")
	require.Equal(t, start.Add(3*time.Hour), change.After.ResetAt)
	require.False(t, change.BeganNow)
	require.Equal(t, StateReady, b.dispatch(t, ask(400)).State)
	claim := b.claimed(t)

	b.clock.pass(3*24*time.Hour + 3*time.Hour)
	require.Equal(t, start.Add(75*time.Hour), b.window(t).Since, "it is shown as the next judgement will find it")
	require.Zero(t, b.window(t).CommittedMicros)
	require.Equal(t, int64(400*budget.Micro), b.window(t).ReservedMicros, "what runs is held on")
	second := b.dispatch(t, ask(101, exact))
	require.Equal(t, StateRefused, b.dispatch(t, ask(501, exact)).State)
	require.Equal(t, StateQueued, second.State, "the cap still counts what is held: %s", second.Reason)

	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{Unit: "credits", Micros: budget.Micro}}})
	require.NoError(t, err)
	require.Equal(t, int64(budget.Micro), b.window(t).CommittedMicros, "it is booked in the epoch it ended in")
	require.Equal(t, 1, b.toldOf(t, "budget.rolled"))
	epochs := b.epochs(t)
	require.Len(t, epochs, 5)
	for i := 1; i < len(epochs); i++ {
		require.Equal(t, epochs[i-1][1], epochs[i][0], "epochs are contiguous, those too in which nobody asked")
	}
	b.audit(t)
}

func TestARollingWindowOpensWithItsFirstAdmission(t *testing.T) {
	t.Parallel()
	b := setup(t)
	change := b.budget(t, func(s *BudgetSet) { s.Recurrence, s.ResetAt = "rolling 5h", time.Time{} })
	require.True(t, change.After.Closed)
	require.Zero(t, change.After.Since)
	b.clock.pass(time.Hour)
	_, err := b.CreateDispatch(t.Context(), b.by("olga"), ask(501, exact))
	require.NoError(t, err)
	require.True(t, b.window(t).Closed, "what is refused opens nothing")
	created := b.dispatch(t, ask(10))
	require.Equal(t, StateReady, created.State)
	require.Equal(t, start.Add(time.Hour), b.window(t).Since)
	require.Equal(t, start.Add(6*time.Hour), b.window(t).ResetAt)

	b.clock.pass(6 * time.Hour)
	_, err = b.Wake(t.Context())
	require.NoError(t, err)
	require.Equal(t, start.Add(6*time.Hour), b.window(t).Since, "live work keeps it open")
	_, err = b.CancelDispatch(t.Context(), b.by("olga"), created.ID, "enough")
	require.NoError(t, err)
	b.clock.pass(5 * time.Hour)
	_, err = b.Wake(t.Context())
	require.NoError(t, err)
	require.True(t, b.window(t).Closed)
	require.Equal(t, 2, b.toldOf(t, "budget.rolled"))
	b.audit(t)
}

func TestAWindowThatNothingRenewsIsSaidToHaveLapsedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	next, err := b.NextWake(t.Context())
	require.NoError(t, err)
	require.Equal(t, start.Add(100*time.Minute), next, "somebody looks at its reset")
	b.clock.pass(100 * time.Minute)
	for range 3 {
		_, err := b.Wake(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, 1, b.toldOf(t, "budget.lapsed"))
	require.True(t, b.window(t).Lapsed)
	next, err = b.NextWake(t.Context())
	require.NoError(t, err)
	require.Zero(t, next)
	b.budget(t)
	require.False(t, b.window(t).Lapsed)
	b.clock.pass(100 * time.Minute)
	b.dispatch(t, ask(1))
	require.Equal(t, 2, b.toldOf(t, "budget.lapsed"), "the next epoch lapses by itself")
}

func TestAResetEndsTheStepAndTheRingOfTheEpochBefore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) {
		s.Recurrence, s.ResetAt = "every hour", start.Add(30*time.Minute)
		s.UsedMicros = new(int64(500 * budget.Micro))
	})
	require.Equal(t, "refuse", b.window(t).Step)
	require.Len(t, b.rings(t), 1)
	b.clock.pass(30 * time.Minute)
	require.Equal(t, "normal", b.window(t).Step)
	_, err := b.Wake(t.Context())
	require.NoError(t, err)
	require.Equal(t, "normal", b.window(t).Step)
	steps := b.told(t, "budget.step")
	require.Equal(t, "refuse", steps[len(steps)-1].Step.From)
	require.Equal(t, "normal", steps[len(steps)-1].Step.To)
	require.Empty(t, b.rings(t), "nobody is rung for an epoch that is over")
}

func TestAWindowRollsOverOnceUnder32WritersOnTwoGateways(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) {
		s.Recurrence, s.ResetAt, s.Window = "every hour", start.Add(30*time.Minute), "hour"
	})
	b.budget(t, func(s *BudgetSet) {
		s.Recurrence, s.ResetAt, s.Window = "every 2 hours", start.Add(30*time.Minute), "two"
	})
	b.dispatch(t, ask(25))
	waiting := b.dispatch(t, ask(300, exact))
	require.Equal(t, StateQueued, waiting.State)
	other := b.open(t, "beta")
	b.clock.pass(31 * time.Minute)
	var wait sync.WaitGroup
	failures := make([]error, 32)
	for i := range failures {
		store := []*Store{b.Store, other}[i%2]
		mutation := b.by("olga")
		wait.Go(func() {
			if i%8 == 7 {
				_, failures[i] = store.Wake(t.Context())
				return
			}
			_, failures[i] = store.CreateDispatch(t.Context(), mutation, ask(1, exact))
		})
	}
	wait.Wait()
	for _, err := range failures {
		require.NoError(t, err)
	}
	require.Equal(t, 2, b.toldOf(t, "budget.rolled"), "once for each window")
	require.Len(t, b.epochs(t), 4)
	status, err := b.Budgets(t.Context(), "claude")
	require.NoError(t, err)
	for _, window := range status.Windows {
		require.Equal(t, start.Add(30*time.Minute), window.Since)
		require.GreaterOrEqual(t, window.Waiting, 1, "the line moved along")
	}
	require.Equal(t, StateQueued, b.show(t, waiting.ID).State)
	b.audit(t)
}

// TestADayThatIsShorterOrLongerIsOneEpoch has its reset fall into the hour that a zone skips, and into the one it has twice.
func TestADayThatIsShorterOrLongerIsOneEpoch(t *testing.T) {
	t.Parallel()
	for _, day := range []struct {
		name, recurrence string
		from             string
		resets           []string // one after the other, as RFC 3339 with the offset the clock shows
	}{
		{
			"gap", "every day at 02:30 in Europe/Berlin", "2027-03-27T12:00:00+01:00",
			[]string{"2027-03-28T03:30:00+02:00", "2027-03-29T02:30:00+02:00"}, // 02:30 is skipped and read as if the clock had not jumped
		},
		{
			"fold", "every day at 02:30 in Europe/Berlin", "2026-10-24T12:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}, // 02:30 comes twice, and the first one counts
		},
		{
			"half an hour", "every day at 02:15 in Australia/Lord_Howe", "2026-10-03T12:00:00+10:30",
			[]string{"2026-10-04T02:45:00+11:00", "2026-10-05T02:15:00+11:00"},
		},
	} {
		t.Run(day.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			at := func(text string) time.Time {
				instant, err := time.Parse(time.RFC3339, text)
				require.NoError(t, err)
				return instant.UTC()
			}
			b.clock.pass(at(day.from).Sub(b.clock.now()))
			for _, name := range []string{"coder-1", "tester-1"} {
				b.declare(t, Declaration{Name: name, Host: "alpha", Liveness: 1000 * time.Hour})
			}
			change := b.budget(t, func(s *BudgetSet) { s.Recurrence, s.ResetAt = day.recurrence, time.Time{} })
			for _, reset := range day.resets {
				require.Equal(t, at(reset), change.After.ResetAt)
				for _, step := range []time.Duration{-time.Microsecond, 0} {
					b.clock.pass(at(reset).Add(step).Sub(b.clock.now()))
					created := b.dispatch(t, ask(1))
					require.Equal(t, StateReady, created.State, created.Reason)
				}
				require.Equal(t, at(reset), b.window(t).Since, "it rolls over at the very instant")
				change.After = b.window(t)
			}
			require.Equal(t, len(day.resets), b.toldOf(t, "budget.rolled"), fmt.Sprint(b.epochs(t)))
			b.audit(t)
		})
	}
}
