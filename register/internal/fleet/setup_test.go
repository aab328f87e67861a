package fleet

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

// bundle is a migrated register of its own with a clock that only the test moves.
type bundle struct {
	*Store
	database localtest.DB
	clock    *clock
	keys     atomic.Int64
}

type clock struct {
	mutex sync.Mutex
	at    time.Time
}

func (c *clock) now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.at = c.at.Add(d)
}

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func setup(t testing.TB) *bundle {
	t.Helper()
	ctx := t.Context()
	database := localtest.Migrated(t, Migrate)
	b := &bundle{database: database, clock: &clock{at: start}}
	b.Store = b.open(t, "alpha")
	for _, identity := range []Identity{
		{Name: "olga", Kind: "human", MatrixID: "@olga:localhost", Roles: []string{"operator"}},
		{Name: "ada", Kind: "human", Roles: []string{"board"}},
		{Name: "ben", Kind: "human", Roles: []string{"board"}},
		{Name: "cleo", Kind: "human", Roles: []string{"board"}},
		{Name: "coder-1", Kind: "agent", Roles: []string{"worker"}},
	} {
		_, err := b.PutIdentity(ctx, b.by("olga"), identity)
		require.NoError(t, err)
	}
	for _, name := range []string{"coder-1", "tester-1"} { // they outlive every test's clock
		b.declare(t, Declaration{Name: name, Host: "alpha", Liveness: 1000 * time.Hour})
	}
	return b
}

func (b *bundle) declare(t testing.TB, declaration Declaration) Agent {
	t.Helper()
	agent, err := b.DeclareAgent(t.Context(), b.by("coder-1"), declaration)
	require.NoError(t, err)
	return agent
}

func (b *bundle) retire(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := b.RetireAgent(t.Context(), b.by("olga"), name)
		require.NoError(t, err)
	}
}

// open is another gateway's store on the same register.
func (b *bundle) open(t testing.TB, host string) *Store {
	t.Helper()
	store, err := Open(t.Context(), b.database.Gateway, Options{
		Tenant: "acme", Host: host, BurstPPM: budget.DefaultBurstPPM, Clock: b.clock.now, Connections: 8,
	})
	require.NoError(t, err)
	t.Cleanup(store.Close)
	return store
}

// by is a fresh mutation of an actor.
func (b *bundle) by(actor string) Mutation {
	key := fmt.Sprintf("key-%d", b.keys.Add(1))
	hash := sha256.Sum256([]byte(key))
	return Mutation{Actor: actor, Caller: "bot", Key: key, Hash: hash[:], Status: 200}
}

// budget sets claude's window: 500 credits over 100 minutes, 5 credits a minute, b = 25 credits.
func (b *bundle) budget(t *testing.T, change ...func(*BudgetSet)) BudgetChange {
	t.Helper()
	set := BudgetSet{Provider: "claude", Unit: "credits", LimitMicros: 500 * budget.Micro, ResetAt: b.clock.now().Add(100 * time.Minute)}
	for _, alter := range change {
		alter(&set)
	}
	done, err := b.SetBudget(t.Context(), b.by("olga"), set)
	require.NoError(t, err)
	return done
}

func ask(credits int64, change ...func(*Ask)) Ask {
	out := Ask{
		Role: "coder", Brief: "Add a health check", BriefClass: "technical", Model: "opus", Priority: 5,
		Estimate: []Amount{{Unit: "credits", Micros: credits * budget.Micro}},
	}
	for _, alter := range change {
		alter(&out)
	}
	return out
}

func exact(a *Ask) { a.Exact = true }

func (b *bundle) dispatch(t *testing.T, a Ask) Dispatch {
	t.Helper()
	dispatch, err := b.CreateDispatch(t.Context(), b.by("olga"), a)
	require.NoError(t, err)
	return dispatch
}

func (b *bundle) claimed(t *testing.T) Claim {
	t.Helper()
	claim, err := b.ClaimDispatch(t.Context(), b.by("coder-1"), "coder", "coder-1", 15*time.Minute)
	require.NoError(t, err)
	require.NotNil(t, claim)
	return *claim
}

func (b *bundle) show(t *testing.T, id DispatchID) Dispatch {
	t.Helper()
	dispatch, err := b.Dispatch(t.Context(), id)
	require.NoError(t, err)
	return dispatch
}

func (b *bundle) window(t *testing.T) Window {
	t.Helper()
	status, err := b.Budgets(t.Context(), "claude")
	require.NoError(t, err)
	require.Len(t, status.Windows, 1)
	return status.Windows[0]
}

// events is the whole log.
func (b *bundle) events(t *testing.T) []Event {
	t.Helper()
	_, err := b.NumberEvents(t.Context())
	require.NoError(t, err)
	events, err := b.EventsAfter(t.Context(), 0, 10_000)
	require.NoError(t, err)
	for i, event := range events {
		require.Equal(t, int64(i+1), event.Seq, "the log has no gaps")
	}
	return events
}

// story is the types of the events, those of the set-up left out.
func (b *bundle) story(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, event := range b.events(t) {
		if event.Agent == nil && event.Type != "identity.set" && event.Type != "seat.set" && event.Type != "board.set" {
			out = append(out, event.Type)
		}
	}
	return out
}

// audit checks the invariants of the accounts: holds and ledger add up to what the windows show.
func (b *bundle) audit(t *testing.T) {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), `
		SELECT w.id, w.reserved_micros, w.margin_micros, w.committed_micros,
		       (SELECT coalesce(sum(r.micros), 0)::bigint FROM fleet.reservations r WHERE r.window_id = w.id AND r.state = 'active'),
		       (SELECT coalesce(sum(r.margin_micros), 0)::bigint FROM fleet.reservations r WHERE r.window_id = w.id AND r.state = 'active'),
		       (SELECT coalesce(sum(l.micros), 0)::bigint FROM fleet.ledger l WHERE l.window_id = w.id)
		FROM fleet.windows w`)
	require.NoError(t, err)
	type account struct{ ID, Reserved, Margin, Committed, Holds, Margins, Ledger int64 }
	accounts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[account])
	require.NoError(t, err)
	for _, a := range accounts {
		require.Equal(t, a.Holds, a.Reserved, "reserved is the sum of the active holds of window %d", a.ID)
		require.Equal(t, a.Margins, a.Margin, "and so is its margin")
		require.Equal(t, a.Ledger, a.Committed, "committed is the sum of the ledger of window %d", a.ID)
	}
}

// sealed seals all there is, and answers where the chain ends.
func (b *bundle) sealed(t *testing.T) int64 {
	t.Helper()
	_, err := b.NumberEvents(t.Context())
	require.NoError(t, err)
	last, err := b.Seal(t.Context())
	require.NoError(t, err)
	return last
}

// superuser is a connection that no grant holds back.
func (b *bundle) superuser(t *testing.T) *pgx.Conn {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), b.database.Superuser)
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close(context.WithoutCancel(t.Context())) })
	return connection
}

func (b *bundle) exec(ctx context.Context, sql string) error {
	_, err := b.pool.Exec(ctx, sql)
	return err
}

func requireCode(t *testing.T, code string, err error) *Error {
	t.Helper()
	var refusal *Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, code, refusal.Code, refusal.Detail)
	require.NotEmpty(t, refusal.Detail)
	return refusal
}
