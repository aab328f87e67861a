package conformance_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest/gatewaytest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/conformance"
)

// ample is how many requests a token may make at once: more than a whole run, and fewer than rateProbe.
const (
	ample     = 3000
	rateProbe = 5000
)

// bundle is the reference gateway on an empty register, with a token of each kind.
type bundle struct {
	url                 string
	admin, worker, read string
}

func setup(t *testing.T) *bundle {
	t.Helper()
	running := gatewaytest.Start(t, func(o *gatewaytest.Options) { o.RequestsPerSecond, o.RequestBurst = 20, ample })
	b := &bundle{
		url: running.URL, admin: running.TokenAs(t, "admin", "root"),
		worker: running.TokenAs(t, "worker", "coder-1"), read: running.TokenAs(t, "viewer", "vera"),
	}
	settle := 0
	require.NoError(t, register.NewAPI(b.url, b.admin).Send(t.Context(), register.By{Key: "board"}, register.PutBoard(register.BoardRequest{SettleSeconds: &settle, SignOver: &[]register.Amount{}}), nil))
	forgetEvents(t, running.Database.Gateway)
	return b
}

// forgetEvents raises the floor of the log over its first three events, as its retention does in time.
func forgetEvents(t *testing.T, database string) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = connection.Close(context.WithoutCancel(t.Context())) }()
	require.Eventually(t, func() bool {
		done, err := connection.Exec(t.Context(), `INSERT INTO fleet.retention (tenant_id, host, floor_seq, at)
			SELECT tenant_id, 'alpha', 3, now() FROM fleet.counters WHERE tenant_id = $1 AND name = 'event' AND value > 3
			ON CONFLICT (tenant_id) DO UPDATE SET floor_seq = excluded.floor_seq`, gatewaytest.Tenant)
		return err == nil && done.RowsAffected() == 1
	}, time.Minute, 20*time.Millisecond)
}

// behind is the address of a proxy before the gateway that breaks something.
func (b *bundle) behind(t *testing.T, breaks func(gateway http.Handler) http.Handler) string {
	t.Helper()
	target, err := url.Parse(b.url)
	require.NoError(t, err)
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(breaks(forward))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// try runs the contract against an address.
func (b *bundle) try(t *testing.T, address string) *conformance.Report {
	t.Helper()
	report, err := conformance.Run(t.Context(), conformance.Options{URL: address, Token: b.admin})
	require.NoError(t, err)
	return report
}

func table(t *testing.T, report *conformance.Report) string {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, report.Write(&text))
	return text.String()
}

// broken is what was seen instead of each promise that was not kept.
func broken(report *conformance.Report) map[string]string {
	seen := make(map[string]string)
	for _, result := range report.Broken() {
		seen[result.Promise] = result.Seen
	}
	return seen
}

// alter lets the gateway answer and hands the answer to change before it goes on.
func alter(change func(r *http.Request, answer *httptest.ResponseRecorder) []byte) func(http.Handler) http.Handler {
	return func(gateway http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/fleet/events" {
				gateway.ServeHTTP(w, r)
				return
			}
			answer := httptest.NewRecorder()
			gateway.ServeHTTP(answer, r)
			body := change(r, answer)
			for name, values := range answer.Header() {
				w.Header()[name] = values
			}
			w.Header().Del("Content-Length")
			w.WriteHeader(answer.Code)
			_, _ = w.Write(body)
		})
	}
}
