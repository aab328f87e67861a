package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Time is the actor of what nobody asked for: wake-ups, expiries, closings.
const Time = "gateway"

// Options say which register a store serves and how.
type Options struct {
	Tenant string
	Host   string // recorded on every row this store writes
	// Ladder is what a register that has none begins with; from then on its own counts.
	Ladder budget.Ladder
	// BurstPPM is the slack of new windows as a share of their capacity, in parts per million.
	BurstPPM int64
	// WorkerBound is how many dispatches may run at once per role and host of the worker; 0 is without bound.
	WorkerBound int
	// UnclaimedAfter is how long ready work waits for a claim before it returns its hold; 0 waits for ever.
	UnclaimedAfter time.Duration
	// Retention is how long events are replayed to readers; 0 takes DefaultRetention.
	Retention time.Duration
	// ContextCap is how many tokens of context one session of a run may have; 0 is DefaultContextCap.
	ContextCap int64
	// Clock replaces the database's clock in tests.
	Clock func() time.Time
	// Changed is called after every commit that wrote an event.
	Changed func(Change)
	// Connections bounds the pool; 0 leaves pgx's default.
	Connections int32
}

// Change is what a commit means for those who watch the clock.
type Change struct {
	Replan   bool // waiting work should be judged anew: something it waits on was freed or taken
	Schedule bool // NextWake may have moved
}

// Store is one tenant's register. It is safe for concurrent use; several stores may serve one database.
type Store struct {
	pool       *pgxpool.Pool
	options    Options
	ladders    *ladders
	memory     *memory
	admissions admissions
}

// Open connects to a migrated database and makes sure that the tenant exists.
func Open(ctx context.Context, databaseURL string, options Options) (*Store, error) {
	if options.Ladder == nil {
		options.Ladder = budget.DefaultLadder()
	}
	if err := options.Ladder.Validate(); err != nil {
		return nil, err
	}
	if options.Retention <= 0 {
		options.Retention = DefaultRetention
	}
	if options.Changed == nil {
		options.Changed = func(Change) {}
	}
	options.ContextCap = cmp.Or(options.ContextCap, DefaultContextCap)
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("reading the register's database URL: %w", err)
	}
	if _, named := config.ConnConfig.RuntimeParams["application_name"]; !named { // who holds a lock is seen in pg_stat_activity
		config.ConnConfig.RuntimeParams["application_name"] = "mosaic-matrix gateway " + options.Host
	}
	if options.Connections > 0 {
		config.MaxConns = options.Connections
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the register's database: %w", err)
	}
	s := &Store{pool: pool, options: options, ladders: new(ladders), memory: new(memory)}
	if err := s.ensureTenant(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// Close waits for running transactions and closes the connections.
func (s *Store) Close() { s.pool.Close() }

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("reaching the register's database: %w", err)
	}
	return nil
}

// Tenant is the tenant the store serves.
func (s *Store) Tenant() string { return s.options.Tenant }

func (s *Store) ensureTenant(ctx context.Context) error {
	return s.within(ctx, func(t *transaction) error {
		if err := t.EnsureTenant(ctx, query.EnsureTenantParams{TenantID: s.options.Tenant, Host: s.options.Host}); err != nil {
			return fmt.Errorf("creating the tenant: %w", err)
		}
		err := t.EnsureCounters(ctx, query.EnsureCountersParams{TenantID: s.options.Tenant, Host: s.options.Host})
		if err != nil {
			return fmt.Errorf("creating the tenant's counters: %w", err)
		}
		return t.ensureLadder(ctx)
	})
}

// transaction is one database transaction on the register. Its instant is read from the database after the locks it
// needs are held, and is the only clock for rules.
type transaction struct {
	*query.Queries
	Options
	writes     *behind
	ladders    *ladders
	memory     *memory
	laddered   bool // it has replaced the ladder
	now        time.Time
	actor      string
	ifMatch    string // what the setting must be at, if it is not empty
	spoke      bool   // it wrote an event
	incidents  []incident
	untold     *[]Event // keeps events for whoever tells them later
	change     Change
	unrecorded bool // it changed nothing: do not commit, do not remember the answer
	unkept     bool // what it changed stands, but its answer is not remembered
}

// on makes the transaction run its statements on tx.
func (t *transaction) on(tx pgx.Tx) {
	t.writes = &behind{tx: tx}
	t.Queries = query.New(t.writes)
}

// within runs do in one transaction and commits it. A transaction the database gave up on, because of a deadlock or a
// lost serialization, is run again.
func (s *Store) within(ctx context.Context, do func(*transaction) error) error {
	const tries = 5
	for try := 1; ; try++ {
		t := &transaction{Options: s.options, ladders: s.ladders, memory: s.memory, actor: Time}
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			t.on(tx)
			if err := do(t); err != nil {
				return err
			}
			if t.unrecorded {
				return errUnrecorded
			}
			if err := t.openIncidents(ctx); err != nil {
				return err
			}
			return t.writes.flush(ctx)
		})
		if errors.Is(err, errUnrecorded) {
			return nil
		}
		if try < tries && gaveUp(err) {
			continue
		}
		if err == nil && t.spoke {
			s.options.Changed(t.change)
		}
		return err
	}
}

var errUnrecorded = errors.New("nothing to record")

func gaveUp(err error) bool {
	var failure *pgconn.PgError
	return errors.As(err, &failure) && (failure.Code == "40001" || failure.Code == "40P01")
}

// readClock sets the transaction's instant; call it once the locks are held.
func (t *transaction) readClock(ctx context.Context) error {
	if t.Clock != nil {
		t.now = t.Clock().UTC().Truncate(time.Microsecond)
		return nil
	}
	now, err := t.DatabaseClock(ctx)
	if err != nil {
		return fmt.Errorf("reading the database's clock: %w", err)
	}
	t.now = now.UTC()
	return nil
}

// read runs do outside of any lock, on one snapshot.
func (s *Store) read(ctx context.Context, do func(*transaction) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, s.pool, options, func(tx pgx.Tx) error {
		t := &transaction{Options: s.options, ladders: s.ladders, memory: s.memory, Queries: query.New(tx)}
		if err := t.readClock(ctx); err != nil {
			return err
		}
		return do(t)
	})
}

func none(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
