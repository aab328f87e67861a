package fleet

import (
	"context"
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Estimate is what runs of a role and a class of brief spend; without a role those of every role, without a class all work.
type Estimate struct {
	Role       string `json:"role,omitempty"`
	BriefClass string `json:"brief_class,omitempty"`
	Expectation
	LearnedAt time.Time `json:"learned_at"`
}

// EstimatePage is estimates, in the order of their keys.
type EstimatePage struct {
	Estimates []Estimate `json:"estimates"`
	Next      string     `json:"next,omitempty"`
	Now       time.Time  `json:"now"`
}

// Estimates reads a page of what runs cost, only that of one role if it is named, after a position that a page before gave.
func (s *Store) Estimates(ctx context.Context, role, after string, page int) (EstimatePage, error) {
	out := EstimatePage{Estimates: []Estimate{}}
	from := append(strings.Split(after, "\n"), "", "", "", "")
	err := s.read(ctx, func(t *transaction) error {
		out.Now = t.now
		rows, err := t.ListEstimates(ctx, query.ListEstimatesParams{
			TenantID: t.Tenant, Role: role, AfterRole: from[0], AfterKind: from[1], AfterModel: from[2], AfterUnit: from[3], Page: int32(page) + 1,
		})
		if err != nil {
			return fmt.Errorf("listing the estimates: %w", err)
		}
		if len(rows) > page {
			rows = rows[:page]
			last := rows[page-1]
			out.Next = strings.Join([]string{last.Role, last.Kind, last.Model, last.Unit}, "\n")
		}
		for _, row := range rows {
			if _, err := t.recall(ctx, row.Role, row.Kind); err != nil {
				return err
			}
			key := budget.Key{Role: row.Role, Kind: row.Kind, Model: row.Model}
			if expectation, known := t.memory.expect(t.Tenant, key, row.Unit); known {
				out.Estimates = append(out.Estimates, Estimate{row.Role, row.Kind, expectation, row.LearnedAt.UTC()})
			}
		}
		return nil
	})
	return out, err
}
