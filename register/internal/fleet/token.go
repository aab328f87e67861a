package fleet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Caller is who holds a token, and what the token is good for.
type Caller struct {
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
	identity := identityOf(query.Identity{TenantID: s.options.Tenant, Name: row.Name, Kind: row.Kind, MatrixID: row.MatrixID, Roles: row.Roles})
	return Caller{Identity: identity, Scopes: row.Scopes}, nil
}

// IssueToken makes a token for an identity and keeps only its SHA-256. Zero expires never ends it.
func (s *Store) IssueToken(ctx context.Context, identity string, scopes []string, expires time.Duration) (string, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("drawing a token: %w", err)
	}
	token := "mosaic_" + base64.RawURLEncoding.EncodeToString(secret)
	hash := sha256.Sum256([]byte(token))
	err := s.within(ctx, func(t *transaction) error {
		if err := t.readClock(ctx); err != nil {
			return err
		}
		if _, err := t.GetIdentity(ctx, query.GetIdentityParams{TenantID: t.Tenant, Name: identity}); none(err) {
			return notFound("identity "+identity, "Create the identity first.")
		} else if err != nil {
			return fmt.Errorf("looking up the identity: %w", err)
		}
		params := query.InsertTokenParams{
			TenantID: t.Tenant, Host: t.Host, Identity: identity, Hash: hash[:], Scopes: scopes, CreatedAt: t.now,
		}
		if expires > 0 {
			params.ExpiresAt = new(t.now.Add(expires))
		}
		if err := t.InsertToken(ctx, params); err != nil {
			return fmt.Errorf("writing the token: %w", err)
		}
		return nil
	})
	return token, err
}

// RevokeTokens ends every token of an identity and says how many there were.
func (s *Store) RevokeTokens(ctx context.Context, identity string) (int64, error) {
	var revoked int64
	err := s.within(ctx, func(t *transaction) error {
		if err := t.readClock(ctx); err != nil {
			return err
		}
		var err error
		revoked, err = t.Queries.RevokeTokens(ctx, query.RevokeTokensParams{TenantID: t.Tenant, Identity: identity, Now: t.now})
		if err != nil {
			return fmt.Errorf("revoking the tokens: %w", err)
		}
		return nil
	})
	return revoked, err
}
