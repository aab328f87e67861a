package gateway

import (
	"context"
	"net/http"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// ChangeIdentity links an identity, or grants or revokes roles.
func (o *operations) ChangeIdentity(ctx context.Context, request ChangeIdentityRequestObject) (ChangeIdentityResponseObject, error) {
	body := request.Body
	identity, err := o.store.ChangeIdentity(ctx, mutation(ctx, http.StatusOK), fleet.IdentityChange{
		Name: request.Name, MatrixID: body.MatrixID, Unlink: body.Unlink, Grant: names(body.Grant), Revoke: names(body.Revoke), Create: body.Create, LookAlike: body.LookAlike,
	})
	answer, err := answered[register.Identity](identity, err)
	return ChangeIdentity200JSONResponse{Body: answer, Headers: ChangeIdentity200ResponseHeaders{ETag: fleet.Tag(identity.Version)}}, err
}

// ReportReset notes that an identity came back with another key.
func (o *operations) ReportReset(ctx context.Context, request ReportResetRequestObject) (ReportResetResponseObject, error) {
	body := request.Body
	identity, err := o.store.ReportReset(ctx, mutation(ctx, http.StatusOK), request.Name, fleet.IdentityReset{
		MatrixID: body.MatrixID, OldKey: body.OldKey, NewKey: body.NewKey,
	})
	return answered[ReportReset200JSONResponse](identity, err)
}

// TrustReset accepts the new key of an identity that was reset.
func (o *operations) TrustReset(ctx context.Context, request TrustResetRequestObject) (TrustResetResponseObject, error) {
	identity, err := o.store.TrustReset(ctx, mutation(ctx, http.StatusOK), request.Name, request.Body.Key)
	return answered[TrustReset200JSONResponse](identity, err)
}

// SetRoomEncryption says whether a room must be encrypted.
func (o *operations) SetRoomEncryption(ctx context.Context, request SetRoomEncryptionRequestObject) (SetRoomEncryptionResponseObject, error) {
	room, err := o.store.SetRoomEncryption(ctx, mutation(ctx, http.StatusOK), request.Room, string(request.Body.Encrypted))
	body, err := answered[register.RoomBinding](room, err)
	return SetRoomEncryption200JSONResponse{Body: body, Headers: SetRoomEncryption200ResponseHeaders{ETag: fleet.Tag(room.Version)}}, err
}
