package bot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"go.mau.fi/util/dbutil"
)

// Two bots must never write for one device. One is active: it holds an advisory lock on a session of its own. Postgres ends that
// session, and any transaction left open, when nothing is heard from it for leaderSilence, so a frozen leader loses the lock too.
// Each election raises an epoch, and triggers on every table refuse what a bot of an earlier epoch writes.
const (
	leaderLock = 0x6d6f736169632d6c
	// fenceLock is shared by every transaction that writes and taken alone by an election; migration 04 names it too.
	fenceLock     = 7885351518267664739
	leaderBeat    = 1500 * time.Millisecond
	leaderSilence = 6 * time.Second
)

// errDeposed says that another bot may lead by now.
var errDeposed = errors.New("another bot may be active by now; this one writes nothing any more and ends")

// leadership is the session that holds the lock, and the epoch that came with it.
type leadership struct {
	session *pgx.Conn
	epoch   atomic.Int64
	// heard is when Postgres last answered the session, by the monotonic clock.
	heard atomic.Pointer[time.Time]
}

// stand waits until this bot is the only one. It goes on waiting while the database is away.
func stand(ctx context.Context, options Options) (*leadership, error) {
	log := options.Log
	config, err := pgx.ParseConfig(options.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("the bot's database URL cannot be read; an example is postgres://mosaic_bot:secret@127.0.0.1:5432/mosaic: %w", err)
	}
	config.RuntimeParams["application_name"] = "mosaic-matrix bot leader"
	config.RuntimeParams["idle_session_timeout"] = fmt.Sprint(leaderSilence.Milliseconds())
	l := &leadership{}
	var reached bool
	for wait := time.Second; ; wait = min(2*wait, 5*time.Second) {
		err := l.acquire(ctx, config, options, &reached)
		if err == nil {
			return l, nil
		}
		if ctx.Err() != nil || !reached {
			return nil, fmt.Errorf("reaching the bot's database: %w", err)
		}
		log.Warn().Err(err).Dur("wait", wait).Msg("Standing for election failed, trying again")
		pause(ctx, wait)
	}
}

func (l *leadership) acquire(ctx context.Context, config *pgx.ConnConfig, options Options, reached *bool) error {
	session, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	*reached = true
	var free bool
	if err = session.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(leaderLock)).Scan(&free); err == nil && !free {
		options.Log.Info().Msg("Another bot is active; this one stands by")
		err = standingBy(options.Listen, func() error {
			_, err := session.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(leaderLock))
			return err
		})
	}
	if err != nil {
		_ = session.Close(context.WithoutCancel(ctx))
		return err
	}
	l.session = session
	l.noteHeard()
	return nil
}

func (l *leadership) noteHeard() {
	now := time.Now()
	l.heard.Store(&now)
}

// raise begins a new epoch: it waits for the writes of the last one, and those that come later fail. Epochs are instants, so
// that a restored database does not give one again.
func (l *leadership) raise(ctx context.Context, database *dbutil.Database) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var epoch int64
	err = transaction(ctx, database, func(ctx context.Context) error {
		if _, err := database.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(fenceLock)); err != nil {
			return err
		}
		return database.QueryRow(ctx, `UPDATE leader SET since = clock_timestamp(), holder = $1,
			epoch = greatest(epoch + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) RETURNING epoch`,
			fmt.Sprintf("%s/%d", host, os.Getpid())).Scan(&epoch)
	})
	if err != nil {
		return fmt.Errorf("beginning an epoch: %w", err)
	}
	l.epoch.Store(epoch)
	return nil
}

// hold keeps the session alive until ctx ends, or fails with errDeposed.
func (l *leadership) hold(ctx context.Context) error {
	ticker := time.NewTicker(leaderBeat)
	defer ticker.Stop()
	for {
		if err := l.beat(context.WithoutCancel(ctx)); err != nil { // a cancelled request would end the session
			return fmt.Errorf("%w: %w", errDeposed, err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *leadership) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaderSilence/2)
	defer cancel()
	if _, err := l.session.Exec(ctx, `SELECT`); err != nil {
		return err
	}
	l.noteHeard()
	return nil
}

// fresh says whether the lock was surely held a moment ago. Nothing may leave for the homeserver otherwise.
func (l *leadership) fresh() bool { return time.Since(*l.heard.Load()) < leaderSilence-leaderBeat/2 }

func (l *leadership) resign() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = l.session.Close(ctx)
}

// fence puts the trigger that checks the epoch on every table that has none.
func fence(ctx context.Context, database *dbutil.Database) error {
	rows, err := database.Query(ctx, `SELECT c.relname FROM pg_class c
		WHERE c.relnamespace = to_regnamespace($1) AND c.relkind = 'r' AND c.relname <> 'leader'
		  AND NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'fence')`, schema)
	tables, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[string], err).AsList()
	if err != nil {
		return fmt.Errorf("reading which tables are not fenced: %w", err)
	}
	for _, table := range tables {
		_, err := database.Exec(ctx, `CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON `+
			pgx.Identifier{table}.Sanitize()+` FOR EACH STATEMENT EXECUTE FUNCTION fence()`)
		if err != nil {
			return fmt.Errorf("fencing table %s: %w", table, err)
		}
	}
	return nil
}

// enterEpoch makes every connection of the pool one of the epoch.
func enterEpoch(pool *sql.DB) {
	pool.SetMaxIdleConns(-1)
	pool.SetMaxIdleConns(poolIdle)
}
