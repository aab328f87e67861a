package bot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// keepLimits keeps what a refusal of the homeserver taught, for a restart and for Limits.
func (b *Bot) keepLimits(ctx context.Context, spacing time.Duration, burst int) error {
	_, err := b.database.Exec(ctx, `INSERT INTO limits (refusals, spacing_ms, burst, first_at, last_at) VALUES (1, $1, $2, $3, $3)
		ON CONFLICT (single) DO UPDATE SET refusals = limits.refusals + 1, spacing_ms = excluded.spacing_ms, burst = excluded.burst, last_at = excluded.last_at`,
		spacing.Milliseconds(), burst, b.now().UTC())
	if err != nil {
		return fmt.Errorf("keeping what is known of the homeserver's limits: %w", err)
	}
	return nil
}

// limitsStand is how long after the last refusal limits are still believed in.
const limitsStand = 24 * time.Hour

// resumeLimits has the pace start from what was learned lately.
func (b *Bot) resumeLimits(ctx context.Context) error {
	seen, err := readLimits(ctx, b.database)
	if err != nil {
		return err
	}
	if seen.Refusals > 0 && b.now().Sub(seen.Last) < limitsStand {
		b.sender.pace.resume(seen.Spacing, seen.Burst)
	}
	return nil
}

// seenLimits is what the homeserver's refusals taught; none yet is the zero value.
type seenLimits struct {
	Refusals    int64
	Spacing     time.Duration
	Burst       int
	First, Last time.Time
}

// PerSecond is how many messages the homeserver takes for long.
func (l seenLimits) PerSecond() float64 {
	if l.Spacing <= 0 {
		return 0
	}
	return 1 / l.Spacing.Seconds()
}

func readLimits(ctx context.Context, database queryer) (seen seenLimits, err error) {
	var millis int64
	err = database.QueryRow(ctx, `SELECT refusals, spacing_ms, burst, first_at, last_at FROM limits`).
		Scan(&seen.Refusals, &millis, &seen.Burst, &seen.First, &seen.Last)
	if errors.Is(err, sql.ErrNoRows) {
		return seenLimits{}, nil
	}
	if err != nil {
		return seenLimits{}, fmt.Errorf("reading what is known of the homeserver's limits: %w", err)
	}
	seen.Spacing = time.Duration(millis) * time.Millisecond
	return seen, nil
}

// queryer is what reads one row.
type queryer interface {
	QueryRow(ctx context.Context, query string, arguments ...any) *sql.Row
}
