package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestEveryChangeHasARule(t *testing.T) {
	t.Parallel()
	document, err := openapi3.NewLoader().LoadFromData(register.Contract)
	require.NoError(t, err)
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			_, ruled := rules[operation.OperationID]
			require.True(t, ruled || method == http.MethodGet, "%s %s", method, path)
		}
	}
}

func TestNothingIsDoneOrReadWithoutALiveToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	document, err := openapi3.NewLoader().LoadFromData(register.Contract)
	require.NoError(t, err)
	expired, err := IssueToken(t.Context(), b.database, tenant, "olga", []string{"operate"}, time.Nanosecond)
	require.NoError(t, err)
	for path, item := range document.Paths.Map() {
		for method := range item.Operations() {
			if !strings.HasPrefix(path, "/api/") {
				continue
			}
			for _, token := range []string{"", "mosaic_wrong", expired} {
				address := strings.NewReplacer("{dispatch}", "D-1", "{proposal}", "P-1", "{seat}", "ceo", "{name}", "x", "{token}", "T-1").Replace(path)
				status, header, body := b.raw(t, method, address, token, "")
				require.Equal(t, http.StatusUnauthorized, status, "%s %s", method, path)
				require.Equal(t, "Bearer", header.Get("WWW-Authenticate"))
				require.Equal(t, register.ProblemCodeUnauthorized, problemIn(t, body).Code)
			}
		}
	}
}

func TestATokenThatIsOffByOneCharacterIsNoToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	token := b.tokens["olga"]
	status, _, _ := b.raw(t, http.MethodGet, "/api/fleet/whoami", token, "")
	require.Equal(t, http.StatusOK, status)
	wrong := []string{token + "A", token[:len(token)-1], strings.ToUpper(token), " " + token[1:]}
	for i := range token {
		other := byte('x')
		if token[i] == other {
			other = 'y'
		}
		wrong = append(wrong, token[:i]+string(other)+token[i+1:])
	}
	for _, almost := range wrong {
		status, _, _ := b.raw(t, http.MethodGet, "/api/fleet/whoami", almost, "")
		require.Equal(t, http.StatusUnauthorized, status, almost)
	}
}

func TestARevokedTokenIsNoToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.olga.WhoAmI(t.Context(), register.By{})
	require.NoError(t, err)
	revoked, err := RevokeTokens(t.Context(), b.database, tenant, "olga")
	require.NoError(t, err)
	require.Equal(t, int64(1), revoked)
	_, err = b.olga.WhoAmI(t.Context(), register.By{})
	requireCode(t, register.ProblemCodeUnauthorized, err)
	require.True(t, register.Retryable(err), "a 401 never consumes a command")
	_, err = IssueToken(t.Context(), b.database, tenant, "nobody", []string{"read"}, 0)
	require.EqualError(t, err, "There is no identity nobody.")
}

func TestTokensAreKeptOnlyAsHashes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, ask(1))
	require.NotContains(t, b.log.String(), b.tokens["olga"])
	require.NotContains(t, b.log.String(), "Add a health check", "briefs stay out of the log")
	require.Contains(t, b.log.String(), `"operation":"createDispatch"`)
	require.Contains(t, b.log.String(), `"caller":"olga"`)
}

func TestScopesAndRolesBothHaveToAllow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	set := register.SetBudget(register.BudgetSetRequest{Provider: "claude", Unit: "credits", LimitMicros: 1, ResetAt: time.Now().Add(time.Hour)})
	create := register.CreateDispatch(ask(1))
	claim := register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"})
	seat := register.PutSeat("ceo", register.SeatRequest{Lens: "mission", Identity: "olga"})
	identity := register.PutIdentity("eve", register.IdentityRequest{Kind: register.IdentityRequestKindHuman, Roles: []register.FleetRole{register.FleetRoleAdmin}})
	room := register.BindRoom(register.RoomBinding{Room: "!r", Purposes: []register.RoomPurpose{register.RoomPurposeFleet}})
	for _, c := range []struct {
		api      *register.API
		mutation register.Mutation
		allowed  bool
	}{
		{b.reader, create, false},
		{b.reader, set, false},
		{b.worker, create, false},
		{b.bot, create, false}, // the bot itself has no role
		{b.olga, create, true},
		{b.olga, set, true},
		{b.olga, claim, false},
		{b.olga, seat, false},
		{b.olga, identity, false},
		{b.olga, room, false},
		{b.admin, seat, true},
		{b.admin, room, true},
		{b.admin, create, true},
		{b.worker, claim, true},
	} {
		if c.allowed {
			b.send(t, c.api, c.mutation, nil)
			continue
		}
		refused := b.refused(t, register.ProblemCodeForbidden, c.api, c.mutation)
		require.NotEmpty(t, refused.NextStep)
	}
	require.Equal(t, "coder-1 may not dispatch work; that takes the role operator or admin.",
		b.refusedAs(t, register.ProblemCodeForbidden, b.bot, "coder-1", create).Detail)
}

func (b *bundle) refusedAs(t *testing.T, code register.ProblemCode, api *register.API, actor string, mutation register.Mutation) *register.Error {
	t.Helper()
	return requireCode(t, code, api.Send(t.Context(), register.By{Actor: actor, Key: actor + mutation.Path}, mutation, nil))
}

func TestOnlyABotOrAnAdminActsForOthersAndOnlyForThoseWhoAreKnown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, actor := range []string{"@olga:localhost", "olga"} {
		identity, err := b.bot.WhoAmI(t.Context(), register.By{Actor: actor})
		require.NoError(t, err)
		require.Equal(t, "olga", identity.Name)
		require.Equal(t, []register.FleetRole{register.FleetRoleOperator}, identity.Roles)
	}
	_, err := b.admin.WhoAmI(t.Context(), register.By{Actor: "olga"})
	require.NoError(t, err)
	_, err = b.olga.WhoAmI(t.Context(), register.By{Actor: "root"})
	requireCode(t, register.ProblemCodeForbidden, err)
	_, err = b.olga.WhoAmI(t.Context(), register.By{Actor: "olga"})
	require.NoError(t, err, "one may name oneself")
	for _, stranger := range []string{"@eve:localhost", "eve"} {
		_, err = b.bot.WhoAmI(t.Context(), register.By{Actor: stranger})
		requireCode(t, register.ProblemCodeActorUnknown, err)
	}
	for _, alike := range []string{"@OLGA:localhost", "@olga:evil.example", "@о1gа:localhost"} {
		_, err = b.bot.WhoAmI(t.Context(), register.By{Actor: alike})
		requireCode(t, register.ProblemCodeActorLooksAlike, err)
		require.ErrorContains(t, err, "which looks like olga")
	}

	var dispatch register.Dispatch
	require.NoError(t, b.bot.Send(t.Context(), register.By{Actor: "@olga:localhost", Key: "$event"}, register.CreateDispatch(ask(1)), &dispatch))
	require.Equal(t, "olga", dispatch.CreatedBy)
}

func TestAMatrixIDBelongsToOneIdentity(t *testing.T) {
	t.Parallel()
	b := setup(t)
	refused := b.refused(t, register.ProblemCodeInvalid, b.admin, register.PutIdentity("eve", register.IdentityRequest{
		Kind: register.IdentityRequestKindHuman, MatrixID: "@olga:localhost", Roles: []register.FleetRole{},
	}))
	require.Equal(t, "@olga:localhost already belongs to olga.", refused.Detail)
}

func TestATokenOfAnotherTenantIsNoToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, EnsureIdentity(t.Context(), b.database, "globex", "olga", "human", []string{"admin"}))
	token, err := IssueToken(t.Context(), b.database, "globex", "olga", []string{"admin"}, 0)
	require.NoError(t, err)
	_, err = register.NewAPI(b.URL(), token).WhoAmI(t.Context(), register.By{})
	requireCode(t, register.ProblemCodeUnauthorized, err)
}
