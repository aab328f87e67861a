package gateway

import (
	"context"
	"net/http"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// GetLadder reads the ladder.
func (o *operations) GetLadder(ctx context.Context, _ GetLadderRequestObject) (GetLadderResponseObject, error) {
	ladder, err := o.store.Ladder(ctx)
	body, err := answered[register.Ladder](ladder, err)
	return GetLadder200JSONResponse{Body: body, Headers: GetLadder200ResponseHeaders{ETag: fleet.Tag(ladder.Version)}}, err
}

// PutLadder replaces the ladder.
func (o *operations) PutLadder(ctx context.Context, request PutLadderRequestObject) (PutLadderResponseObject, error) {
	tiers := make([]fleet.Tier, len(request.Body.Tiers))
	for i, tier := range request.Body.Tiers {
		tiers[i] = fleet.Tier{Provider: tier.Provider, Model: tier.Model, Cost: tier.Cost}
	}
	ladder, err := o.store.PutLadder(ctx, mutation(ctx, http.StatusOK), tiers)
	body, err := answered[register.Ladder](ladder, err)
	return PutLadder200JSONResponse{Body: body, Headers: PutLadder200ResponseHeaders{ETag: fleet.Tag(ladder.Version)}}, err
}
