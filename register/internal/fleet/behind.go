package fleet

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// behind runs the statements of a transaction in their order, but sends those that have no answer only with the next one that
// has, or before the commit: a decision writes half a dozen rows, and each would cross the wire alone. What goes wrong with
// such a statement is told by whoever sends it.
type behind struct {
	tx      pgx.Tx
	waiting []statement
}

type statement struct {
	sql       string
	arguments []any
}

var _ query.DBTX = (*behind)(nil)

// unanswered says whether a generated statement gives nothing back; its first line says so.
func unanswered(sql string) bool {
	head, _, _ := strings.Cut(sql, "\n")
	return strings.HasPrefix(head, "-- name: ") && strings.HasSuffix(head, " :exec")
}

// name is what a generated statement is called.
func (s statement) name() string {
	name, _, _ := strings.Cut(strings.TrimPrefix(s.sql, "-- name: "), " ")
	return name
}

func (b *behind) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	if unanswered(sql) {
		b.waiting = append(b.waiting, statement{sql, arguments})
		return pgconn.CommandTag{}, nil
	}
	if err := b.flush(ctx); err != nil {
		return pgconn.CommandTag{}, err
	}
	return b.tx.Exec(ctx, sql, arguments...)
}

func (b *behind) Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error) {
	if len(b.waiting) == 0 {
		return b.tx.Query(ctx, sql, arguments...)
	}
	results, err := b.send(ctx, statement{sql, arguments})
	if err != nil {
		return nil, err
	}
	rows, err := results.Query()
	if err != nil {
		_ = results.Close()
		return nil, err
	}
	return &lastRows{rows, results}, nil
}

func (b *behind) QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row {
	if len(b.waiting) == 0 {
		return b.tx.QueryRow(ctx, sql, arguments...)
	}
	results, err := b.send(ctx, statement{sql, arguments})
	if err != nil {
		return failedRow{err}
	}
	return lastRow{results.QueryRow(), results}
}

// flush sends what waits.
func (b *behind) flush(ctx context.Context) error {
	if len(b.waiting) == 0 {
		return nil
	}
	results, err := b.send(ctx)
	if err != nil {
		return err
	}
	return results.Close()
}

// send sends what waits, and the statements after it, in one go; the answers to the latter are left to be read.
func (b *behind) send(ctx context.Context, answered ...statement) (pgx.BatchResults, error) {
	batch, waiting := &pgx.Batch{}, b.waiting
	b.waiting = nil
	for _, s := range append(waiting, answered...) {
		batch.Queue(s.sql, s.arguments...)
	}
	results := b.tx.SendBatch(ctx, batch)
	for _, s := range waiting {
		if _, err := results.Exec(); err != nil {
			_ = results.Close()
			return nil, fmt.Errorf("%s: %w", s.name(), err)
		}
	}
	return results, nil
}

// lastRows are the rows of a batch's last statement; whoever closes them ends the batch.
type lastRows struct {
	pgx.Rows
	results pgx.BatchResults
}

func (r *lastRows) Close() {
	r.Rows.Close()
	_ = r.results.Close() // what could be wrong with it, the rows have said
}

type lastRow struct {
	pgx.Row
	results pgx.BatchResults
}

func (r lastRow) Scan(into ...any) error {
	err := r.Row.Scan(into...)
	if closed := r.results.Close(); err == nil {
		err = closed
	}
	return err
}

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }
