package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// read reports what claude says of a window at the clock's instant.
func (b *bundle) read(t *testing.T, used int64, change ...func(*ReadingReport)) ReadingAnswer {
	t.Helper()
	report := ReadingReport{Provider: "claude", UsedMicros: used * budget.Micro, Reporter: "claude-code"}
	for _, alter := range change {
		alter(&report)
	}
	answer, err := b.RecordReading(t.Context(), b.by("coder-1"), report)
	require.NoError(t, err)
	b.audit(t)
	return answer
}

func byHand(r *ReadingReport) { r.Source, r.Reporter = "user-entered", "" }

// percent sets claude's percent window: 100 % over 100 minutes.
func (b *bundle) percent(t *testing.T) {
	t.Helper()
	b.budget(t, func(s *BudgetSet) { s.Unit, s.LimitMicros = "percent", 100*budget.Micro })
}

func askPercent(points int64) Ask {
	return ask(0, exact, func(a *Ask) { a.Estimate = []Amount{{Unit: "percent", Micros: points * budget.Micro}} })
}

func TestAReadingCorrectsItsWindowAndBooksWhatNoDispatchExplains(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = new(int64(10 * budget.Micro)) })
	b.dispatch(t, ask(5, exact))
	b.clock.pass(time.Minute)
	answer := b.read(t, 22)
	require.Equal(t, ReadingBelieved, answer.Reading.Verdict)
	require.Equal(t, int64(7*budget.Micro), answer.Reading.BookedMicros, "22 less the 10 that are booked and the 5 that are held")
	require.Equal(t, "7 credits were used outside of any dispatch.", answer.Reading.Cause)
	require.Equal(t, int64(15*budget.Micro), answer.Before.UsedMicros)
	require.Equal(t, int64(22*budget.Micro), answer.After.UsedMicros)
	require.Equal(t, "provider-detected", answer.After.Source)
	require.Equal(t, b.clock.now(), answer.After.CheckedAt)
	require.Contains(t, b.story(t), "budget.reading")

	b.clock.pass(time.Minute)
	answer = b.read(t, 20)
	require.Equal(t, int64(0), answer.Reading.BookedMicros, "C <= U <= C + R: it agrees")
	require.Equal(t, "It agrees with what is booked and held.", answer.Reading.Cause)
}

func TestWhatWasBookedTooHighIsTakenBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.percent(t)
	b.dispatch(t, askPercent(4))
	claim := b.claimed(t)
	b.clock.pass(time.Minute)
	b.read(t, 2) // while it runs
	require.Zero(t, b.window(t).CommittedMicros, "running work explains it")
	b.clock.pass(time.Minute)
	b.ended(t, claim, nil)
	require.Equal(t, int64(4*budget.Micro), b.window(t).UnsettledMicros, "committed as its estimate until the next reading")
	b.clock.pass(time.Minute)
	answer := b.read(t, 2)
	require.Equal(t, int64(-2*budget.Micro), answer.Reading.BookedMicros)
	require.Equal(t, "2% less were used than was booked.", answer.Reading.Cause)
	require.Equal(t, int64(2*budget.Micro), b.window(t).CommittedMicros)
	require.Zero(t, b.window(t).UnsettledMicros)
	require.Equal(t, int64(-2*budget.Micro), b.window(t).UnattributedMicros)
}

func TestAReadingIsJudgedByWhatStoodWhenItWasTaken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	taken := b.clock.now().Add(time.Minute)
	b.clock.pass(2 * time.Minute)
	b.dispatch(t, ask(10, exact))
	claim := b.claimed(t)
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{"credits", 9 * budget.Micro}}})
	require.NoError(t, err)
	answer := b.read(t, 3, func(r *ReadingReport) { r.TakenAt = taken })
	require.Equal(t, int64(3*budget.Micro), answer.Reading.BookedMicros)
	require.Equal(t, int64(12*budget.Micro), answer.After.UsedMicros, "U + (C(now) - C(t_u)) + R")
}

func TestAReadingOfAWindowNobodySetMakesIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reset := b.clock.now().Add(3 * time.Hour)
	answer := b.read(t, 12, func(r *ReadingReport) { r.Window, r.ResetAt = "5h", reset })
	require.Nil(t, answer.Before)
	require.Equal(t, "percent", answer.After.Unit)
	require.Equal(t, int64(100*budget.Micro), answer.After.LimitMicros)
	require.Equal(t, reset.Add(-5*time.Hour), answer.After.Since)
	require.Equal(t, reset, answer.After.ResetAt)
	require.Equal(t, "provider-detected", answer.After.Source)
	require.False(t, answer.After.Mine)
	require.Equal(t, "Nobody had set this window, so it was made; 12% of it are used.", answer.Reading.Cause)
	again := b.read(t, 13, func(r *ReadingReport) { r.Window, r.ResetAt = "5h", reset })
	require.Equal(t, int64(0), again.Reading.BookedMicros, "a point is what a provider rounds")

	for _, wrong := range []struct {
		field, detail string
		alter         func(*ReadingReport)
	}{
		{"reset_at", "There is no window weekly of claude yet, and a reading makes one only if it says when that resets.", func(r *ReadingReport) { r.ResetAt = time.Time{} }},
		{"limit_micros", "There is no window weekly of claude yet, and a reading in tokens makes one only if it says the limit.", func(r *ReadingReport) { r.Unit = "tokens" }},
		{"taken_at", "There is no such window yet, and this reading cannot make it. It says a reset that has passed, 2026-11-23T08:00:00Z.", func(r *ReadingReport) { r.ResetAt = start.Add(-time.Hour) }},
	} {
		report := ReadingReport{Provider: "claude", Window: "weekly", UsedMicros: budget.Micro, ResetAt: reset}
		wrong.alter(&report)
		_, err := b.RecordReading(t.Context(), b.by("olga"), report)
		refusal := requireCode(t, CodeInvalid, err)
		require.Equal(t, wrong.field, refusal.Field)
		require.Equal(t, wrong.detail, refusal.Detail)
		require.NotEmpty(t, refusal.Example)
	}
	_, err := b.RecordReading(t.Context(), b.by("olga"), ReadingReport{Provider: "claude", Window: "5h", Unit: "tokens", UsedMicros: 1})
	require.Equal(t, "The window 5h counts percent, not tokens; one unit never enters a window of another.", requireCode(t, CodeUnitMismatch, err).Detail)
}

func TestAReadingThatIsDoubtedIsKeptChangesNothingAndIsToldOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.read(t, 40)
	b.clock.pass(time.Minute)
	before := b.window(t)
	for _, doubted := range []struct {
		doubt, cause string
		used         int64
		alter        func(*ReadingReport)
	}{
		{doubtFuture, "It was taken at 2026-11-23T09:06:00Z, which is still to come; it is now 2026-11-23T09:01:00Z.", 41, func(r *ReadingReport) { r.TakenAt = start.Add(6 * time.Minute) }},
		{doubtStale, "It was taken at 2026-11-23T08:40:00Z, more than 15 minutes ago.", 41, func(r *ReadingReport) { r.TakenAt = start.Add(-20 * time.Minute) }},
		{doubtOlder, "One that was taken later, at 2026-11-23T09:00:00Z, is believed already.", 39, func(r *ReadingReport) { r.TakenAt = start.Add(-time.Minute) }},
		{doubtReset, "It says a reset that has passed, 2026-11-23T09:00:30Z.", 41, func(r *ReadingReport) { r.ResetAt = start.Add(30 * time.Second) }},
		{doubtUnlikely, "It says 2 credits after 40 credits; use does not fall before the reset. It counts if the next reading agrees.", 2, func(*ReadingReport) {}},
		{doubtUnlikely, "It says 400 credits after 40 credits, which is more than half of the limit at once. It counts if the next reading agrees.", 400, func(*ReadingReport) {}},
		{doubtUnlikely, "It says a reset at 2026-11-23T18:00:00Z instead of 2026-11-23T10:40:00Z, before that has come. It counts if the next reading agrees.", 1, func(r *ReadingReport) { r.ResetAt = start.Add(9 * time.Hour) }},
	} {
		answer := b.read(t, doubted.used, doubted.alter)
		require.Equal(t, ReadingDoubted, answer.Reading.Verdict, doubted.cause)
		require.Equal(t, doubted.cause, answer.Reading.Cause)
		require.Equal(t, before, b.window(t), "nothing has changed")
		again := len(b.events(t))
		b.read(t, doubted.used, func(r *ReadingReport) { doubted.alter(r); r.TakenAt = answer.Reading.TakenAt })
		require.Len(t, b.events(t), again, "said once: %s", doubted.doubt)
	}
	page, err := b.Readings(t.Context(), "claude", 0, 100)
	require.NoError(t, err)
	require.Len(t, page.Readings, 15, "all are kept")
	require.Error(t, b.exec(t.Context(), `DELETE FROM fleet.readings`))
	require.Error(t, b.exec(t.Context(), `UPDATE fleet.readings SET used_micros = 0`))
}

func TestASecondReadingThatAgreesIsBelieved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.read(t, 40)
	b.clock.pass(time.Minute)
	require.Equal(t, ReadingDoubted, b.read(t, 400).Reading.Verdict)
	b.clock.pass(time.Minute)
	answer := b.read(t, 401)
	require.Equal(t, ReadingBelieved, answer.Reading.Verdict)
	require.Equal(t, int64(401*budget.Micro), answer.After.UsedMicros)

	b.clock.pass(time.Minute)
	early := func(r *ReadingReport) { r.ResetAt, r.Every = b.clock.now().Add(100*time.Minute), 100*time.Minute }
	b.clock.pass(60 * time.Minute)
	require.Equal(t, ReadingDoubted, b.read(t, 3, early).Reading.Verdict)
	b.clock.pass(time.Minute)
	answer = b.read(t, 4, early)
	require.Equal(t, ReadingBelieved, answer.Reading.Verdict)
	require.Equal(t, "A new epoch has begun; 4 credits of it are used.", answer.Reading.Cause)
	require.Equal(t, int64(4*budget.Micro), answer.After.CommittedMicros)
	require.Equal(t, b.clock.now(), answer.After.Since, "it begins when it is known, since the epoch before went on until then")
	require.Equal(t, b.clock.now().Add(100*time.Minute), answer.After.ResetAt)
}

func TestAResetThatWasDueBeginsAnEpochAndHoldsMoveAlong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reset := start.Add(100 * time.Minute)
	b.read(t, 1, func(r *ReadingReport) { r.Window, r.ResetAt, r.Every = "main", reset, 100*time.Minute })
	running := b.dispatch(t, askPercent(3))
	require.Equal(t, StateReady, running.State)
	claim := b.claimed(t)
	b.clock.pass(100 * time.Minute)
	require.True(t, b.window(t).Lapsed)
	lapsed := b.read(t, 1, func(r *ReadingReport) { r.ResetAt = time.Time{} })
	require.Equal(t, "The window lapsed at 2026-11-23T10:40:00Z, and this does not say when it resets now.", lapsed.Reading.Cause)
	answer := b.read(t, 5, func(r *ReadingReport) { r.ResetAt = reset.Add(100 * time.Minute) })
	require.Equal(t, ReadingBelieved, answer.Reading.Verdict)
	require.Equal(t, reset, answer.After.Since)
	require.Equal(t, int64(3*budget.Micro), answer.After.ReservedMicros)
	require.Equal(t, int64(2*budget.Micro), answer.After.CommittedMicros, "what running work does not explain")
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), running.ID, Completion{Claim: claim.ID, Outcome: StateDone, Unmetered: "no meter"})
	require.NoError(t, err)
	require.Equal(t, int64(5*budget.Micro), b.window(t).CommittedMicros)
	b.audit(t)
}

func TestWhatPeopleEnteredNeverGoesStaleAndWhatWasReadDoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	answer := b.read(t, 10, byHand)
	require.Equal(t, "user-entered", answer.After.Source)
	require.Equal(t, "coder-1", answer.Reading.Reporter)
	b.clock.pass(time.Hour)
	refused := b.dispatch(t, ask(499, exact, func(a *Ask) { a.Deadline = b.clock.now().Add(time.Minute) }))
	require.Equal(t, StateRefused, refused.State, "it is as fresh as ever")

	b.read(t, 11)
	b.clock.pass(16 * time.Minute)
	admitted := b.dispatch(t, ask(499, exact, func(a *Ask) { a.Deadline = b.clock.now().Add(time.Minute) }))
	require.Equal(t, StateReady, admitted.State, "an unknown meter is advisory: %s", admitted.Reason)
	b.audit(t)
}

func TestAReadingPlansWaitingWorkAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = new(int64(100 * budget.Micro)) })
	waiting := b.dispatch(t, ask(10, exact))
	require.Equal(t, StateQueued, waiting.State)
	b.clock.pass(time.Minute)
	answer := b.read(t, 5)
	require.Equal(t, []DispatchID{waiting.ID}, answer.Replanned)
	require.Equal(t, StateReady, b.show(t, waiting.ID).State)
}

func TestTheSameReadingReportedTwiceIsOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	m, report := b.by("coder-1"), ReadingReport{Provider: "claude", UsedMicros: 7 * budget.Micro}
	first, err := b.RecordReading(t.Context(), m, report)
	require.NoError(t, err)
	second, err := b.RecordReading(t.Context(), m, report)
	require.NoError(t, err)
	require.Equal(t, first.Reading.ID, second.Reading.ID)
	require.Equal(t, int64(7*budget.Micro), b.window(t).CommittedMicros)
	page, err := b.Readings(t.Context(), "", 0, 1)
	require.NoError(t, err)
	require.Len(t, page.Readings, 1)
	require.Empty(t, page.Next)
	b.audit(t)
}
