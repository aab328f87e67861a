package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Check is what a comparison of the accounts found.
type Check struct {
	Windows int64
	Wrong   int64 // windows that do not show what their holds and their ledger add up to
	At      time.Time
}

// Discrepancy is a window whose accounts do not add up. Amounts are micro-units.
type Discrepancy struct {
	Window              int64
	Reserved, Held      int64 // what it shows, and the sum of its active holds
	Margin, HeldMargin  int64 // how far that lies above the means, and the sum over its active holds
	Committed, Recorded int64 // what it shows, and the sum of its ledger
}

// CheckAccounts compares every window with its holds and its ledger, on one snapshot and without a lock, and keeps what it found.
func (s *Store) CheckAccounts(ctx context.Context) ([]Discrepancy, error) {
	var wrong []Discrepancy
	check := query.PutCheckParams{TenantID: s.options.Tenant, Host: s.options.Host}
	err := s.read(ctx, func(t *transaction) error {
		rows, err := t.Accounts(ctx, t.Tenant)
		if err != nil {
			return fmt.Errorf("comparing the accounts: %w", err)
		}
		for _, row := range rows {
			if row.ReservedMicros != row.HeldMicros || row.MarginMicros != row.HeldMargin || row.CommittedMicros != row.BookedMicros {
				wrong = append(wrong, Discrepancy{row.ID, row.ReservedMicros, row.HeldMicros, row.MarginMicros, row.HeldMargin, row.CommittedMicros, row.BookedMicros})
			}
		}
		check.Windows, check.Wrong, check.At = int64(len(rows)), int64(len(wrong)), t.now
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := query.New(s.pool).PutCheck(ctx, check); err != nil {
		return nil, fmt.Errorf("keeping what the comparison found: %w", err)
	}
	return wrong, nil
}

// LastCheck is what the last comparison of the accounts found, by whichever gateway; zero if there was none.
func (s *Store) LastCheck(ctx context.Context) (Check, error) {
	row, err := query.New(s.pool).GetCheck(ctx, s.options.Tenant)
	if none(err) {
		return Check{}, nil
	}
	if err != nil {
		return Check{}, fmt.Errorf("reading the last comparison of the accounts: %w", err)
	}
	return Check{Windows: row.Windows, Wrong: row.Wrong, At: row.At.UTC()}, nil
}
