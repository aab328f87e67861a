package terminal_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/terminal"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest/gatewaytest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// bundle is an operator's terminal, a gateway on a register of its own, and a line between them that can be broken.
type bundle struct {
	terminal.Options
	*gatewaytest.Line
	api    *register.API // past the line
	worker *register.API
	out    *bytes.Buffer
	said   *serial // on standard error
}

func setup(t *testing.T) *bundle {
	t.Helper()
	running := gatewaytest.Start(t)
	token := running.TokenAs(t, "operator", "olga")
	b := &bundle{Line: gatewaytest.NewLine(t), api: register.NewAPI(running.URL, token), out: new(bytes.Buffer), said: new(serial)}
	b.worker = running.As(t, "worker", "coder-1")
	b.Lead(t, running.URL)
	b.Options = terminal.Options{API: register.NewAPI(b.URL, token), Out: b.out, Err: b.said, Patience: time.Minute}
	return b
}

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
