package gateway

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// issue makes a token for coder-1 over the API.
func (b *bundle) issue(t *testing.T, expires time.Time) register.IssuedToken {
	t.Helper()
	var issued register.IssuedToken
	b.send(t, b.admin, register.IssueTokenTo(register.TokenRequest{
		Identity: "coder-1", Scopes: []register.TokenScope{"worker"}, ExpiresAt: expires,
	}), &issued)
	require.Equal(t, register.IssuedTokenCodeSecretShown, issued.Code)
	return issued
}

func (b *bundle) works(t *testing.T, secret string) error {
	t.Helper()
	_, err := register.NewAPI(b.URL(), secret).WhoAmI(t.Context(), register.By{})
	return err
}

func TestATokenIsShownOnceAndARepeatSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	events := follow(t, b.reader, 0)
	ask := register.IssueTokenTo(register.TokenRequest{Identity: "coder-1", Scopes: []register.TokenScope{"worker"}})
	send := func() (int, register.IssuedToken, string) {
		status, _, body := b.raw(t, ask.Method, ask.Path, b.tokens["root"], string(ask.Body), "Idempotency-Key", "issue")
		var issued register.IssuedToken
		require.NoError(t, json.Unmarshal(body, &issued))
		return status, issued, string(body)
	}
	status, first, _ := send()
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, register.IssuedTokenCodeSecretShown, first.Code)
	require.NoError(t, b.works(t, first.Secret))
	for range 2 {
		status, again, body := send()
		require.Equal(t, http.StatusCreated, status)
		require.Equal(t, register.IssuedTokenCodeSecretWithheld, again.Code)
		require.Equal(t, first.Token, again.Token)
		require.Contains(t, again.NextStep, "rotate "+first.Token.ID)
		require.NotContains(t, body, "mosaic_")
	}
	var event register.Event
	for event.Token.ID != first.Token.ID {
		event = await(t, events, register.EventTypeTokenIssued)
	}
	require.Equal(t, "root", event.Actor)
	require.Equal(t, first.Token, event.Token)

	database, err := pgx.Connect(t.Context(), b.database)
	require.NoError(t, err)
	defer database.Close(t.Context())
	var kept int
	require.NoError(t, database.QueryRow(t.Context(), `SELECT
		(SELECT count(*) FROM fleet.idempotency WHERE answer::text LIKE '%' || $1 || '%') + (SELECT count(*) FROM fleet.events WHERE payload::text LIKE '%' || $1 || '%')
		+ (SELECT count(*) FROM fleet.tokens k WHERE k::text LIKE '%' || $1 || '%')`, first.Secret).Scan(&kept))
	require.Zero(t, kept, "the secret lies nowhere in the register")
	require.NotContains(t, b.log.String(), first.Secret)
}

func TestARotatedTokenWorksBesideTheNewOneAndThenEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	events := follow(t, b.reader, 0)
	old := b.issue(t, time.Now().Add(24*time.Hour))
	var renewed register.IssuedToken
	b.send(t, b.admin, register.RotateToken(old.Token.ID, register.TokenRotation{OverlapSeconds: new(1)}), &renewed)
	require.NoError(t, b.works(t, old.Secret), "both work for the overlap")
	require.NoError(t, b.works(t, renewed.Secret))
	require.Equal(t, old.Token.ID, renewed.Token.Replaces)
	require.Equal(t, old.Token.Scopes, renewed.Token.Scopes)
	require.Equal(t, old.Token.ExpiresAt.Sub(old.Token.CreatedAt), renewed.Token.ExpiresAt.Sub(renewed.Token.CreatedAt), "it gets the same life anew")
	event := await(t, events, register.EventTypeTokenRotated)
	require.Equal(t, renewed.Token, event.Token)
	require.Contains(t, event.Cause, renewed.Token.ID+" replaces "+old.Token.ID)
	require.Eventually(t, func() bool {
		return register.CodeOf(b.works(t, old.Secret)) == register.ProblemCodeUnauthorized
	}, time.Minute, 50*time.Millisecond)
	require.NoError(t, b.works(t, renewed.Secret))
	require.Contains(t, b.refused(t, register.ProblemCodeTokenEnded, b.admin, register.RotateToken(old.Token.ID, register.TokenRotation{})).NextStep, "coder-1")

	var last register.IssuedToken
	b.send(t, b.admin, register.RotateToken(renewed.Token.ID, register.TokenRotation{OverlapSeconds: new(0)}), &last)
	requireCode(t, register.ProblemCodeUnauthorized, b.works(t, renewed.Secret))
	require.NoError(t, b.works(t, last.Secret))

	short := b.issue(t, time.Now().Add(time.Minute))
	b.send(t, b.admin, register.RotateToken(short.Token.ID, register.TokenRotation{}), nil)
	list, err := b.admin.Tokens(t.Context(), register.By{}, "", 2)
	require.NoError(t, err)
	require.Equal(t, short.Token.ExpiresAt, list.Tokens[1].ExpiresAt, "an overlap never lengthens a life")
}

func TestARevokedTokenEndsAtOnceAndOnlyItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	events := follow(t, b.reader, 0)
	one, other := b.issue(t, time.Time{}), b.issue(t, time.Time{})
	var revoked, again register.Token
	b.send(t, b.admin, register.RevokeToken(one.Token.ID), &revoked)
	requireCode(t, register.ProblemCodeUnauthorized, b.works(t, one.Secret))
	require.NoError(t, b.works(t, other.Secret))
	require.Equal(t, revoked, await(t, events, register.EventTypeTokenRevoked).Token)
	b.send(t, b.admin, register.RevokeToken(one.Token.ID), &again)
	require.Equal(t, revoked, again, "once revoked, it stays as it was")
	require.Equal(t, "There is no token T-999.", b.refused(t, register.ProblemCodeNotFound, b.admin, register.RevokeToken("t-999")).Detail)
}

func TestTokensAreListedWithTheHourOfTheirLastUseAndNoSecret(t *testing.T) {
	t.Parallel()
	b := setup(t)
	issued := b.issue(t, time.Now().Add(time.Hour))
	list, err := b.admin.Tokens(t.Context(), register.By{}, "", 1)
	require.NoError(t, err)
	require.Len(t, list.Tokens, 1)
	require.Equal(t, issued.Token, list.Tokens[0])
	require.Zero(t, list.Tokens[0].LastUsedAt)
	require.NoError(t, b.works(t, issued.Secret))
	seen := map[string]bool{}
	for before := ""; ; {
		page, err := b.admin.Tokens(t.Context(), register.By{}, before, 2)
		require.NoError(t, err)
		for _, token := range page.Tokens {
			require.False(t, seen[token.ID])
			seen[token.ID] = true
			if token.ID == issued.Token.ID {
				require.Equal(t, token.LastUsedAt.Truncate(time.Hour), token.LastUsedAt)
				require.WithinDuration(t, time.Now(), token.LastUsedAt, time.Hour+time.Minute)
			}
		}
		if before = page.Next; before == "" {
			break
		}
	}
	require.Len(t, seen, 6)
	_, _, body := b.raw(t, http.MethodGet, "/api/fleet/tokens", b.tokens["root"], "")
	require.NotContains(t, string(body), "hash")
	require.NotContains(t, string(body), "mosaic_")
	status, _, body := b.raw(t, http.MethodGet, "/api/fleet/tokens?cursor=D-1", b.tokens["root"], "")
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "cursor", problemIn(t, body).Field)
}

func TestOnlyAnAdminHandlesTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, api := range []*register.API{b.olga, b.worker, b.reader, b.bot} {
		_, err := api.Tokens(t.Context(), register.By{}, "", 0)
		requireCode(t, register.ProblemCodeForbidden, err)
		for _, mutation := range []register.Mutation{
			register.IssueTokenTo(register.TokenRequest{Identity: "olga", Scopes: []register.TokenScope{"admin"}}),
			register.RevokeToken("T-1"),
			register.RotateToken("T-1", register.TokenRotation{}),
		} {
			b.refused(t, register.ProblemCodeForbidden, api, mutation)
		}
	}
	err := b.bot.Send(t.Context(), register.By{Actor: "root", Key: rand.Text()}, register.RevokeToken("T-1"), nil)
	requireCode(t, register.ProblemCodeForbidden, err)
	issue := func(identity string, expires time.Time) register.Mutation {
		return register.IssueTokenTo(register.TokenRequest{Identity: identity, Scopes: []register.TokenScope{"read"}, ExpiresAt: expires})
	}
	b.refused(t, register.ProblemCodeNotFound, b.admin, issue("nobody", time.Time{}))
	require.Equal(t, "expires_at", b.refused(t, register.ProblemCodeInvalid, b.admin, issue("olga", time.Now().Add(-time.Hour))).Field)
}
