package fleet

import (
	"context"
	"fmt"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// announce decides, in the transaction that moved a window, whether its notice is a new one, and whom it wakes: the windows' locks
// make that once.
func (t *transaction) announce(ctx context.Context, window int64, change *StepChange) error {
	posted, err := t.posted(ctx, window)
	if err != nil {
		return err
	}
	to := budget.ParseStep(change.To)
	change.Post = posted.Announce(to)
	if change.From == budget.StepRefuse.String() {
		err := t.EndRing(ctx, query.EndRingParams{TenantID: t.Tenant, WindowID: window, Host: t.Host, Now: t.now})
		if err != nil {
			return fmt.Errorf("ending the ring of a window: %w", err)
		}
	}
	if !change.Post {
		return nil
	}
	err = t.InsertPosted(ctx, query.InsertPostedParams{TenantID: t.Tenant, WindowID: window, Level: change.To, Host: t.Host, At: t.now})
	if err != nil {
		return fmt.Errorf("noting a notice: %w", err)
	}
	if to == budget.StepRefuse {
		change.Ring, err = t.ring(ctx, window, change.Window)
	}
	return err
}

// posted is which steps had their notice in a window's epoch.
func (t *transaction) posted(ctx context.Context, window int64) (budget.Posted, error) {
	var posted budget.Posted
	levels, err := t.ListPosted(ctx, query.ListPostedParams{TenantID: t.Tenant, WindowID: window})
	if err != nil {
		return posted, fmt.Errorf("reading which notices there were: %w", err)
	}
	for _, level := range levels {
		posted.Announce(budget.ParseStep(level))
	}
	return posted, nil
}
