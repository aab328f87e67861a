package fleet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Token is what is known of a bearer token: neither its secret nor its hash.
type Token struct {
	ID         TokenID   `json:"id"`
	TenantID   string    `json:"tenant_id"`
	Host       string    `json:"host"`
	Identity   string    `json:"identity"`
	Scopes     []string  `json:"scopes"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"` // to the hour
	Replaces   *TokenID  `json:"replaces,omitempty"`
}

func tokenOf(row query.Token) Token {
	token := Token{
		ID: TokenID(row.ID), TenantID: row.TenantID, Host: row.Host, Identity: row.Identity, Scopes: row.Scopes,
		CreatedAt: row.CreatedAt.UTC(), ExpiresAt: instant(row.ExpiresAt), RevokedAt: instant(row.RevokedAt), LastUsedAt: instant(row.LastUsedAt),
	}
	if row.Replaces != nil {
		token.Replaces = new(TokenID(*row.Replaces))
	}
	return token
}

// What an answer says about the secret of a token.
const (
	SecretShown    = "secret_shown"
	SecretWithheld = "secret_withheld"
)

// IssuedToken is a new token. Its secret is in the first answer only.
type IssuedToken struct {
	Code     string `json:"code"`
	Token    Token  `json:"token"`
	Secret   string `json:"secret,omitempty"`
	NextStep string `json:"next_step,omitempty"`
}

func (i IssuedToken) withheld() any {
	return IssuedToken{
		Code: SecretWithheld, Token: i.Token,
		NextStep: fmt.Sprintf("The secret was shown with the first answer. If it was lost, rotate %s with overlap_seconds 0.", i.Token.ID),
	}
}

// TokenPage is a page of tokens.
type TokenPage struct {
	Tokens []Token `json:"tokens"`
	Next   string  `json:"next,omitempty"`
}

// Tokens reads a page of tokens, newest first: only those older than before, unless it is 0.
func (s *Store) Tokens(ctx context.Context, before TokenID, page int) (TokenPage, error) {
	rows, err := query.New(s.pool).ListTokens(ctx, query.ListTokensParams{TenantID: s.options.Tenant, Before: int64(before), Page: int32(page) + 1})
	if err != nil {
		return TokenPage{}, fmt.Errorf("listing the tokens: %w", err)
	}
	out := TokenPage{Tokens: make([]Token, 0, len(rows))}
	if len(rows) > page {
		rows = rows[:page]
		out.Next = TokenID(rows[page-1].ID).String()
	}
	for _, row := range rows {
		out.Tokens = append(out.Tokens, tokenOf(row))
	}
	return out, nil
}

// TokenAsk is a token that is asked for. Zero ExpiresAt lasts until it is revoked.
type TokenAsk struct {
	Identity  string
	Scopes    []string
	ExpiresAt time.Time
}

// IssueToken makes a token for an identity and keeps only its SHA-256.
func (s *Store) IssueToken(ctx context.Context, m Mutation, ask TokenAsk) (IssuedToken, error) {
	return once(ctx, s, m, func(t *transaction) (IssuedToken, error) {
		if err := t.readClock(ctx); err != nil {
			return IssuedToken{}, err
		}
		return t.issueToken(ctx, ask)
	})
}

// BootstrapToken makes a token on the database itself, for a register nobody can ask yet. Zero expires never ends it.
func (s *Store) BootstrapToken(ctx context.Context, identity string, scopes []string, expires time.Duration) (string, error) {
	var issued IssuedToken
	err := s.within(ctx, func(t *transaction) error {
		t.actor = identity
		if err := t.readClock(ctx); err != nil {
			return err
		}
		ask := TokenAsk{Identity: identity, Scopes: scopes}
		if expires > 0 {
			ask.ExpiresAt = t.now.Add(expires)
		}
		var err error
		issued, err = t.issueToken(ctx, ask)
		return err
	})
	return issued.Secret, err
}

func (t *transaction) issueToken(ctx context.Context, ask TokenAsk) (IssuedToken, error) {
	if _, err := t.GetIdentity(ctx, query.GetIdentityParams{TenantID: t.Tenant, Name: ask.Identity}); none(err) {
		return IssuedToken{}, notFound("identity "+ask.Identity, "Create the identity first.")
	} else if err != nil {
		return IssuedToken{}, fmt.Errorf("looking up the identity: %w", err)
	}
	issued, err := t.writeToken(ctx, ask, nil)
	if err != nil {
		return IssuedToken{}, err
	}
	return issued, t.tell(ctx, Event{Type: "token.issued", Token: &issued.Token})
}

func (t *transaction) writeToken(ctx context.Context, ask TokenAsk, replaces *int64) (IssuedToken, error) {
	if !ask.ExpiresAt.IsZero() && !ask.ExpiresAt.After(t.now) {
		return IssuedToken{}, &Error{
			Code: CodeInvalid, Field: "expires_at", Detail: "The token would have expired already.",
			Example: t.now.AddDate(0, 6, 0).Truncate(time.Hour).Format(time.RFC3339), NextStep: "Give a later expires_at, or leave it out.",
		}
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return IssuedToken{}, fmt.Errorf("drawing a token: %w", err)
	}
	secret := "mosaic_" + base64.RawURLEncoding.EncodeToString(random)
	hash := sha256.Sum256([]byte(secret))
	scopes := slices.Clone(ask.Scopes)
	slices.Sort(scopes)
	row, err := t.InsertToken(ctx, query.InsertTokenParams{
		TenantID: t.Tenant, Host: t.Host, Identity: ask.Identity, Hash: hash[:], Scopes: slices.Compact(scopes),
		CreatedAt: t.now, ExpiresAt: pointer(ask.ExpiresAt), Replaces: replaces,
	})
	if err != nil {
		return IssuedToken{}, fmt.Errorf("writing the token: %w", err)
	}
	return IssuedToken{Code: SecretShown, Token: tokenOf(row), Secret: secret}, nil
}

// RevokeToken ends a token now. One that was revoked before stays as it was.
func (s *Store) RevokeToken(ctx context.Context, m Mutation, id TokenID) (Token, error) {
	return once(ctx, s, m, func(t *transaction) (Token, error) {
		row, err := t.lockToken(ctx, id)
		if err != nil || row.RevokedAt != nil {
			return tokenOf(row), err
		}
		row, err = t.EndToken(ctx, query.EndTokenParams{TenantID: t.Tenant, ID: row.ID, Host: t.Host, ExpiresAt: row.ExpiresAt, RevokedAt: &t.now})
		if err != nil {
			return Token{}, fmt.Errorf("revoking the token: %w", err)
		}
		token := tokenOf(row)
		return token, t.tell(ctx, Event{Type: "token.revoked", Token: &token})
	})
}

// RevokeTokens ends every token of an identity, on the database itself, and says how many there were.
func (s *Store) RevokeTokens(ctx context.Context, identity string) (int64, error) {
	var revoked int64
	err := s.within(ctx, func(t *transaction) error {
		t.actor = identity
		if err := t.readClock(ctx); err != nil {
			return err
		}
		rows, err := t.Queries.RevokeTokens(ctx, query.RevokeTokensParams{TenantID: t.Tenant, Identity: identity, Host: t.Host, Now: t.now})
		if err != nil {
			return fmt.Errorf("revoking the tokens: %w", err)
		}
		revoked = int64(len(rows))
		for _, row := range rows {
			token := tokenOf(row)
			if err := t.tell(ctx, Event{Type: "token.revoked", Token: &token}); err != nil {
				return err
			}
		}
		return nil
	})
	return revoked, err
}

// Rotation is how a token is replaced. Zero ExpiresAt gives the new one the whole life of the old one, from now.
type Rotation struct {
	Overlap   time.Duration
	ExpiresAt time.Time
}

// RotateToken makes a new token with the same identity and scopes. The old one works on for the overlap, and no longer than it
// would have.
func (s *Store) RotateToken(ctx context.Context, m Mutation, id TokenID, rotation Rotation) (IssuedToken, error) {
	return once(ctx, s, m, func(t *transaction) (IssuedToken, error) {
		row, err := t.lockToken(ctx, id)
		if err != nil {
			return IssuedToken{}, err
		}
		old := tokenOf(row)
		if !old.RevokedAt.IsZero() || !old.ExpiresAt.IsZero() && !old.ExpiresAt.After(t.now) {
			return IssuedToken{}, &Error{
				Code: CodeTokenEnded, Detail: fmt.Sprintf("%s has expired or was revoked.", id),
				NextStep: fmt.Sprintf("Issue a new token to %s.", old.Identity),
			}
		}
		ask := TokenAsk{Identity: old.Identity, Scopes: old.Scopes, ExpiresAt: rotation.ExpiresAt}
		if ask.ExpiresAt.IsZero() && !old.ExpiresAt.IsZero() {
			ask.ExpiresAt = t.now.Add(old.ExpiresAt.Sub(old.CreatedAt))
		}
		issued, err := t.writeToken(ctx, ask, &row.ID)
		if err != nil {
			return IssuedToken{}, err
		}
		ends := t.now.Add(rotation.Overlap)
		if !old.ExpiresAt.IsZero() && old.ExpiresAt.Before(ends) {
			ends = old.ExpiresAt
		}
		if _, err := t.EndToken(ctx, query.EndTokenParams{TenantID: t.Tenant, ID: row.ID, Host: t.Host, ExpiresAt: &ends}); err != nil {
			return IssuedToken{}, fmt.Errorf("ending the old token: %w", err)
		}
		cause := fmt.Sprintf("%s replaces %s, which works until %s.", issued.Token.ID, id, ends.Format(time.RFC3339))
		return issued, t.tell(ctx, Event{Type: "token.rotated", Cause: cause, Token: &issued.Token})
	})
}

func (t *transaction) lockToken(ctx context.Context, id TokenID) (query.Token, error) {
	row, err := t.LockToken(ctx, query.LockTokenParams{TenantID: t.Tenant, ID: int64(id)})
	if none(err) {
		return query.Token{}, notFound("token "+id.String(), "List the tokens to see their numbers.")
	}
	if err != nil {
		return query.Token{}, fmt.Errorf("reading the token: %w", err)
	}
	return row, t.readClock(ctx)
}
