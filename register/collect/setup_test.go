package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// desk is a gateway that writes down what it is sent, and a machine with logs on it.
type desk struct {
	logs, state, runs string
	api               *register.API
	mutex             sync.Mutex
	keys              map[string]string // the body each key came with
	bodies            []string          // in the order of their keys
	fault             func(w http.ResponseWriter, r *http.Request) bool
}

// secret stands where prompts and answers stand; nothing that is kept or sent may hold it.
const secret = "PLEASE-REFACTOR-THE-BILLING"

func setup(t *testing.T) *desk {
	t.Helper()
	d := &desk{logs: t.TempDir(), state: filepath.Join(t.TempDir(), "state.json"), runs: t.TempDir(), keys: make(map[string]string)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mutex.Lock()
		defer d.mutex.Unlock()
		body, _ := io.ReadAll(r.Body)
		key := r.Header.Get("Idempotency-Key")
		if before, repeated := d.keys[key]; repeated {
			require.Equal(t, before, string(body), "a key comes again with the same bytes")
		} else {
			d.keys[key] = string(body)
			d.bodies = append(d.bodies, string(body))
		}
		if d.fault == nil || !d.fault(w, r) {
			_, _ = w.Write([]byte(`{}`))
		}
	}))
	t.Cleanup(server.Close)
	d.api = register.NewAPI(server.URL, "mosaic_test")
	return d
}

func (d *desk) breaks(fault func(w http.ResponseWriter, r *http.Request) bool) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.fault = fault
}

// began is from when use counts in every test.
func began() time.Time { return time.Now().Add(-10 * time.Minute).UTC() }

func (d *desk) options(tool Tool) Options {
	return Options{API: d.api, Tool: tool, Directory: d.logs, Runs: d.runs, State: d.state, Since: began(), Once: true}
}

// collect looks once, as a process that was started anew.
func (d *desk) collect(t *testing.T, tool Tool, change ...func(*Options)) {
	t.Helper()
	require.NoError(t, d.try(t, tool, change...))
}

func (d *desk) try(t *testing.T, tool Tool, change ...func(*Options)) error {
	t.Helper()
	options := d.options(tool)
	for _, alter := range change {
		alter(&options)
	}
	collector, err := New(options)
	require.NoError(t, err)
	err = collector.Run(zerolog.New(zerolog.NewTestWriter(t)).WithContext(context.Background()))
	for _, path := range []string{d.state} {
		kept, _ := os.ReadFile(path)
		require.NotContains(t, string(kept), secret)
	}
	return err
}

// uses are those that were reported, each as "run model tokens"; readings each as "window percent".
func (d *desk) uses(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, report := range bodiesOf[register.UsageRequest](t, d, `"uses"`) {
		for _, use := range report.Uses {
			of := "-"
			if use.Run != nil {
				of = fmt.Sprintf("%s.%d", use.Run.Dispatch, use.Run.Attempt)
			}
			out = append(out, fmt.Sprintf("%s %s %d", of, use.Model, use.Micros/1_000_000))
		}
	}
	return out
}

func (d *desk) readings(t *testing.T) []register.ReadingRequest {
	t.Helper()
	return bodiesOf[register.ReadingRequest](t, d, `"used_micros"`)
}

// bodiesOf are the bodies of one kind, in their order.
func bodiesOf[Body any](t *testing.T, d *desk, mark string) []Body {
	t.Helper()
	d.mutex.Lock()
	defer d.mutex.Unlock()
	var out []Body
	for _, text := range d.bodies {
		require.NotContains(t, text, secret)
		if strings.Contains(text, mark) {
			var body Body
			require.NoError(t, json.Unmarshal([]byte(text), &body))
			out = append(out, body)
		}
	}
	return out
}

func (d *desk) write(t *testing.T, name string, lines ...string) {
	t.Helper()
	d.raw(t, name, strings.Join(lines, "\n")+"\n")
}

// raw appends to a log.
func (d *desk) raw(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(d.logs, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = file.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

// claudeLineOf is a line as Claude Code writes it for one content block of an answer.
func claudeLineOf(session, message, request, model string, output int, at time.Time, cwd string) string {
	if request != "" {
		request = fmt.Sprintf(`"requestId":%q,`, request)
	}
	return fmt.Sprintf(`{"parentUuid":"6f0e","isSidechain":false,"userType":"external","cwd":%q,"sessionId":%q,"version":"2.1.96","gitBranch":"main",`+
		`"message":{"id":%q,"type":"message","role":"assistant","model":%q,"content":[{"type":"text","text":"%s usage"}],"stop_reason":null,`+
		`"usage":{"input_tokens":3,"cache_creation_input_tokens":20,"cache_read_input_tokens":61608,"cache_creation":{"ephemeral_5m_input_tokens":20},`+
		`"output_tokens":%d,"service_tier":"standard"}},%s"type":"assistant","uuid":"2489ec53","timestamp":"%s"}`,
		cwd, session, message, model, secret, output, request, stamp(at))
}

func claudeAsk(session string, at time.Time) string {
	return fmt.Sprintf(`{"parentUuid":null,"cwd":"/repo","sessionId":%q,"type":"user","message":{"role":"user","content":"%s \"usage\""},"uuid":"1","timestamp":"%s"}`,
		session, secret, stamp(at))
}

const opus = "claude-opus-4-8"

func codexMeta(id, forked, cwd string, at time.Time) string {
	if forked != "" {
		forked = fmt.Sprintf(`"forked_from_id":%q,`, forked)
	}
	return fmt.Sprintf(`{"timestamp":"%s","type":"session_meta","payload":{"id":%q,%s"timestamp":"%s","cwd":%q,"originator":"codex_cli_rs","cli_version":"0.124.0","instructions":"%s"}}`,
		stamp(at), id, forked, stamp(at), cwd, secret)
}

func codexTurn(model, cwd string, at time.Time) string {
	return fmt.Sprintf(`{"timestamp":"%s","type":"turn_context","payload":{"cwd":%q,"approval_policy":"never","model":%q,"effort":"medium","summary":"auto"}}`, stamp(at), cwd, model)
}

func codexSays(at time.Time) string {
	return fmt.Sprintf(`{"timestamp":"%s","type":"response_item","payload":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"%s token_count"}]}}`, stamp(at), secret)
}

// codexCount is a token count: the session's totals, of which the last call made the last ones.
func codexCount(total, last [3]int, limits string, at time.Time) string {
	usage := func(u [3]int) string {
		return fmt.Sprintf(`{"input_tokens":%d,"cached_input_tokens":%d,"output_tokens":%d,"reasoning_output_tokens":1,"total_tokens":%d}`, u[0], u[1], u[2], u[0]+u[2])
	}
	return fmt.Sprintf(`{"timestamp":"%s","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":%s,"last_token_usage":%s,"model_context_window":258400},"rate_limits":%s}}`,
		stamp(at), usage(total), usage(last), limits)
}
