package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// TestTwoGatewaysWakeEachWaitingDispatchOnce lets two gateways' timers run out at the same promises.
func TestTwoGatewaysWakeEachWaitingDispatchOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t, "beta", b.log)
	b.budget(t)
	events := follow(t, b.reader, 0)
	exact := ask(25)
	exact.Exact = true
	b.dispatch(t, exact)
	const many = 5
	promised := make(map[string]time.Time)
	for range many {
		exact.Estimate[0].Micros = 400_000 // 4.8 s of an even spread of 5 credits a minute
		waiting := b.dispatch(t, exact)
		require.Equal(t, register.DispatchStateQueued, waiting.State)
		promised[waiting.ID] = waiting.PromisedStart
	}
	await(t, events, register.EventTypeDispatchReady) // the first one
	for range many {
		ready := await(t, events, register.EventTypeDispatchReady)
		at, waited := promised[ready.Dispatch.ID]
		require.True(t, waited, "%s was woken once", ready.Dispatch.ID)
		delete(promised, ready.Dispatch.ID)
		require.Equal(t, "gateway", ready.Actor)
		require.False(t, ready.At.Before(at), "not before its promise")
	}
	require.Empty(t, promised)

	database, err := pgx.Connect(t.Context(), b.database)
	require.NoError(t, err)
	defer func() { _ = database.Close(context.WithoutCancel(t.Context())) }()
	var twice int
	require.NoError(t, database.QueryRow(t.Context(), `SELECT count(*) FROM (SELECT dispatch_id FROM fleet.reservations
		WHERE state = 'active' GROUP BY dispatch_id, window_id HAVING count(*) > 1) AS held`).Scan(&twice))
	require.Zero(t, twice, "nothing is held twice")
	wrong, err := b.store.CheckAccounts(t.Context())
	require.NoError(t, err)
	require.Empty(t, wrong)
}

// TestAGatewayThatDiesBeforeItsTimerDelaysNobody stops the gateway that promised; the other one learned of the promise from the log.
func TestAGatewayThatDiesBeforeItsTimerDelaysNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	options := b.options
	options.Listen, options.Host = "127.0.0.1:0", "beta"
	beta, err := New(t.Context(), options)
	require.NoError(t, err)
	ctx, kill := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- beta.Run(ctx) }()
	b.budget(t)
	events := follow(t, b.reader, 0)
	exact := ask(25)
	exact.Exact = true
	b.dispatch(t, exact)
	await(t, events, register.EventTypeDispatchReady)

	exact.Estimate[0].Micros = 400_000 // 4.8 s
	var waiting register.Dispatch
	b.send(t, register.NewAPI(beta.URL(), b.tokens["olga"]), register.CreateDispatch(exact), &waiting)
	require.Equal(t, register.DispatchStateQueued, waiting.State)
	kill()
	require.NoError(t, <-ended)
	ready := await(t, events, register.EventTypeDispatchReady)
	require.Equal(t, waiting.ID, ready.Dispatch.ID)
	require.Equal(t, "alpha", ready.Host)
	require.Less(t, ready.At.Sub(waiting.PromisedStart), wakeAtLeast/2, "well before the line is judged anyway")
}
