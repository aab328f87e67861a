package fleet

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // goose speaks database/sql
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed schema.sql
var createSchema string

// Migrate brings schema fleet to the version this program needs. It runs forward only and may run from several gateways
// at once. The role needs to own the schema, or the right to create it.
func Migrate(ctx context.Context, databaseURL string) error {
	db, err := sql.Open("pgx", databaseURL)
	if err != nil {
		return fmt.Errorf("opening the register's database: %w", err)
	}
	defer db.Close()
	if err := ensureSchema(ctx, db); err != nil {
		return err
	}
	provider, err := newMigrations(db)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating schema fleet: %w", err)
	}
	return migrateRiver(ctx, databaseURL)
}

// migrateRiver brings River's own tables to the version of the River that is built in. River migrates each version once but does not
// expect company, so it works under a lock of ours.
func migrateRiver(ctx context.Context, databaseURL string) error {
	pool, err := pgxpool.New(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("opening the register's database: %w", err)
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: riverSchema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("preparing the migrations of River: %w", err)
	}
	return pool.AcquireFunc(ctx, func(connection *pgxpool.Conn) error {
		const one = `SELECT pg_advisory_lock(hashtextextended('mosaic-river-migrations', 0))`
		if _, err := connection.Exec(ctx, one); err != nil {
			return fmt.Errorf("locking the migrations of River: %w", err)
		}
		// The lock ends with the connection, which ends with the pool.
		if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return fmt.Errorf("migrating River's tables in schema fleet: %w", err)
		}
		return nil
	})
}

func newMigrations(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("reading the embedded migrations: %w", err)
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, fmt.Errorf("preparing the migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithSessionLocker(locker), goose.WithTableName("fleet.migrations"))
	if err != nil {
		return nil, fmt.Errorf("preparing the migrations: %w", err)
	}
	return provider, nil
}

// ensureSchema looks before it creates: CREATE SCHEMA IF NOT EXISTS needs a right on the database that an owner of the
// schema may lack.
func ensureSchema(ctx context.Context, db *sql.DB) error {
	var exists bool
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'fleet')`).Scan(&exists); err != nil {
		return fmt.Errorf("looking for schema fleet: %w", err)
	}
	if exists {
		return nil
	}
	_, err := db.ExecContext(ctx, createSchema)
	var failure *pgconn.PgError
	if errors.As(err, &failure) && (failure.Code == "42P06" || failure.Code == "23505") {
		return nil // another gateway was faster
	}
	if err != nil {
		return fmt.Errorf("creating schema fleet: %w", err)
	}
	return nil
}
