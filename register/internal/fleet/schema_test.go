package fleet

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

func requireState(t *testing.T, sqlstate string, err error) {
	t.Helper()
	var failure *pgconn.PgError
	require.True(t, errors.As(err, &failure), "%v", err)
	require.Equal(t, sqlstate, failure.Code, failure.Message)
}

func TestTwoGatewaysMayMigrateAtOnce(t *testing.T) {
	t.Parallel()
	database := localtest.Database(t).Gateway
	var wait sync.WaitGroup
	failures := make([]error, 4)
	for i := range failures {
		wait.Go(func() { failures[i] = Migrate(t.Context(), database) })
	}
	wait.Wait()
	for _, err := range failures {
		require.NoError(t, err)
	}
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: riverSchema})
	require.NoError(t, err)
	whole, err := migrator.Validate(t.Context(), nil)
	require.NoError(t, err)
	require.True(t, whole.OK, "River has every table it wants: %v", whole.Messages)
}

func TestTheDatabaseItselfForbidsIllegalMoves(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(1))
	const checkViolation = "23514"
	requireState(t, checkViolation, b.exec(t.Context(), `UPDATE fleet.dispatches SET state = 'done', finished_at = now(), unmetered = 'x'`))
	requireState(t, checkViolation, b.exec(t.Context(), `UPDATE fleet.dispatches SET state = 'refused'`))
	requireState(t, checkViolation, b.exec(t.Context(), `UPDATE fleet.dispatches SET state = 'running'`))
	requireState(t, checkViolation, b.exec(t.Context(), `UPDATE fleet.windows SET reserved_micros = -1`))
	claim := b.claimed(t)
	requireState(t, checkViolation, b.exec(t.Context(), `UPDATE fleet.dispatches SET state = 'done', finished_at = now()`))
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{Claim: claim.ID, Outcome: StateDone, Unmetered: "test"})
	require.NoError(t, err)
	requireState(t, checkViolation, b.exec(t.Context(), `UPDATE fleet.dispatches SET state = 'ready', finished_at = NULL, claim = '', claim_expires_at = NULL`))
}

// theAudit is every change of what only grows, and for each whether the gateway's role is stopped by its grants already.
var theAudit = []struct {
	sql      string
	forOwner string // SQLSTATE
}{
	{`UPDATE fleet.ledger SET micros = 0`, insufficientPrivilege},
	{`DELETE FROM fleet.ledger`, insufficientPrivilege},
	{`TRUNCATE fleet.ledger`, insufficientPrivilege},
	{`UPDATE fleet.events SET cause = ''`, insufficientPrivilege},
	{`UPDATE fleet.events SET payload = '{}'`, insufficientPrivilege},
	{`UPDATE fleet.events SET seq = seq + 1000`, restrictViolation}, // it numbers events, once
	{`DELETE FROM fleet.events`, insufficientPrivilege},
	{`TRUNCATE fleet.events`, insufficientPrivilege},
	{`UPDATE fleet.seals SET hash = previous`, insufficientPrivilege},
	{`DELETE FROM fleet.seals`, insufficientPrivilege},
	{`TRUNCATE fleet.seals`, insufficientPrivilege},
	{`UPDATE fleet.heads SET last_seq = 1`, insufficientPrivilege},
	{`DELETE FROM fleet.heads`, insufficientPrivilege},
	{`TRUNCATE fleet.heads`, insufficientPrivilege},
}

const (
	insufficientPrivilege = "42501"
	restrictViolation     = "23001"
)

func TestWhatIsAuditedOnlyGrows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = new(int64(budget.Micro)) })
	b.events(t)
	b.sealed(t)
	_, err := b.TellHead(t.Context())
	require.NoError(t, err)
	superuser := b.superuser(t)
	for _, change := range theAudit {
		requireState(t, change.forOwner, b.exec(t.Context(), change.sql))
		_, err := superuser.Exec(t.Context(), change.sql)
		requireState(t, restrictViolation, err) // grants do not bind a superuser; the triggers do
	}
}

func TestWhatStandsInColumnsOfAnEventStandsInItsText(t *testing.T) {
	t.Parallel()
	b := setup(t)
	superuser := b.superuser(t)
	_, err := superuser.Exec(t.Context(), `ALTER TABLE fleet.events DISABLE TRIGGER ALL`)
	require.NoError(t, err)
	for _, column := range []string{`actor`, `cause`, `type`, `host`} {
		_, err := superuser.Exec(t.Context(), `UPDATE fleet.events SET `+column+` = 'mallory'`)
		requireState(t, "23514", err)
	}
	_, err = superuser.Exec(t.Context(), `UPDATE fleet.events SET at = at + interval '1 second'`)
	requireState(t, "23514", err)
}

func TestTheBotsRoleHasNoRightOnTheRegister(t *testing.T) {
	t.Parallel()
	b := setup(t)
	bot, err := pgx.Connect(t.Context(), b.database.Bot)
	require.NoError(t, err)
	defer bot.Close(t.Context())
	rows, err := b.pool.Query(t.Context(), `SELECT tablename FROM pg_tables WHERE schemaname = 'fleet'`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Contains(t, tables, "events")
	require.Contains(t, tables, "river_job")
	for _, table := range tables {
		for _, sql := range []string{`SELECT FROM fleet.`, `INSERT INTO fleet.`, `DELETE FROM fleet.`, `TRUNCATE fleet.`} {
			if sql += table; strings.HasPrefix(sql, "INSERT") {
				sql += ` DEFAULT VALUES`
			}
			_, err := bot.Exec(t.Context(), sql)
			requireState(t, insufficientPrivilege, err)
		}
	}
	for _, sql := range []string{`CREATE TABLE fleet.mine (x int)`, `SELECT fleet.remember_state()`, `UPDATE fleet.events SET seq = 1`} {
		_, err := bot.Exec(t.Context(), sql)
		requireState(t, insufficientPrivilege, err)
	}
}
