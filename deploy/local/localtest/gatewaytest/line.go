package gatewaytest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Line is an address that stays while what it leads to may change, and that can be broken.
type Line struct {
	URL     string
	forward *httputil.ReverseProxy
	target  atomic.Pointer[url.URL]
	fault   atomic.Pointer[Fault]
}

// Fault stands in the line; forward carries the request on.
type Fault func(w http.ResponseWriter, r *http.Request, forward http.HandlerFunc)

// NewLine leads nowhere until Lead is called; what leads nowhere or to nobody answers 502.
func NewLine(t testing.TB) *Line {
	t.Helper()
	l := new(Line)
	l.forward = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(l.target.Load()) },
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := l.fault.Load(); fault != nil {
			(*fault)(w, r, l.Forward)
			return
		}
		l.Forward(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	l.URL = server.URL
	return l
}

// Forward carries a request on, whatever is broken.
func (l *Line) Forward(w http.ResponseWriter, r *http.Request) { l.forward.ServeHTTP(w, r) }

// Lead has it lead to another server.
func (l *Line) Lead(t testing.TB, to string) {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	l.target.Store(target)
}

// Break puts a fault into it until Mend.
func (l *Line) Break(fault Fault) { l.fault.Store(&fault) }

// Mend takes the fault out.
func (l *Line) Mend() { l.fault.Store(nil) }
