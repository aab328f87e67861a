package gateway

import (
	"context"
	"net/http"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// ListOverrides reads a page of overrides.
func (o *operations) ListOverrides(ctx context.Context, request ListOverridesRequestObject) (ListOverridesResponseObject, error) {
	before, err := numbered(listOverrides, request.Params.Cursor, fleet.ParseOverrideID)
	if err != nil {
		return nil, err
	}
	page, err := o.store.Overrides(ctx, given(request.Params.Ended), before, pageOf(request.Params.Limit))
	page.Next = cursor(listOverrides, page.Next)
	return answered[ListOverrides200JSONResponse](page, err)
}

// GrantOverride lifts what holds a window back.
func (o *operations) GrantOverride(ctx context.Context, request GrantOverrideRequestObject) (GrantOverrideResponseObject, error) {
	body := request.Body
	if err := instants(map[string]time.Time{"expires_at": body.ExpiresAt}); err != nil {
		return nil, err
	}
	change, err := o.store.GrantOverride(ctx, mutation(ctx, http.StatusCreated), grantOf(*body))
	return answered[GrantOverride201JSONResponse](change, err)
}

// grantOf takes over what an override grants.
func grantOf(body register.OverrideRequest) fleet.OverrideGrant {
	return fleet.OverrideGrant{
		Provider: body.Provider, Subscription: body.Subscription, Window: body.Window, Lifts: budget.Lift(body.Lifts), Unit: string(body.Unit),
		Micros: body.Micros, Cycles: body.Cycles, Expires: body.ExpiresAt, Reason: body.Reason,
	}
}

// RevokeOverride ends an override before its time.
func (o *operations) RevokeOverride(ctx context.Context, request RevokeOverrideRequestObject) (RevokeOverrideResponseObject, error) {
	id, _ := fleet.ParseOverrideID(request.Override) // the contract's pattern holds
	change, err := o.store.RevokeOverride(ctx, mutation(ctx, http.StatusOK), id, request.Body.Reason)
	return answered[RevokeOverride200JSONResponse](change, err)
}
