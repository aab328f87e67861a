package fleet

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Schema is the version the database's schema is at, and the one this program was made for.
type Schema struct{ Database, Program int64 }

// Schema reads how far the database is migrated.
func (s *Store) Schema(ctx context.Context) (Schema, error) {
	var schema Schema
	err := s.pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM fleet.migrations WHERE is_applied`).Scan(&schema.Database)
	if err != nil {
		return schema, fmt.Errorf("reading the version of the schema: %w", err)
	}
	schema.Program, err = newestMigration()
	return schema, err
}

// newestMigration is the number of the last embedded migration.
func newestMigration() (int64, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("listing the embedded migrations: %w", err)
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(names[len(names)-1], "migrations/"), "_") // they are sorted by number
	return strconv.ParseInt(number, 10, 64)
}

// Unnumbered is what was committed to the log and has no number yet.
type Unnumbered struct {
	Events int64
	Oldest time.Duration // how long the first of them has waited
}

// Unnumbered reads how far the numbering of events lags behind.
func (s *Store) Unnumbered(ctx context.Context) (Unnumbered, error) {
	row, err := query.New(s.pool).UnnumberedEvents(ctx, s.options.Tenant)
	if err != nil {
		return Unnumbered{}, fmt.Errorf("reading how far the numbering lags: %w", err)
	}
	return Unnumbered{Events: row.Events, Oldest: max(0, time.Duration(row.OldestSeconds*float64(time.Second)))}, nil
}
