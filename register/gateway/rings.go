package gateway

import (
	"context"
	"net/http"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// GetRings reads what wakes the operators.
func (o *operations) GetRings(ctx context.Context, _ GetRingsRequestObject) (GetRingsResponseObject, error) {
	list, err := o.store.Rings(ctx)
	return answered[GetRings200JSONResponse](list, err)
}

// AckRings acknowledges rings.
func (o *operations) AckRings(ctx context.Context, request AckRingsRequestObject) (AckRingsResponseObject, error) {
	ids := make([]fleet.RingID, len(request.Body.Rings))
	for i, text := range request.Body.Rings {
		ids[i], _ = fleet.ParseRingID(text) // the contract's pattern holds
	}
	list, err := o.store.AckRings(ctx, mutation(ctx, http.StatusOK), ids)
	return answered[AckRings200JSONResponse](list, err)
}

// SetRoomVerbosity says how much a room is told.
func (o *operations) SetRoomVerbosity(ctx context.Context, request SetRoomVerbosityRequestObject) (SetRoomVerbosityResponseObject, error) {
	room, err := o.store.SetRoomVerbosity(ctx, mutation(ctx, http.StatusOK), request.Room, string(request.Body.Verbosity))
	body, err := answered[register.RoomBinding](room, err)
	return SetRoomVerbosity200JSONResponse{Body: body, Headers: SetRoomVerbosity200ResponseHeaders{ETag: fleet.Tag(room.Version)}}, err
}
