package collect_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest/gatewaytest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// patience is how long a test waits for what should happen within seconds on an idle machine.
const patience = 60 * time.Second

// host is a machine with the program on it, an agent's logs, and a gateway it can reach.
type host struct {
	program, logs, runs, state, url, worker string
	olga                                    *register.API
}

var program = sync.OnceValues(func() (string, error) {
	directory, err := os.MkdirTemp("", "collect-test-")
	path := filepath.Join(directory, "mosaic-matrix")
	if err == nil {
		var said []byte
		if said, err = exec.Command("go", "build", "-tags", "goolm", "-o", path, "git.mosaicstack.dev/mosaicstack/mosaic-matrix").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s", err, said)
		}
	}
	return path, err
})

func onHost(t *testing.T) *host {
	t.Helper()
	built, err := program()
	require.NoError(t, err)
	running := gatewaytest.Start(t)
	return &host{
		program: built, logs: t.TempDir(), runs: t.TempDir(), state: filepath.Join(t.TempDir(), "state.json"), url: running.URL,
		worker: running.TokenAs(t, "worker", "coder-1"), olga: running.As(t, "operator", "olga"),
	}
}

// start runs the program as the worker's user, in a directory, until the test ends.
func (h *host) start(t *testing.T, directory string, arguments ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command(h.program, arguments...)
	command.Dir = directory
	command.Env = append(os.Environ(), "MOSAIC_GATEWAY_URL="+h.url, "MOSAIC_GATEWAY_TOKEN="+h.worker, "LOGS="+h.logs, "CLAUDE_CONFIG_DIR=", "CODEX_HOME=")
	command.Stderr = os.Stderr
	require.NoError(t, command.Start())
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	return command
}

func (h *host) follow(t *testing.T, tool string) *exec.Cmd {
	t.Helper()
	return h.start(t, t.TempDir(), "collect", tool, "--directory", h.logs, "--runs", h.runs, "--state", h.state, "--log-level", "error")
}

func (h *host) send(t *testing.T, mutation register.Mutation, answer any) {
	t.Helper()
	require.NoError(t, h.olga.Send(t.Context(), register.By{Key: rand.Text()}, mutation, answer))
}

// window waits until a window is as wanted.
func (h *host) window(t *testing.T, name string, wanted func(register.Window) bool) (found register.Window) {
	t.Helper()
	require.Eventually(t, func() bool {
		status, err := h.olga.Budgets(t.Context(), register.By{}, "")
		require.NoError(t, err)
		for _, window := range status.Windows {
			if found = window; window.Window == name && wanted(window) {
				return true
			}
		}
		return false
	}, patience, 50*time.Millisecond, "%s stays %+v", name, &found)
	return found
}

// agent is a script that writes what Claude Code writes in its session, an answer in two blocks with 1,000 and then 9,000 tokens in all.
const agent = `
cat > /dev/null
line() {
	printf '{"type":"assistant","cwd":"%s","sessionId":"s-run","timestamp":"%s","requestId":"req_%s","message":{"id":"msg_%s","model":"claude-opus-4-8","usage":{"input_tokens":500,"cache_creation_input_tokens":0,"cache_read_input_tokens":7,"output_tokens":%s}}}\n' \
		"$PWD" "$(date -u +%Y-%m-%dT%H:%M:%S.999Z)" "$1" "$1" "$2" >> "$LOGS/s-run.jsonl"
}
line 1 500
line 1 8500
sleep 1
`

func person(message string, tokens int) string {
	return fmt.Sprintf(`{"type":"assistant","cwd":"/home/olga","sessionId":"s-olga","timestamp":"%s","requestId":"req_%s","message":{"id":"msg_%s","model":"claude-opus-4-8","usage":{"input_tokens":%d,"output_tokens":0}}}`+"\n",
		time.Now().UTC().Format(time.RFC3339Nano), message, message, tokens)
}

func (h *host) write(t *testing.T, name, text string) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(h.logs, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = file.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

func TestARunsOwnUseAndAPersonsBesideItAreEachBookedOnce(t *testing.T) {
	t.Parallel()
	h := onHost(t)
	now := time.Now()
	h.send(t, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Window: "weekly", Unit: "tokens", LimitMicros: 500_000_000_000, Since: now.Add(-100 * time.Minute), ResetAt: now.Add(100 * time.Minute),
	}), nil)
	collector := h.follow(t, "claude-code")
	require.Eventually(t, func() bool { // it has begun once it has taken the first line
		h.write(t, "s-olga.jsonl", person(fmt.Sprint("first", time.Now().UnixNano()), 1))
		status, err := h.olga.Budgets(t.Context(), register.By{}, "")
		return err == nil && status.Windows[0].UnattributedMicros > 0
	}, patience, 500*time.Millisecond)
	time.Sleep(3 * time.Second) // what was written until then is taken too
	first := h.window(t, "weekly", func(register.Window) bool { return true }).UnattributedMicros

	var dispatch register.Dispatch
	h.send(t, register.CreateDispatch(register.DispatchRequest{
		Role: "coder", Brief: "Add a health check", Model: "opus", Estimate: []register.EstimateAmount{{Unit: "tokens", Micros: 40_000_000_000}},
	}), &dispatch)
	run := h.start(t, t.TempDir(), "work", "--role", "coder", "--name", "coder-1", "--directory", h.runs, "--once", "--log-level", "error", "--", "/bin/sh", "-c", agent)
	require.NoError(t, run.Wait())
	h.write(t, "s-olga.jsonl", person("second", 2000))
	h.window(t, "weekly", func(w register.Window) bool {
		return w.CommittedMicros == 9_000_000_000+2_000_000_000+first && w.UnattributedMicros == 2_000_000_000+first && w.ReservedMicros == 0
	})
	shown, err := h.olga.Dispatch(t.Context(), register.By{}, dispatch.ID)
	require.NoError(t, err)
	require.Equal(t, []register.Amount{{Unit: "tokens", Micros: 9_000_000_000}}, shown.Metered, "9,000 tokens, whatever was estimated")

	require.NoError(t, collector.Process.Kill())
	_ = collector.Wait()
	h.write(t, "s-olga.jsonl", person("third", 3000))
	h.follow(t, "claude-code")
	h.window(t, "weekly", func(w register.Window) bool { return w.UnattributedMicros == 5_000_000_000+first })
	time.Sleep(5 * time.Second)
	after := h.window(t, "weekly", func(register.Window) bool { return true })
	require.Equal(t, 14_000_000_000+first, after.CommittedMicros, "killed and started anew it books nothing twice")
}

func TestCodexWindowsAppearByThemselvesAndBindWork(t *testing.T) {
	t.Parallel()
	h := onHost(t)
	now := time.Now().UTC()
	count := func(percent float64, at time.Time) string {
		return fmt.Sprintf(`{"timestamp":"%s","type":"event_msg","payload":{"type":"token_count","info":null,"rate_limits":{"limit_id":"codex","primary":{"used_percent":%g,"window_minutes":300,"resets_at":%d},"secondary":null}}}`+"\n",
			at.Format(time.RFC3339Nano), percent, now.Add(time.Hour).Unix())
	}
	require.NoError(t, os.MkdirAll(filepath.Join(h.logs, "sessions", "2026"), 0o700))
	h.write(t, "sessions/2026/rollout-1.jsonl", count(100, now))
	once := func() {
		command := h.start(t, t.TempDir(), "collect", "codex", "--directory", h.logs, "--state", h.state, "--once")
		require.NoError(t, command.Wait())
	}
	once()
	window := h.window(t, "5h", func(register.Window) bool { return true })
	require.Equal(t, int64(100_000_000), window.UsedMicros)
	require.Equal(t, register.WindowSourceProviderDetected, window.Source)
	require.Equal(t, register.StepRefuse, window.Step)
	require.WithinDuration(t, now.Add(-4*time.Hour), window.Since, time.Second)
	once()
	readings, err := h.olga.Readings(t.Context(), register.By{}, "codex", "", 0)
	require.NoError(t, err)
	require.Len(t, readings.Readings, 1, "what has not changed is not said again at once")
	require.Equal(t, "codex", readings.Readings[0].Reporter)
	require.Equal(t, "coder-1", readings.Readings[0].Actor)
}

func TestTheProgramSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	built, err := program()
	require.NoError(t, err)
	said := func(environment []string, arguments ...string) string {
		command := exec.Command(built, arguments...)
		command.Env = append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, environment...)
		out, err := command.CombinedOutput()
		require.Error(t, err)
		return strings.TrimSpace(string(out))
	}
	require.Contains(t, said(nil, "collect", "codex"), "no token for the gateway: set MOSAIC_GATEWAY_TOKEN")
	require.Contains(t, said([]string{"MOSAIC_GATEWAY_TOKEN=x"}, "collect", "codex"), "/.codex with the logs of codex; give it with --directory")
	require.Contains(t, said([]string{"MOSAIC_GATEWAY_TOKEN=x"}, "collect", "codex", "--directory", t.TempDir(), "--since", "today"),
		`--since "today" is not an instant with its offset; an example is 2026-11-25T09:00:00Z`)
}
