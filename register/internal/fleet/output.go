package fleet

import (
	"context"
	"fmt"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// OutputLimit is how many bytes of a run's whole result are kept.
const OutputLimit = 1 << 20

// Output is the whole result of a run.
type Output struct {
	Dispatch DispatchID `json:"dispatch"`
	Text     string     `json:"text"`
}

// Output reads the whole result of a run whose own result holds only the end.
func (s *Store) Output(ctx context.Context, id DispatchID) (Output, error) {
	out := Output{Dispatch: id}
	err := s.read(ctx, func(t *transaction) error {
		var err error
		out.Text, err = t.GetOutput(ctx, query.GetOutputParams{TenantID: t.Tenant, DispatchID: int64(id)})
		if none(err) {
			return notFound("output of "+id.String(), "A short result stands in the dispatch itself: GET /api/fleet/dispatches/"+id.String())
		}
		if err != nil {
			return fmt.Errorf("reading the output of %s: %w", id, err)
		}
		return nil
	})
	return out, err
}

// keepOutput stores the whole result of a run, if it was given.
func (t *transaction) keepOutput(ctx context.Context, row *query.Dispatch, completion Completion) error {
	if completion.Output == "" {
		return nil
	}
	err := t.PutOutput(ctx, query.PutOutputParams{TenantID: t.Tenant, DispatchID: row.ID, Host: t.Host, Text: completion.Output, At: t.now})
	if err != nil {
		return fmt.Errorf("keeping the output of a run: %w", err)
	}
	return nil
}
