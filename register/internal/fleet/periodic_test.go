package fleet

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// doChores does the periodic work on each of the stores at once until the test ends.
func doChores(t *testing.T, stores ...*Store) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, store := range stores {
		running.Go(func() {
			if err := store.doChores(ctx, zerolog.Nop(), 100*time.Millisecond); err != nil {
				t.Errorf("the periodic work: %v", err)
			}
		})
	}
	t.Cleanup(func() { stop(); running.Wait() })
}

func TestThePeriodicWorkHappensOnceThoughTwoGatewaysRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.sealed(t)
	doChores(t, b.Store, b.open(t, "beta"))
	done := func() (kinds []string) {
		rows, err := b.pool.Query(t.Context(), `SELECT args ->> 'chore' FROM fleet.river_job WHERE state = 'completed' ORDER BY 1`)
		require.NoError(t, err)
		for rows.Next() {
			var kind string
			require.NoError(t, rows.Scan(&kind))
			kinds = append(kinds, kind)
		}
		return kinds
	}
	require.Eventually(t, func() bool { return len(done()) >= 5 }, time.Minute, 100*time.Millisecond)
	require.Equal(t, []string{"audit_head", "check", "forget", "retain", "warn"}, done(), "each came around once")
	var attempts int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT sum(attempt) FROM fleet.river_job`).Scan(&attempts))
	require.Equal(t, 5, attempts, "and was done by one of them")
	heads := 0
	for _, event := range b.events(t) {
		if event.Type == "audit.head" {
			heads++
		}
	}
	require.Equal(t, 1, heads)
	check, err := b.LastCheck(t.Context())
	require.NoError(t, err)
	require.Equal(t, Check{Windows: 1, At: start}, check)
}

func TestTheHeadIsToldOnceADayWhoeverAsks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tell := func(s *Store) bool {
		told, err := s.TellHead(t.Context())
		require.NoError(t, err)
		return told
	}
	require.False(t, tell(b.Store), "there is nothing to tell before the first seal")
	b.sealed(t)
	beta := b.open(t, "beta")
	var wait sync.WaitGroup
	told := make([]bool, 8)
	for i := range told {
		wait.Go(func() { told[i], _ = []*Store{b.Store, beta}[i%2].TellHead(t.Context()) })
	}
	wait.Wait()
	count := 0
	for _, now := range told {
		if now {
			count++
		}
	}
	require.Equal(t, 1, count)
	require.False(t, tell(beta))
	b.clock.pass(24 * time.Hour)
	require.True(t, tell(beta))
	events := b.events(t)
	last := events[len(events)-1]
	require.Equal(t, "audit.head", last.Type)
	require.Equal(t, Time, last.Actor)
	require.Regexp(t, `^[0-9]+:[0-9a-f]{64}$`, last.Audit.Head)
}

func TestTheFloorRisesOverWhatIsOldAndNothingIsDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old := int64(len(b.events(t)))
	require.NoError(t, b.Retain(t.Context()))
	after, err := b.ReadOn(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, int64(1), after, "everything is retained at first")

	b.clock.pass(DefaultRetention + time.Second)
	b.dispatch(t, ask(1))
	all := int64(len(b.events(t)))
	require.NoError(t, b.Retain(t.Context()))
	after, err = b.ReadOn(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, old, after)
	_, err = b.ReadOn(t.Context(), old-1)
	var gone *Gone
	require.ErrorAs(t, err, &gone)
	require.Equal(t, &Gone{Asked: old - 1, Floor: old}, gone)
	after, err = b.ReadOn(t.Context(), old)
	require.NoError(t, err, "who heard all that is gone has lost nothing")
	require.Equal(t, old, after)

	b.clock.pass(DefaultRetention + time.Second)
	require.NoError(t, b.Retain(t.Context()))
	after, err = b.ReadOn(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, all, after, "when all is old, the log is told from its end")
	require.Len(t, b.events(t), int(all))
}

func TestAWindowThatDoesNotAddUpIsFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(10))
	wrong, err := b.CheckAccounts(t.Context())
	require.NoError(t, err)
	require.Empty(t, wrong)
	require.NoError(t, b.exec(t.Context(), `UPDATE fleet.windows SET reserved_micros = reserved_micros + 1, committed_micros = 7`))
	wrong, err = b.CheckAccounts(t.Context())
	require.NoError(t, err)
	require.Equal(t, []Discrepancy{{Window: 1, Reserved: 10*budget.Micro + 1, Held: 10 * budget.Micro, Committed: 7}}, wrong)
	check, err := b.LastCheck(t.Context())
	require.NoError(t, err)
	require.Equal(t, Check{Windows: 1, Wrong: 1, At: start}, check)
}

// TestNothingNotifies takes the right to notify from the gateway's role and lets a dispatch live its whole life. A notification
// takes a lock that every commit of the database waits for.
func TestNothingNotifies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	superuser := b.superuser(t)
	_, err := superuser.Exec(t.Context(), `REVOKE EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text) FROM PUBLIC`)
	require.NoError(t, err)
	requireState(t, insufficientPrivilege, b.exec(t.Context(), `SELECT pg_notify('x', 'y')`))
	doChores(t, b.Store)

	b.budget(t)
	b.dispatch(t, ask(1))
	claim := b.claimed(t)
	_, err = b.HeartbeatDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Beat{Claim: claim.ID, Progress: "half", TTL: time.Minute})
	require.NoError(t, err)
	_, err = b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{Claim: claim.ID, Outcome: StateDone, Unmetered: "test"})
	require.NoError(t, err)
	_, err = b.CancelDispatch(t.Context(), b.by("olga"), b.dispatch(t, ask(1)).ID, "")
	require.NoError(t, err)
	wake(t, b)
	require.NoError(t, b.Sweep(t.Context()))
	b.sealed(t)
	require.Eventually(t, func() bool {
		var done int
		require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM fleet.river_job WHERE state = 'completed'`).Scan(&done))
		return done == len(chores)
	}, time.Minute, 100*time.Millisecond, "River does without it too")

	files, err := os.ReadDir("queries")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile("queries/" + file.Name())
		require.NoError(t, err)
		require.NotContains(t, strings.ToUpper(string(text)), "NOTIFY", file.Name())
	}
	var functions []string
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT coalesce(array_agg(proname::text), '{}') FROM pg_proc
		WHERE pronamespace = 'fleet'::regnamespace AND prosrc ILIKE '%notify%'`).Scan(&functions))
	require.Empty(t, functions, "nor does any trigger")
}

func TestRiverNeverWorksForASingleDispatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	for range 5 {
		b.dispatch(t, ask(50, exact))
	}
	var jobs int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM fleet.river_job`).Scan(&jobs))
	require.Zero(t, jobs)
}
