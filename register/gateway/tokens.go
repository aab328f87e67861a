package gateway

import (
	"context"
	"net/http"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// defaultOverlap is how long a rotated token still works.
const defaultOverlap = 3600

func tokenID(text string) fleet.TokenID {
	id, _ := fleet.ParseTokenID(text) // the contract's pattern holds
	return id
}

// ListTokens reads a page of tokens.
func (o *operations) ListTokens(ctx context.Context, request ListTokensRequestObject) (ListTokensResponseObject, error) {
	before, err := numbered(listTokens, request.Params.Cursor, fleet.ParseTokenID)
	if err != nil {
		return nil, err
	}
	page, err := o.store.Tokens(ctx, before, pageOf(request.Params.Limit))
	page.Next = cursor(listTokens, page.Next)
	return answered[ListTokens200JSONResponse](page, err)
}

// IssueToken makes a token and shows its secret this once.
func (o *operations) IssueToken(ctx context.Context, request IssueTokenRequestObject) (IssueTokenResponseObject, error) {
	body := request.Body
	if err := instants(map[string]time.Time{"expires_at": body.ExpiresAt}); err != nil {
		return nil, err
	}
	issued, err := o.store.IssueToken(ctx, mutation(ctx, http.StatusCreated), fleet.TokenAsk{
		Identity: body.Identity, Scopes: names(body.Scopes), ExpiresAt: body.ExpiresAt,
	})
	return answered[IssueToken201JSONResponse](issued, err)
}

// RevokeToken ends a token now.
func (o *operations) RevokeToken(ctx context.Context, request RevokeTokenRequestObject) (RevokeTokenResponseObject, error) {
	token, err := o.store.RevokeToken(ctx, mutation(ctx, http.StatusOK), tokenID(request.Token))
	return answered[RevokeToken200JSONResponse](token, err)
}

// RotateToken replaces a token and lets the old one work for the overlap.
func (o *operations) RotateToken(ctx context.Context, request RotateTokenRequestObject) (RotateTokenResponseObject, error) {
	body := request.Body
	if err := instants(map[string]time.Time{"expires_at": body.ExpiresAt}); err != nil {
		return nil, err
	}
	overlap := defaultOverlap
	if body.OverlapSeconds != nil {
		overlap = *body.OverlapSeconds
	}
	issued, err := o.store.RotateToken(ctx, mutation(ctx, http.StatusCreated), tokenID(request.Token), fleet.Rotation{
		Overlap: time.Duration(overlap) * time.Second, ExpiresAt: body.ExpiresAt,
	})
	return answered[RotateToken201JSONResponse](issued, err)
}
