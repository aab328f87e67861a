package fleet

import (
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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

func TestTheLedgerAndTheEventsOnlyGrow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = new(int64(budget.Micro)) })
	b.events(t)
	const restrictViolation = "23001"
	for _, sql := range []string{
		`UPDATE fleet.ledger SET micros = 0`, `DELETE FROM fleet.ledger`, `TRUNCATE fleet.ledger`,
		`UPDATE fleet.events SET cause = ''`, `UPDATE fleet.events SET seq = seq + 1000`, `DELETE FROM fleet.events`, `TRUNCATE fleet.events`,
	} {
		requireState(t, restrictViolation, b.exec(t.Context(), sql))
	}
}

func TestTheBotsRoleHasNoRightOnTheRegister(t *testing.T) {
	t.Parallel()
	database := localtest.Database(t)
	require.NoError(t, Migrate(t.Context(), database.Gateway))
	bot, err := pgx.Connect(t.Context(), database.Bot)
	require.NoError(t, err)
	defer bot.Close(t.Context())
	for _, sql := range []string{
		`SELECT * FROM fleet.dispatches`, `INSERT INTO fleet.tenants (tenant_id, host) VALUES ('x', 'y')`,
		`DELETE FROM fleet.tokens`, `CREATE TABLE fleet.mine (x int)`, `SELECT fleet.remember_state()`,
	} {
		_, err := bot.Exec(t.Context(), sql)
		requireState(t, "42501", err)
	}
}
