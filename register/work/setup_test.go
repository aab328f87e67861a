package work_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest/gatewaytest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/work"
)

const (
	// patience is how long a test waits for what should happen at once on an idle machine.
	patience = time.Minute
	glance   = 20 * time.Millisecond
)

// bundle is a gateway on a register of its own, behind a line that keeps its address and can be broken.
type bundle struct {
	*gatewaytest.Line
	gateway  *gatewaytest.Gateway
	database localtest.DB
	token    string // the worker's
	worker   *register.API
	olga     *register.API
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := open(t)
	b.start(t)
	b.people(t)
	return b
}

// open makes the register and the line to whatever gateway is started on it.
func open(t *testing.T) *bundle {
	t.Helper()
	return &bundle{database: gatewaytest.Register(t), Line: gatewaytest.NewLine(t)}
}

func (b *bundle) people(t *testing.T) {
	t.Helper()
	b.token = b.gateway.TokenAs(t, "worker", "coder-1")
	b.worker = register.NewAPI(b.URL, b.token)
	require.NoError(t, b.worker.Send(t.Context(), register.By{Key: rand.Text()}, register.DeclareAgent("coder-1", register.AgentDeclaration{LivenessSeconds: 86400}), nil))
	b.olga = register.NewAPI(b.URL, b.gateway.TokenAs(t, "operator", "olga"))
}

// start runs a gateway until the test ends or it is stopped.
func (b *bundle) start(t *testing.T) {
	t.Helper()
	b.gateway = gatewaytest.On(t, b.database)
	b.Lead(t, b.gateway.URL)
}

// budget sets claude's window: 500 credits over 200 minutes, half of them gone.
func (b *bundle) budget(t *testing.T) {
	t.Helper()
	now := time.Now()
	b.send(t, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Unit: "credits", LimitMicros: 500_000_000, Since: now.Add(-100 * time.Minute), ResetAt: now.Add(100 * time.Minute),
	}), nil)
}

func (b *bundle) send(t *testing.T, mutation register.Mutation, answer any) {
	t.Helper()
	require.NoError(t, b.olga.Send(t.Context(), register.By{Key: rand.Text()}, mutation, answer))
}

func (b *bundle) dispatch(t *testing.T, brief string) register.Dispatch {
	t.Helper()
	var dispatch register.Dispatch
	b.send(t, register.CreateDispatch(register.DispatchRequest{
		Role: "coder", Brief: brief, Model: "opus", Estimate: []register.EstimateAmount{{Unit: "credits", Micros: 5_000_000}},
	}), &dispatch)
	require.Equal(t, register.DispatchStateReady, dispatch.State)
	return dispatch
}

func (b *bundle) show(t *testing.T, id string) register.Dispatch {
	t.Helper()
	shown, err := b.olga.Dispatch(t.Context(), register.By{}, id)
	require.NoError(t, err)
	return shown
}

// becomes waits for a dispatch to be as wanted.
func (b *bundle) becomes(t *testing.T, id string, wanted func(register.Dispatch) bool) (shown register.Dispatch) {
	t.Helper()
	require.Eventually(t, func() bool {
		now, err := b.olga.Dispatch(t.Context(), register.By{}, id)
		if err == nil {
			shown = now
		}
		return err == nil && wanted(now)
	}, patience, glance, "%s stays as it is", id)
	return shown
}

func (b *bundle) reaches(t *testing.T, id string, state register.DispatchState) register.Dispatch {
	t.Helper()
	return b.becomes(t, id, func(d register.Dispatch) bool { return d.State == state })
}

// committed is what claude's window has been charged, in micro-credits.
func (b *bundle) committed(t *testing.T) int64 {
	t.Helper()
	status, err := b.olga.Budgets(t.Context(), register.By{}, "claude")
	require.NoError(t, err)
	require.Len(t, status.Windows, 1)
	return status.Windows[0].CommittedMicros
}

// options are a worker's whose command is a shell script; $here is a folder the test shares with it.
func (b *bundle) options(t *testing.T, script string) work.Options {
	t.Helper()
	return work.Options{
		API: b.worker, Role: "coder", Worker: "coder-1", Host: "alpha", Command: []string{"/bin/sh", "-c", "here=$0\n" + script, t.TempDir()},
		Directory: filepath.Join(t.TempDir(), "runs"), Poll: glance,
	}
}

// running is a worker at work.
type running struct {
	here   string // the folder shared with the script
	cancel context.CancelFunc
	done   chan struct{}
	err    error // once done
}

func start(t *testing.T, options work.Options) *running {
	t.Helper()
	worker, err := work.New(options)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(zerolog.New(zerolog.NewTestWriter(t)).WithContext(context.Background()))
	w := &running{here: options.Command[len(options.Command)-1], cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.err = worker.Run(ctx)
	}()
	t.Cleanup(func() { _ = w.stop(t) })
	return w
}

// stop tells the worker to stop and waits until it has ended.
func (r *running) stop(t *testing.T) error {
	t.Helper()
	r.cancel()
	return r.ended(t)
}

// ended waits for the worker to end.
func (r *running) ended(t *testing.T) error {
	t.Helper()
	select {
	case <-r.done:
		return r.err
	case <-time.After(patience):
		require.FailNow(t, "the worker does not end")
		return nil
	}
}

func (b *bundle) work(t *testing.T, script string) *running {
	t.Helper()
	return start(t, b.options(t, script))
}

// goOn lets a script go on that waits with `until [ -e "$here/go" ]`.
func (r *running) goOn(t *testing.T) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(r.here, "go"), nil, 0o600))
}

// waiting is a script's line that waits for goOn.
const waiting = `until [ -e "$here/go" ]; do sleep 0.02; done` + "\n"

// number reads a process number a script has written.
func (r *running) number(t *testing.T, name string) string {
	t.Helper()
	var number string
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(filepath.Join(r.here, name))
		number = strings.TrimSpace(string(text))
		return err == nil && strings.HasSuffix(string(text), "\n")
	}, patience, glance, "the script has not written %s", name)
	return number
}

// ends waits for a process to be gone; one that only waits for its parent to notice is gone.
func ends(t *testing.T, number string) {
	t.Helper()
	require.Eventually(t, func() bool {
		state, _ := exec.Command("ps", "-o", "stat=", "-p", number).Output()
		return len(state) == 0 || strings.HasPrefix(string(state), "Z")
	}, patience, glance, "process %s lives on", number)
}

// result is a script's line that writes its result file.
func result(report string) string {
	return fmt.Sprintf("cat > \"$MOSAIC_RESULT_FILE\" <<'REPORT'\n%s\nREPORT\n", report)
}

const spent4 = `{"outcome": "done", "actuals": [{"unit": "credits", "micros": 4000000}], "result": {"summary": "all tests pass", "reference": "https://forge.example/42"}}`
