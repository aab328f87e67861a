package gateway

import (
	"context"
	"net/http"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// ListRooms reads a page of the room bindings.
func (o *operations) ListRooms(ctx context.Context, request ListRoomsRequestObject) (ListRoomsResponseObject, error) {
	after, err := position(listRooms, request.Params.Cursor)
	if err != nil {
		return nil, err
	}
	page, err := o.store.Rooms(ctx, after, pageOf(request.Params.Limit))
	page.Next = cursor(listRooms, page.Next)
	return answered[ListRooms200JSONResponse](page, err)
}

// GetRoom reads one room binding.
func (o *operations) GetRoom(ctx context.Context, request GetRoomRequestObject) (GetRoomResponseObject, error) {
	room, err := o.store.Room(ctx, request.Room)
	body, err := answered[register.RoomBinding](room, err)
	return GetRoom200JSONResponse{Body: body, Headers: GetRoom200ResponseHeaders{ETag: fleet.Tag(room.Version)}}, err
}

// BindRoom binds a room to its purposes.
func (o *operations) BindRoom(ctx context.Context, request BindRoomRequestObject) (BindRoomResponseObject, error) {
	body := request.Body
	room, err := o.store.BindRoom(ctx, mutation(ctx, http.StatusOK), fleet.Room{Room: body.Room, Alias: body.Alias, Purposes: names(body.Purposes), Verbosity: string(body.Verbosity)})
	answer, err := answered[register.RoomBinding](room, err)
	return BindRoom200JSONResponse{Body: answer, Headers: BindRoom200ResponseHeaders{ETag: fleet.Tag(room.Version)}}, err
}

// ListIdentities reads a page of everyone the register knows.
func (o *operations) ListIdentities(ctx context.Context, request ListIdentitiesRequestObject) (ListIdentitiesResponseObject, error) {
	after, err := position(listIdentities, request.Params.Cursor)
	if err != nil {
		return nil, err
	}
	page, err := o.store.Identities(ctx, after, pageOf(request.Params.Limit))
	page.Next = cursor(listIdentities, page.Next)
	return answered[ListIdentities200JSONResponse](page, err)
}

// GetIdentity reads one identity.
func (o *operations) GetIdentity(ctx context.Context, request GetIdentityRequestObject) (GetIdentityResponseObject, error) {
	identity, err := o.store.IdentityNamed(ctx, request.Name)
	body, err := answered[register.Identity](identity, err)
	return GetIdentity200JSONResponse{Body: body, Headers: GetIdentity200ResponseHeaders{ETag: fleet.Tag(identity.Version)}}, err
}

// PutIdentity creates an identity or replaces what it may.
func (o *operations) PutIdentity(ctx context.Context, request PutIdentityRequestObject) (PutIdentityResponseObject, error) {
	body := request.Body
	identity, err := o.store.PutIdentity(ctx, mutation(ctx, http.StatusOK), fleet.Identity{
		Name: request.Name, Kind: string(body.Kind), MatrixID: body.MatrixID, Roles: names(body.Roles),
	})
	answer, err := answered[register.Identity](identity, err)
	return PutIdentity200JSONResponse{Body: answer, Headers: PutIdentity200ResponseHeaders{ETag: fleet.Tag(identity.Version)}}, err
}
