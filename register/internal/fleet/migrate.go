package fleet

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // goose speaks database/sql
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
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
	return nil
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
