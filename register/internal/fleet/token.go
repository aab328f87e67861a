package fleet

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Caller is who holds a token, and what the token is good for.
type Caller struct {
	Token    TokenID
	Identity Identity
	Scopes   []string
}

// May says whether the token has one of the scopes.
func (c Caller) May(scopes ...string) bool {
	return slices.ContainsFunc(scopes, func(scope string) bool { return slices.Contains(c.Scopes, scope) })
}

// Caller finds the live token's holder; any other token is CodeUnauthorized.
func (s *Store) Caller(ctx context.Context, token string) (Caller, error) {
	hash := sha256.Sum256([]byte(token))
	row, err := query.New(s.pool).GetCaller(ctx, query.GetCallerParams{TenantID: s.options.Tenant, Hash: hash[:]})
	if err != nil && !none(err) {
		return Caller{}, fmt.Errorf("looking up the token: %w", err)
	}
	if err != nil || subtle.ConstantTimeCompare(row.Hash, hash[:]) != 1 {
		return Caller{}, &Error{
			Code:     CodeUnauthorized,
			Detail:   "The bearer token is not known, has expired or was revoked.",
			NextStep: "Issue a new one with: mosaic-matrix token",
		}
	}
	if row.Untouched {
		if err := query.New(s.pool).TouchToken(ctx, row.ID); err != nil {
			return Caller{}, fmt.Errorf("noting the token's use: %w", err)
		}
	}
	identity := identityOf(query.Identity{TenantID: s.options.Tenant, Name: row.Name, Kind: row.Kind, MatrixID: row.MatrixID, Roles: row.Roles})
	return Caller{Token: TokenID(row.ID), Identity: identity, Scopes: row.Scopes}, nil
}
