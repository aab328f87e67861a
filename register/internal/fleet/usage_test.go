package fleet

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

const thousand = 1000 * budget.Micro

// tokens sets claude's token window: 500k over 100 minutes.
func (b *bundle) tokens(t *testing.T, change ...func(*BudgetSet)) {
	t.Helper()
	b.budget(t, append([]func(*BudgetSet){func(s *BudgetSet) { s.Window, s.Unit, s.LimitMicros = "weekly", "tokens", 500*thousand }}, change...)...)
}

func askTokens(thousands int64) Ask {
	return ask(0, exact, func(a *Ask) { a.Estimate = []Amount{{Unit: "tokens", Micros: thousands * thousand}} })
}

func (b *bundle) uses(t *testing.T, uses ...SeenUse) []Booking {
	t.Helper()
	answer, err := b.ReportUsage(t.Context(), b.by("coder-1"), UsageReport{Provider: "claude", Reporter: "claude-code", Uses: uses})
	require.NoError(t, err)
	b.audit(t)
	return answer.Booked
}

func (b *bundle) seenUsed(thousands int64, of ...Claim) SeenUse {
	use := SeenUse{Model: "claude-opus-4-8", Amount: Amount{"tokens", thousands * thousand}, Until: b.clock.now()}
	for _, claim := range of {
		use.Run = &UsageRun{claim.Dispatch.ID, int32(claim.Dispatch.Attempt), claim.ID}
	}
	return use
}

func TestUseThatNoDispatchExplainsIsBookedAsUnattributed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tokens(t)
	b.clock.pass(time.Minute)
	booked := b.uses(t, b.seenUsed(12))
	require.Equal(t, []Booking{{Kind: "unattributed", Unit: "tokens", Micros: 12 * thousand, Window: "claude/claude/weekly"}}, booked)
	require.Equal(t, int64(12*thousand), b.window(t).CommittedMicros)
	require.Equal(t, int64(12*thousand), b.window(t).UnattributedMicros)
	story := b.events(t)
	require.Equal(t, "budget.usage", story[len(story)-1].Type)
	require.Equal(t, "claude-code on claude: 12k tokens used outside of any dispatch.", story[len(story)-1].Cause)
}

func TestTokensNeverEnterAWindowOfAnotherUnit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.percent(t)
	booked := b.uses(t, b.seenUsed(12))
	require.Equal(t, []Booking{{Kind: "unattributed", Unit: "tokens", Micros: 12 * thousand}}, booked, "it stands in the ledger alone")
	require.Zero(t, b.window(t).CommittedMicros)
}

func TestAWindowOfOneModelCountsThatModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tokens(t, func(s *BudgetSet) { s.Model = "haiku" })
	require.Empty(t, b.uses(t, b.seenUsed(12))[0].Window)
	haiku := b.seenUsed(3)
	haiku.Model = "claude-haiku-4-5-20251001"
	require.Equal(t, "claude/claude/weekly", b.uses(t, haiku)[0].Window)
}

func TestARunsUseIsItsMeterAndIsNotBookedTwice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tokens(t)
	b.dispatch(t, askTokens(20))
	claim := b.claimed(t)
	require.Equal(t, []Booking{{Kind: "metered", Unit: "tokens", Micros: 5 * thousand, Dispatch: &claim.Dispatch.ID}}, b.uses(t, b.seenUsed(5, claim)))
	require.Empty(t, b.uses(t, b.seenUsed(4, claim)), "it only grows")
	b.uses(t, b.seenUsed(7, claim))
	require.Zero(t, b.window(t).CommittedMicros, "it is committed when the run ends")
	require.Equal(t, []Amount{{"tokens", 7 * thousand}}, b.show(t, claim.Dispatch.ID).Metered)

	b.ended(t, claim, nil)
	require.Equal(t, int64(7*thousand), b.window(t).CommittedMicros, "as it was metered, not as it was estimated")
	b.uses(t, b.seenUsed(9, claim))
	require.Equal(t, int64(9*thousand), b.window(t).CommittedMicros, "the last lines come after its end")
	require.Empty(t, b.uses(t, b.seenUsed(9, claim)))
	require.Empty(t, b.uses(t, b.seenUsed(8, claim)))
	require.Equal(t, int64(9*thousand), b.window(t).CommittedMicros)
}

// ended ends a run that is unmetered unless it says what it spent.
func (b *bundle) ended(t *testing.T, claim Claim, actuals []Amount) {
	t.Helper()
	completion := Completion{Claim: claim.ID, Outcome: StateDone, Actuals: actuals}
	if len(actuals) == 0 {
		completion.Unmetered = "it has no meter"
	}
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, completion)
	require.NoError(t, err)
	b.audit(t)
}

func TestWhatARunReportsItselfStands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tokens(t)
	b.dispatch(t, askTokens(20))
	claim := b.claimed(t)
	b.uses(t, b.seenUsed(5, claim))
	b.ended(t, claim, []Amount{{"tokens", 6 * thousand}})
	require.Empty(t, b.uses(t, b.seenUsed(8, claim)))
	require.Equal(t, int64(6*thousand), b.window(t).CommittedMicros)
}

func TestAnEstimateThatWasCommittedIsCorrectedByWhatIsSeenLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tokens(t)
	b.dispatch(t, askTokens(20))
	claim := b.claimed(t)
	b.ended(t, claim, nil)
	require.Equal(t, int64(20*thousand), b.window(t).CommittedMicros)
	require.Equal(t, int64(20*thousand), b.window(t).UnsettledMicros)
	booked := b.uses(t, b.seenUsed(8, claim))
	require.Equal(t, []Booking{{Kind: "correction", Unit: "tokens", Micros: -12 * thousand, Window: "claude/claude/weekly", Dispatch: &claim.Dispatch.ID}}, booked)
	require.Equal(t, int64(8*thousand), b.window(t).CommittedMicros)
}

func TestARunThatIsNotOursIsUnattributed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tokens(t)
	b.dispatch(t, askTokens(20))
	claim := b.claimed(t)
	other := claim
	other.ID = "of-another-register"
	require.Equal(t, "unattributed", b.uses(t, b.seenUsed(5, other))[0].Kind)
	other.Dispatch.ID = 99
	require.Equal(t, "unattributed", b.uses(t, b.seenUsed(5, other))[0].Kind)
}

func TestALostRunsLateUseCorrectsItsOwnAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tokens(t)
	b.dispatch(t, askTokens(20))
	lost := b.claimed(t)
	b.uses(t, b.seenUsed(5, lost))
	b.clock.pass(16 * time.Minute)
	require.NoError(t, b.Sweep(t.Context()))
	require.Equal(t, int64(5*thousand), b.window(t).CommittedMicros, "what it had metered")
	second := b.claimed(t)
	require.Equal(t, 2, second.Dispatch.Attempt)
	b.uses(t, b.seenUsed(6, lost), b.seenUsed(1, second))
	require.Equal(t, int64(6*thousand), b.window(t).CommittedMicros)
	require.Equal(t, []Amount{{"tokens", thousand}}, b.show(t, second.Dispatch.ID).Metered)
}

// I2 holds whatever comes at once: what a window shows is the sum of its ledger, and of its holds.
func TestTheLedgerAddsUpWhileRunsEndAndReadingsComeAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tokens(t)
	const writers = 32
	claims := make([]Claim, writers)
	for i := range claims {
		b.dispatch(t, ask(0, exact, func(a *Ask) {
			a.Estimate, a.Priority = []Amount{{Unit: "tokens", Micros: 500 * budget.Micro}}, 5
		}))
		claims[i] = b.claimed(t)
	}
	other := b.open(t, "beta")
	var group sync.WaitGroup
	failed := make(chan error, 4*writers)
	for i, claim := range claims {
		store := b.Store
		if i%2 == 1 {
			store = other
		}
		group.Go(func() {
			_, err := store.ReportUsage(t.Context(), b.by("coder-1"), UsageReport{Provider: "claude", Reporter: "claude-code", Uses: []SeenUse{
				{Amount: Amount{"tokens", int64(100+i) * budget.Micro}, Until: start, Run: &UsageRun{claim.Dispatch.ID, 1, claim.ID}},
				{Amount: Amount{"tokens", 10 * budget.Micro}, Until: start},
			}})
			failed <- err
			_, err = store.RecordReading(t.Context(), b.by("coder-1"), ReadingReport{Provider: "claude", Window: "weekly", UsedMicros: int64(5000+i) * budget.Micro})
			failed <- err
			_, err = store.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{Claim: claim.ID, Outcome: StateDone, Unmetered: "no meter"})
			failed <- err
			_, err = store.ReportUsage(t.Context(), b.by("coder-1"), UsageReport{Provider: "claude", Reporter: "claude-code", Uses: []SeenUse{
				{Amount: Amount{"tokens", int64(200+i) * budget.Micro}, Until: start, Run: &UsageRun{claim.Dispatch.ID, 1, claim.ID}},
			}})
			failed <- err
		})
	}
	group.Wait()
	close(failed)
	for err := range failed {
		require.NoError(t, err)
	}
	b.audit(t)
	wrong, err := b.CheckAccounts(t.Context())
	require.NoError(t, err)
	require.Empty(t, wrong)
	b.clock.pass(time.Second)
	b.read(t, 9000, func(r *ReadingReport) { r.Window = "weekly" })
	require.Equal(t, int64(9000*budget.Micro), b.window(t).UsedMicros, "what the provider says at last")
	for i, claim := range claims { // each run's use is booked once, whatever came before what
		var micros int64
		require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT sum(micros) FROM fleet.ledger WHERE dispatch_id = $1`, claim.Dispatch.ID).Scan(&micros))
		require.Equal(t, int64(200+i)*budget.Micro, micros, fmt.Sprint(claim.Dispatch.ID))
	}
}
