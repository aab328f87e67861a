package gateway

import (
	"context"
	"net/http"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// ListRooms reads the room bindings.
func (o *operations) ListRooms(ctx context.Context, _ ListRoomsRequestObject) (ListRoomsResponseObject, error) {
	rooms, err := o.store.Rooms(ctx)
	return answered[ListRooms200JSONResponse](map[string]any{"rooms": rooms}, err)
}

// BindRoom binds a room to its purposes.
func (o *operations) BindRoom(ctx context.Context, request BindRoomRequestObject) (BindRoomResponseObject, error) {
	body := request.Body
	room, err := o.store.BindRoom(ctx, mutation(ctx, http.StatusOK), fleet.Room{Room: body.Room, Alias: body.Alias, Purposes: names(body.Purposes)})
	return answered[BindRoom200JSONResponse](room, err)
}

// ListIdentities reads everyone the register knows.
func (o *operations) ListIdentities(ctx context.Context, _ ListIdentitiesRequestObject) (ListIdentitiesResponseObject, error) {
	identities, err := o.store.Identities(ctx)
	return answered[ListIdentities200JSONResponse](map[string]any{"identities": identities}, err)
}

// PutIdentity creates an identity or replaces what it may.
func (o *operations) PutIdentity(ctx context.Context, request PutIdentityRequestObject) (PutIdentityResponseObject, error) {
	body := request.Body
	identity, err := o.store.PutIdentity(ctx, mutation(ctx, http.StatusOK), fleet.Identity{
		Name: request.Name, Kind: string(body.Kind), MatrixID: body.MatrixID, Roles: names(body.Roles),
	})
	return answered[PutIdentity200JSONResponse](identity, err)
}
