package bot

import (
	"context"
	"embed"
	"fmt"
	"maps"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/crypto/sql_store_upgrade"
	"maunium.net/go/mautrix/sqlstatestore"
)

//go:embed migrations/*.sql
var migrations embed.FS

var upgrades = dbutil.BuildUpgradeTable().WithFSPath(migrations, "migrations").Finish()

// schema is the one the bot's role owns; it has no right on any other.
const schema = "bot"

// poolIdle is how many connections are kept open.
const poolIdle = 8

// openDatabase connects to the bot's schema and brings it to this version. Everything the bot keeps, its keys included,
// goes through this one handle, so that a single transaction can hold it. Its connections are of the
// epoch at the time they are made; of none while it is 0.
func openDatabase(ctx context.Context, url string, epoch *atomic.Int64, log zerolog.Logger) (*dbutil.Database, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the bot's database URL cannot be read; an example is postgres://mosaic_bot:secret@127.0.0.1:5432/mosaic: %w", err)
	}
	config.RuntimeParams["search_path"] = schema
	config.RuntimeParams["lock_timeout"] = "10s"
	config.RuntimeParams["statement_timeout"] = "60s"
	config.RuntimeParams["application_name"] = "mosaic-matrix bot"
	config.RuntimeParams["idle_in_transaction_session_timeout"] = fmt.Sprint(leaderSilence.Milliseconds())
	raw := stdlib.OpenDB(*config, stdlib.OptionBeforeConnect(func(_ context.Context, config *pgx.ConnConfig) error {
		if now := epoch.Load(); now > 0 {
			config.RuntimeParams = maps.Clone(config.RuntimeParams) // pgx shares it among connections, which are made at once
			config.RuntimeParams["mosaic.epoch"] = strconv.FormatInt(now, 10)
		}
		return nil
	}))
	raw.SetMaxOpenConns(16)
	raw.SetMaxIdleConns(poolIdle)
	database, err := dbutil.NewWithDB(raw, "pgx")
	if err != nil {
		return nil, fmt.Errorf("opening the bot's database: %w", err)
	}
	database.Owner = "mosaic-matrix bot"
	database.VersionTable = "bot_version"
	database.UpgradeTable = upgrades
	database.Log = dbutil.ZeroLogger(log.Level(zerolog.WarnLevel))
	if err := migrate(ctx, database); err != nil {
		database.Close()
		return nil, err
	}
	return database, nil
}

// migrationLock lets one bot at a time migrate.
const migrationLock = 0x6d6f736169632d62

func migrate(ctx context.Context, database *dbutil.Database) error {
	session, err := database.RawDB.Conn(ctx)
	if err != nil {
		return fmt.Errorf("reaching the bot's database: %w", err)
	}
	defer session.Close()
	if _, err := session.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, migrationLock); err != nil {
		return fmt.Errorf("waiting for another bot's migration: %w", err)
	}
	defer session.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, migrationLock)
	if err := createSchema(ctx, database); err != nil {
		return err
	}
	for _, part := range []struct {
		what     string
		database *dbutil.Database
	}{
		{"the bot's schema", database},
		{"the room state store", database.Child(sqlstatestore.VersionTableName, sqlstatestore.UpgradeTable, nil)},
		{"the key store", database.Child(sql_store_upgrade.VersionTableName, sql_store_upgrade.Table, nil)},
	} {
		if err := part.database.Upgrade(ctx); err != nil {
			return fmt.Errorf("migrating %s: %w", part.what, err)
		}
	}
	return fence(ctx, database)
}

func createSchema(ctx context.Context, database *dbutil.Database) error {
	var there bool
	if err := database.QueryRow(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, schema).Scan(&there); err != nil {
		return fmt.Errorf("reaching the bot's database: %w", err)
	}
	if there {
		return nil
	}
	if _, err := database.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+schema); err != nil {
		return fmt.Errorf("the bot's role may not create schema %q; as a superuser run CREATE SCHEMA %s AUTHORIZATION its role: %w", schema, schema, err)
	}
	return nil
}

// storable says whether Postgres can hold text; a NUL in one event must not stop the sync.
func storable(text string) bool { return !strings.ContainsRune(text, 0) }

// transaction runs do in one transaction that everything given its context takes part in. A panic rolls it back and
// becomes an error, since an open transaction would hold its locks for ever.
func transaction(ctx context.Context, database *dbutil.Database, do func(ctx context.Context) error) error {
	return database.DoTxn(ctx, nil, func(ctx context.Context) (err error) {
		defer func() {
			if panicked := recover(); panicked != nil {
				err = fmt.Errorf("panic in a transaction: %v\n%s", panicked, debug.Stack())
			}
		}()
		return do(ctx)
	})
}
