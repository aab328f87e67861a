package terminal_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/terminal"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/gateway"
)

const tenant = "acme"

// bundle is an operator's terminal, a gateway on a register of its own, and a line between them that can be broken.
type bundle struct {
	terminal.Options
	api   *register.API // past the line
	line  string        // the line's URL
	fault atomic.Pointer[fault]
	out   *bytes.Buffer
	said  *serial // on standard error
}

// fault stands in the line; forward carries the request on.
type fault func(w http.ResponseWriter, r *http.Request, forward http.HandlerFunc)

func setup(t *testing.T) *bundle {
	t.Helper()
	database := localtest.Migrated(t, gateway.Migrate).Gateway
	server, err := gateway.New(t.Context(), gateway.Options{Listen: "127.0.0.1:0", DatabaseURL: database, Tenant: tenant, Host: "alpha", Log: zerolog.Nop()})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	require.NoError(t, gateway.EnsureIdentity(t.Context(), database, tenant, "olga", "human", []string{"operator"}))
	token, err := gateway.IssueToken(t.Context(), database, tenant, "olga", []string{"operate"}, time.Hour)
	require.NoError(t, err)

	b := &bundle{api: register.NewAPI(server.URL(), token), out: new(bytes.Buffer), said: new(serial)}
	target, err := url.Parse(server.URL())
	require.NoError(t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken := b.fault.Load(); broken != nil {
			(*broken)(w, r, forward.ServeHTTP)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	b.line = proxy.URL
	b.Options = terminal.Options{API: register.NewAPI(b.line, token), Out: b.out, Err: b.said, Patience: 10 * time.Second}
	return b
}

func (b *bundle) breaks(f fault) { b.fault.Store(&f) }

func (b *bundle) mends() { b.fault.Store(nil) }

// losing carries out every request and cuts its answer.
func losing(_ http.ResponseWriter, r *http.Request, forward http.HandlerFunc) {
	forward(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// exec carries out one command; out and said are what it printed.
func (b *bundle) exec(t *testing.T, words ...string) (code int, out, said string) {
	t.Helper()
	b.out.Reset()
	b.said.Reset()
	code = terminal.Exec(t.Context(), b.Options, words)
	return code, b.out.String(), b.said.String()
}

// dispatches counts what the register holds.
func (b *bundle) dispatches(t *testing.T) int {
	t.Helper()
	list, err := b.api.Dispatches(t.Context(), register.By{}, "", 100)
	require.NoError(t, err)
	return len(list.Dispatches)
}

// serial is a buffer that several goroutines may use.
type serial struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (s *serial) Write(p []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.Write(p)
}

func (s *serial) String() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.String()
}

func (s *serial) Reset() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.text.Reset()
}
