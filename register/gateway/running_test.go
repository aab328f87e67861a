package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestWaitingWorkStartsByItselfAtItsPromise(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	events := follow(t, b.reader, 0)
	exact := ask(25)
	exact.Exact = true
	b.dispatch(t, exact)
	await(t, events, register.EventTypeDispatchReady)
	exact.Estimate[0].Micros = 400_000 // 4.8 s of an even spread of 5 credits a minute
	waiting := b.dispatch(t, exact)
	require.Equal(t, register.DispatchStateQueued, waiting.State)
	ready := await(t, events, register.EventTypeDispatchReady)
	require.Equal(t, waiting.ID, ready.Dispatch.ID)
	require.False(t, ready.At.Before(waiting.PromisedStart), "not before its promise")
	require.Less(t, ready.At.Sub(waiting.PromisedStart), wakeAtLeast/2, "well before the line is judged anyway")
}

func TestWaitingWorkStartsAtOnceWhenRoomIsMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	events := follow(t, b.reader, 0)
	exact := ask(25)
	exact.Exact = true
	running := b.dispatch(t, exact)
	waiting := b.dispatch(t, exact)
	await(t, events, register.EventTypeDispatchQueued)
	b.send(t, b.olga, register.CancelDispatch(running.ID, ""), nil)
	require.Equal(t, waiting.ID, await(t, events, register.EventTypeDispatchReady).Dispatch.ID)
}

func TestALostWorkersDispatchIsClaimedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, ask(1))
	events := follow(t, b.reader, 0)
	b.send(t, b.worker, register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1", TTLSeconds: 5}), nil)
	await(t, events, register.EventTypeDispatchRunning)
	again := await(t, events, register.EventTypeDispatchReady)
	require.Equal(t, "gateway", again.Actor)
	require.Contains(t, again.Cause, "coder-1 was lost.")
	require.Equal(t, 2, b.claim(t).Dispatch.Attempt)
}

func TestNoReadyWorkIsNoClaim(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var claim register.Claim
	by := register.By{Key: "$poll"}
	require.NoError(t, b.worker.Send(t.Context(), by, register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}), &claim))
	require.Empty(t, claim.ID)
	b.dispatch(t, ask(1))
	require.NoError(t, b.worker.Send(t.Context(), by, register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}), &claim))
	require.NotEmpty(t, claim.ID, "an empty answer does not use up the key")
}

func TestARestartedGatewayGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	b := &bundle{database: localtest.Database(t).Gateway, log: new(serial), tokens: map[string]string{}}
	require.NoError(t, EnsureIdentity(t.Context(), b.database, tenant, "olga", "human", []string{"admin"}))
	token, err := IssueToken(t.Context(), b.database, tenant, "olga", []string{"admin"}, 0)
	require.NoError(t, err)
	b.tokens["olga"] = token

	run := func(work func(api *register.API)) {
		gateway, err := New(t.Context(), Options{Listen: "127.0.0.1:0", DatabaseURL: b.database, Tenant: tenant, Host: "alpha"})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- gateway.Run(ctx) }()
		events := follow(t, register.NewAPI(gateway.URL(), token), 0)
		require.Equal(t, int64(1), (<-events).Seq)
		b.Gateway, b.olga = gateway, register.NewAPI(gateway.URL(), token)
		work(b.olga)
		stop()
		require.NoError(t, <-ended, "it stops in time although a reader is connected")
	}
	var created register.Dispatch
	run(func(*register.API) {
		b.budget(t)
		created = b.dispatch(t, ask(10))
	})
	run(func(api *register.API) {
		shown, err := api.Dispatch(t.Context(), register.By{}, created.ID)
		require.NoError(t, err)
		require.Equal(t, created, shown)
		require.Equal(t, "D-2", b.dispatch(t, ask(1)).ID)
	})
}

func TestWithoutItsDatabaseTheGatewaySaysSoAndRecovers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	database := localtest.Database(t)
	own := &bundle{database: database.Gateway, log: b.log, tokens: map[string]string{}}
	own.Gateway = own.start(t, "alpha", own.log)
	require.NoError(t, EnsureIdentity(t.Context(), own.database, tenant, "olga", "human", []string{"admin"}))
	token, err := IssueToken(t.Context(), own.database, tenant, "olga", []string{"admin"}, 0)
	require.NoError(t, err)
	api := register.NewAPI(own.URL(), token)
	health, err := api.Ready(t.Context())
	require.NoError(t, err)
	require.Equal(t, register.HealthStatusOk, health.Status)

	superuser, err := pgx.Connect(t.Context(), withDatabase(database.Superuser, "postgres"))
	require.NoError(t, err)
	defer superuser.Close(t.Context())
	name := pgx.Identifier{database.Name}.Sanitize()
	allow := func(connections string) {
		_, err := superuser.Exec(t.Context(), "ALTER DATABASE "+name+" ALLOW_CONNECTIONS "+connections)
		require.NoError(t, err)
		_, err = superuser.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database.Name)
		require.NoError(t, err)
	}
	allow("false")
	by := register.By{Key: "$kept"}
	err = api.Send(t.Context(), by, register.CreateDispatch(ask(1)), nil)
	failure := requireCode(t, register.ProblemCodeUnavailable, err)
	require.True(t, failure.Retry())
	require.Equal(t, time.Second, failure.RetryAfter)
	health, err = api.Ready(t.Context())
	require.NoError(t, err)
	require.Equal(t, register.HealthStatusUnavailable, health.Status)
	require.Equal(t, "The database does not answer.", health.Parts["database"])
	status, _, _ := own.raw(t, "GET", "/healthz", "", "")
	require.Equal(t, http.StatusOK, status)

	allow("true")
	var dispatch register.Dispatch
	require.Eventually(t, func() bool {
		return api.Send(t.Context(), by, register.CreateDispatch(ask(1)), &dispatch) == nil
	}, time.Minute, 20*time.Millisecond)
	require.Equal(t, "D-1", dispatch.ID)
}

// withDatabase is the same server's other database.
func withDatabase(address, name string) string {
	before, query, _ := strings.Cut(address, "?")
	return before[:strings.LastIndex(before, "/")+1] + name + "?" + query
}

func TestMetricsShowRequestsAndTheRegister(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(10))
	status, _, body := b.raw(t, "GET", "/metrics", "", "")
	require.Equal(t, http.StatusOK, status)
	for _, line := range []string{
		`mosaic_gateway_requests_total{operation="createDispatch",status="201"} 1`,
		`mosaic_dispatches{state="ready"} 1`, `mosaic_dispatches{state="running"} 0`, `mosaic_dispatches{state="queued"} 0`,
		`mosaic_window_limit{provider="claude",subscription="claude",unit="credits",window="main"} 500`,
		`mosaic_window_used{provider="claude",subscription="claude",unit="credits",window="main"} 10`,
		`mosaic_window_overshoot{provider="claude",subscription="claude",unit="credits",window="main"} 0`,
		`mosaic_window_step{provider="claude",subscription="claude",unit="credits",window="main"} 0`,
		"mosaic_events_unnumbered ", "mosaic_events_unnumbered_seconds ",
		`mosaic_window_used_ratio{provider="claude",subscription="claude",unit="credits",window="main"} 0.02`,
	} {
		require.Contains(t, string(body), line)
	}
}

func TestARequestKeepsTheIDItCameWith(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, header, _ := b.raw(t, "GET", "/healthz", "", "", requestIDHeader, "walk-7")
	require.Equal(t, "walk-7", header.Get(requestIDHeader))
	_, header, _ = b.raw(t, "GET", "/healthz", "", "", requestIDHeader, "no good\"")
	require.NotEqual(t, "no good\"", header.Get(requestIDHeader))
	require.NotEmpty(t, header.Get(requestIDHeader))
	require.Contains(t, b.log.String(), `"request_id":"walk-7"`)
}

func TestWhatCameWithADispatchStaysWithIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	request := ask(1)
	request.Origin = register.Origin{Transport: register.OriginTransportMatrix, Room: "!r:localhost", Event: "$e", Thread: "$t"}
	request.Project, request.Mission, request.Priority = "mosaic", "m-1", new(0)
	request.Deadline = time.Now().Add(time.Hour)
	created := b.dispatch(t, request)
	require.Equal(t, request.Origin, created.Origin)
	require.Equal(t, 0, created.Priority)
	shown, err := b.reader.Dispatch(t.Context(), register.By{}, created.ID)
	require.NoError(t, err)
	require.Equal(t, created, shown)
	body, err := json.Marshal(shown)
	require.NoError(t, err)
	require.Contains(t, string(body), `"brief_class":"technical"`)
}

func TestListsAreReadPageByPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 5 {
		b.dispatch(t, ask(1))
	}
	first, err := b.reader.Dispatches(t.Context(), register.By{}, "", 3)
	require.NoError(t, err)
	require.Equal(t, []string{"D-5", "D-4", "D-3"}, numbers(first))
	rest, err := b.reader.Dispatches(t.Context(), register.By{}, first.Next, 3)
	require.NoError(t, err)
	require.Equal(t, []string{"D-2", "D-1"}, numbers(rest))
	require.Empty(t, rest.Next)
	none, err := b.reader.Dispatches(t.Context(), register.By{}, "", 0, register.DispatchStateDone, register.DispatchStateQueued)
	require.NoError(t, err)
	require.Empty(t, none.Dispatches)
}

func numbers(list register.DispatchList) []string {
	var out []string
	for _, dispatch := range list.Dispatches {
		out = append(out, dispatch.ID)
	}
	return out
}
