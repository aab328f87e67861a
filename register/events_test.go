package register_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestABrokenEventStreamIsResumedWhereItStopped(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var after int
		_, _ = fmt.Sscan(r.Header.Get("Last-Event-ID"), &after)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": heartbeat\n\n")
		// Two events a connection, then the stream breaks.
		for seq := after + 1; seq <= after+2; seq++ {
			_, _ = fmt.Fprintf(w, "id: %d\nevent: dispatch.queued\ndata: {\"seq\":%d,\"type\":\"dispatch.queued\"}\n\n", seq, seq)
		}
	}))
	t.Cleanup(server.Close)
	api := register.NewAPI(server.URL, "a-token")

	var position int64
	var seen []int64
	for range 3 {
		err := api.Events(t.Context(), position, func(event register.Event) error {
			position = event.Seq
			seen = append(seen, event.Seq)
			return nil
		})
		require.True(t, register.Retryable(err), "a broken stream is read again: %v", err)
	}
	require.Equal(t, []int64{1, 2, 3, 4, 5, 6}, seen)
}

func TestAnEventThatCannotBeHandledStopsTheStream(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "id: 1\nevent: budget.set\ndata: {\"seq\":1}\n\nid: 2\nevent: budget.set\ndata: {\"seq\":2}\n\n")
	}))
	t.Cleanup(server.Close)
	full := errors.New("disk full")
	calls := 0
	err := register.NewAPI(server.URL, "a-token").Events(t.Context(), 0, func(register.Event) error { calls++; return full })
	require.ErrorIs(t, err, full)
	require.Equal(t, 1, calls, "the second event must not pass the first")
}

func TestARefusedEventStreamSaysWhy(t *testing.T) {
	t.Parallel()
	err := answering(t, 401, nil, `{"code":"unauthorized","detail":"The token is not known."}`).Events(t.Context(), 0, nil)
	require.EqualError(t, err, "The token is not known.")
}
