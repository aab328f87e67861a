package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func TestASessionThatDoesNotFitItsContextIsRejectedWithTheReason(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fits := b.dispatch(t, ask(1, func(a *Ask) { a.ContextTokens = DefaultContextCap }))
	require.Equal(t, int64(DefaultContextCap), fits.ContextTokens)
	require.Equal(t, int64(DefaultContextCap), b.claimed(t).ContextCap, "the worker is told")

	_, err := b.CreateDispatch(t.Context(), b.by("olga"), ask(1, func(a *Ask) { a.ContextTokens = DefaultContextCap + 1 }))
	refused := requireCode(t, CodeContextCap, err)
	require.Equal(t, "A session of this run would need 200.001k tokens of context, and at most 200k tokens fit: "+
		"a session that does not fit its context loses the thread.", refused.Detail)
	require.Contains(t, refused.NextStep, "Split the work")

	brief := func(bytes int) func(*Ask) { return func(a *Ask) { a.Brief = strings.Repeat("x", bytes) } }
	b.dispatch(t, ask(1, brief(4*DefaultContextCap)))
	_, err = b.CreateDispatch(t.Context(), b.by("olga"), ask(1, brief(4*DefaultContextCap+1)))
	require.Contains(t, requireCode(t, CodeContextCap, err).Detail, "The brief alone takes about 200.001k tokens of context")

	b.cancelled(t, 2)
	b.options.ContextCap = 100
	_, err = b.RetryDispatch(t.Context(), b.by("olga"), 2, Retry{})
	requireCode(t, CodeContextCap, err)
	_, err = b.CreateDispatch(t.Context(), b.by("olga"), ask(1, func(a *Ask) { a.DryRun, a.ContextTokens = true, 101 }))
	requireCode(t, CodeContextCap, err)
}

func TestADryRunReservesAndWritesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.subscribed(t)
	b.dispatch(t, ask(0, several))
	// A fingerprint of every row of every table.
	mark := func() (marks string) {
		require.NoError(t, b.pool.QueryRow(t.Context(), `
			SELECT string_agg(table_name || ' ' || (xpath('/row/m/text()', query_to_xml(format(
				'SELECT md5(coalesce(string_agg(r::text, E''\n'' ORDER BY r::text), '''')) AS m FROM fleet.%I r', table_name), false, true, '')))[1]::text, E'\n' ORDER BY table_name)
			FROM information_schema.tables WHERE table_schema = 'fleet'`).Scan(&marks))
		require.Contains(t, marks, "reservations ")
		return marks
	}
	before := mark()
	for name, alter := range map[string]func(*Ask){
		"ready": several, "queued": func(a *Ask) { exact(a); a.Estimate = []Amount{{coins, 50 * budget.Micro}, {tokenUnit, 0}, {points, 0}} },
		"refused": func(a *Ask) { several(a); a.Deadline = start.Add(-time.Hour) },
		"after":   func(a *Ask) { several(a); a.DependsOn = []DispatchID{1} },
	} {
		dry := b.dispatch(t, ask(0, alter, func(a *Ask) { a.DryRun = true }))
		require.True(t, dry.DryRun, name)
		require.Zero(t, dry.ID)
		require.Equal(t, before, mark(), name)
	}
	require.Equal(t, DispatchID(2), b.dispatch(t, ask(0, several)).ID, "no number was used up")
	require.NotEqual(t, before, mark())
}

func TestALostDispatchIsClaimedAsOftenAsWasAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := b.dispatch(t, ask(1, func(a *Ask) { a.MaxAttempts = 2 }))
	require.Equal(t, 2, created.MaxAttempts)
	require.Equal(t, 3, b.dispatch(t, ask(1, func(a *Ask) { a.Role = "tester" })).MaxAttempts)
	for range 2 {
		b.claimed(t)
		b.clock.pass(15 * time.Minute)
		b.sweep(t)
	}
	failed := b.show(t, created.ID)
	require.Equal(t, "coder-1 was lost on attempt 2 of 2.", failed.Reason)
	require.Equal(t, "coder-1 was lost before it had metered anything", failed.Unmetered)
	for _, wrong := range []string{"0", "11"} {
		requireState(t, "23514", b.exec(t.Context(), `UPDATE fleet.dispatches SET max_attempts = `+wrong+` WHERE id = 2`))
	}
	requireState(t, "23514", b.exec(t.Context(), `UPDATE fleet.dispatches SET attempt = 4 WHERE id = 2`))
}

func TestAClaimLivesAsLongAsItsLastHeartbeatSaid(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, ask(1))
	claim := b.claimed(t)
	require.Equal(t, start.Add(15*time.Minute), claim.ExpiresAt)
	beat := func(ttl time.Duration) Heartbeat {
		answer, err := b.HeartbeatDispatch(t.Context(), b.by("coder-1"), 1, Beat{Claim: claim.ID, TTL: ttl})
		require.NoError(t, err)
		return answer
	}
	require.Equal(t, start.Add(time.Hour), beat(time.Hour).ExpiresAt)
	require.Equal(t, start.Add(5*time.Second), beat(5*time.Second).ExpiresAt, "a heartbeat may shorten it too")
	b.clock.pass(5*time.Second - time.Microsecond)
	b.sweep(t)
	require.Equal(t, StateRunning, b.show(t, 1).State)
	b.clock.pass(time.Microsecond)
	require.Equal(t, start.Add(10*time.Second), beat(5*time.Second).ExpiresAt, "until the sweep has come, nothing is lost")
	b.clock.pass(5 * time.Second)
	b.sweep(t)
	_, err := b.HeartbeatDispatch(t.Context(), b.by("coder-1"), 1, Beat{Claim: claim.ID, TTL: time.Hour})
	requireCode(t, CodeClaimLost, err)
}

func TestNoRunEndsWithoutWhatItSpentOrWhyThatIsNotKnown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, ask(1))
	claim := b.claimed(t)
	for _, outcome := range []string{StateDone, StateFailed} {
		_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), 1, Completion{Claim: claim.ID, Outcome: outcome, Actuals: []Amount{}})
		requireCode(t, CodeActualMissing, err)
		requireState(t, "23514", b.exec(t.Context(), `UPDATE fleet.dispatches SET finished_at = now(), state = '`+outcome+`'`))
	}
	require.Equal(t, StateRunning, b.show(t, 1).State)
	require.NoError(t, b.exec(t.Context(), `UPDATE fleet.dispatches SET finished_at = now(), state = 'failed', unmetered = 'the meter is broken'`))
	requireState(t, "23514", b.exec(t.Context(), `UPDATE fleet.dispatches SET unmetered = ''`))
	b.dispatch(t, ask(1))
	requireState(t, "23514", b.exec(t.Context(), `UPDATE fleet.dispatches SET failure = 'budget' WHERE id = 2`))
}

func TestARunStoppedAtItsReservationHasFailedByItsBudgetForGood(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(5))
	claim := b.claimed(t)
	failed, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), 1, Completion{
		Claim: claim.ID, Outcome: StateFailed, Failure: FailureBudget, Actuals: []Amount{{coins, 5 * budget.Micro}},
	})
	require.NoError(t, err)
	require.Equal(t, FailureBudget, failed.Failure)
	require.Equal(t, "coder-1 stopped it: what was reserved is used up, and more was refused.", failed.Reason)
	b.clock.pass(time.Hour)
	b.sweep(t)
	_, err = b.Wake(t.Context())
	require.NoError(t, err)
	require.Equal(t, StateFailed, b.show(t, 1).State, "nothing retries by itself")
	require.Equal(t, int64(5*budget.Micro), b.window(t).CommittedMicros)
	b.audit(t)
}

// TestEachMoveIsMadeOncePerAttemptAndRecorded lets gateways compete for every move of a dispatch's life.
func TestEachMoveIsMadeOncePerAttemptAndRecorded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	other := b.open(t, "beta")
	stores := []*Store{b.Store, other}
	compete := func(do func(*Store) error) {
		done := make(chan error)
		for i := range 6 {
			go func() { done <- do(stores[i%2]) }()
		}
		for range 6 {
			<-done // who comes late is refused
		}
	}
	b.dispatch(t, ask(5, exact))
	for range 2 {
		compete(func(s *Store) error {
			_, err := s.ClaimDispatch(t.Context(), b.by("coder-1"), "coder", "coder-1", time.Minute)
			return err
		})
		if b.show(t, 1).Attempt == 1 {
			b.clock.pass(time.Minute)
			compete(func(s *Store) error { return s.Sweep(t.Context()) })
		}
	}
	var claim string
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT claim FROM fleet.dispatches`).Scan(&claim))
	compete(func(s *Store) error {
		_, err := s.CompleteDispatch(t.Context(), b.by("coder-1"), 1, Completion{Claim: claim, Outcome: StateFailed, Unmetered: "test"})
		return err
	})
	type move struct {
		kind    string
		attempt int
	}
	var moves []move
	for _, event := range b.events(t) {
		if event.Dispatch == nil {
			continue
		}
		moves = append(moves, move{event.Type, event.Dispatch.Attempt})
		require.NotEmpty(t, event.Actor)
		require.NotEmpty(t, event.Cause)
	}
	require.Equal(t, []move{{"dispatch.ready", 0}, {"dispatch.running", 1}, {"dispatch.ready", 1}, {"dispatch.running", 2}, {"dispatch.failed", 2}}, moves)
	b.audit(t)
}
