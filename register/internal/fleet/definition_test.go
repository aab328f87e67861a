package fleet

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

func TestTheDatabaseItselfKeepsEpochsApart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	const exclusionViolation, copied = "23P01", `
		INSERT INTO fleet.windows (tenant_id, host, definition_id, epoch, unit, limit_micros, floor_micros, committed_micros, reserved_micros,
			burst_ppm, since, reset_at, source, checked_at, step, step_held_at, lowered, ended_at)
		SELECT tenant_id, host, definition_id, epoch + 1, unit, limit_micros, floor_micros, 0, 0,
			burst_ppm, since + interval '99 minutes', reset_at + interval '1 day', source, checked_at, step, step_held_at, lowered, `
	requireState(t, exclusionViolation, b.exec(t.Context(), copied+`since + interval '100 minutes' FROM fleet.windows`))
	requireState(t, "23505", b.exec(t.Context(), copied+`NULL FROM fleet.windows`)) // and only one of them is current
	require.NoError(t, b.exec(t.Context(), `UPDATE fleet.windows SET reset_at = reset_at - interval '1 minute'`))
	require.NoError(t, b.exec(t.Context(), copied+`since + interval '100 minutes' FROM fleet.windows`), "epochs may touch")
}

func TestARegisterOfBeforeKeepsItsWindows(t *testing.T) {
	t.Parallel()
	database := localtest.Database(t).Gateway
	db, err := sql.Open("pgx", database)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, ensureSchema(t.Context(), db))
	migrations, err := newMigrations(db)
	require.NoError(t, err)
	_, err = migrations.UpTo(t.Context(), 13)
	require.NoError(t, err)
	// The second epoch was said to have begun before the first one's end, the third one ended the second early.
	_, err = db.ExecContext(t.Context(), `
		INSERT INTO fleet.tenants (tenant_id, host) VALUES ('acme', 'alpha');
		INSERT INTO fleet.subscriptions (tenant_id, host, provider, name, created_at) VALUES ('acme', 'alpha', 'claude', 'team-a', '2026-11-23T08:00Z');
		INSERT INTO fleet.windows (tenant_id, host, subscription_id, name, epoch, unit, limit_micros, floor_micros, committed_micros, reserved_micros,
			burst_ppm, since, reset_at, source, checked_at, step, step_held_at, lowered, ended_at)
		SELECT 'acme', 'alpha', id, w.name, epoch, 'credits', 500000000, 0, committed, 0, 50000, since, reset_at, 'user-entered', since, 'normal', since, false, ended
		FROM fleet.subscriptions, (VALUES
			('main', 1, 1000000, '2026-11-23T08:00Z'::timestamptz, '2026-11-23T09:00Z'::timestamptz, '2026-11-23T09:30Z'::timestamptz),
			('main', 2, 2000000, '2026-11-23T08:30Z', '2026-11-23T12:00Z', '2026-11-23T09:10Z'),
			('main', 3, 3000000, '2026-11-23T09:10Z', '2026-11-23T12:00Z', NULL),
			('week', 1, 4000000, '2026-11-23T08:00Z', '2026-11-30T08:00Z', NULL)) AS w (name, epoch, committed, since, reset_at, ended)
		ORDER BY w.name, epoch;
		INSERT INTO fleet.ledger (tenant_id, host, window_id, unit, micros, kind, actor, at)
		SELECT tenant_id, host, id, unit, committed_micros, 'entered', 'olga', since FROM fleet.windows`)
	require.NoError(t, err)
	require.NoError(t, Migrate(t.Context(), database))

	b := &bundle{clock: &clock{at: start.Add(time.Hour)}}
	b.database.Gateway = database
	b.Store = b.open(t, "alpha")
	status, err := b.Budgets(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, status.Windows, 2)
	main, week := status.Windows[0], status.Windows[1]
	require.Equal(t, "main", main.Window)
	require.Equal(t, "team-a", main.Subscription)
	require.Equal(t, int64(3*budget.Micro), main.CommittedMicros)
	require.Equal(t, start.Add(10*time.Minute), main.Since)
	require.Equal(t, "once", main.Recurrence)
	require.Equal(t, "subscription", main.Scope)
	require.True(t, main.Mine)
	require.Equal(t, int64(4*budget.Micro), week.CommittedMicros)
	b.audit(t)
	var apart string
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT string_agg(to_char(ended_at AT TIME ZONE 'UTC', 'HH24:MI'), ' ' ORDER BY epoch) FROM fleet.windows`).Scan(&apart))
	require.Equal(t, "08:30 09:10", apart, "an epoch ends where the next one begins")
	_, err = b.PutIdentity(t.Context(), b.by("olga"), Identity{Name: "olga", Kind: "human", Roles: []string{"operator"}})
	require.NoError(t, err)
	set := BudgetSet{Provider: "claude", Subscription: "team-a", Unit: "credits", LimitMicros: 600 * budget.Micro}
	change, err := b.SetBudget(t.Context(), b.by("olga"), set)
	require.NoError(t, err)
	require.Equal(t, int64(3*budget.Micro), change.After.CommittedMicros, "it is amended as ever")
	require.Equal(t, main.ResetAt, change.After.ResetAt)
}

func TestASharedWindowIsHeldByEveryDispatchItMeters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.budget(t, func(s *BudgetSet) { s.Provider, s.Window = "codex", "main" })
	shared := b.budget(t, func(s *BudgetSet) {
		s.Provider, s.Window, s.Scope, s.LimitMicros = All, "coders", "role:coder", 30*budget.Micro
		s.Since = start.Add(-100 * time.Minute) // pace allows half of it
	}).After
	require.Equal(t, All, shared.Subscription)
	require.Equal(t, "role:coder", shared.Scope)

	on := func(model string) func(*Ask) { return func(a *Ask) { a.Model, a.Exact = model, true } }
	first := b.dispatch(t, ask(10, on("opus")))
	require.Equal(t, StateReady, first.State)
	require.Equal(t, []Hold{
		{Provider: "claude", Subscription: "claude", Window: "main", Unit: "credits", Micros: 10 * budget.Micro},
		{Provider: All, Subscription: All, Window: "coders", Unit: "credits", Micros: 10 * budget.Micro},
	}, first.Holds)
	require.Equal(t, StateReady, b.dispatch(t, ask(10, on("gpt-5.5"), func(a *Ask) { a.Role = "tester" })).State, "it does not meter testers")
	second := b.dispatch(t, ask(10, on("gpt-5.5")))
	require.Equal(t, StateQueued, second.State, "the other provider's subscription has room, the role's window has not: %s", second.Reason)

	claim := b.claimed(t)
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{
		Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{Unit: "credits", Micros: 12 * budget.Micro}},
	})
	require.NoError(t, err)
	now, err := b.Budget(t.Context(), All, All, "coders")
	require.NoError(t, err)
	require.Equal(t, int64(12*budget.Micro), now.CommittedMicros)
	b.audit(t)
}

func TestASharedWindowIsNotPassedByWhereThereIsNoSubscription(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) {
		s.Provider, s.Window, s.Scope, s.LimitMicros = All, "coders", "role:coder", 10*budget.Micro
	})
	refused := b.dispatch(t, ask(11, exact))
	require.Equal(t, StateRefused, refused.State, refused.Reason)
}
