package e2e

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// tty is the environment of an operator at a terminal.
func (f *fleet) tty() []string {
	f.t.Helper()
	token, err := f.Token(f.t.Context(), "operator")
	require.NoError(f.t, err)
	return []string{"MOSAIC_GATEWAY_URL=" + f.URL(), "MOSAIC_GATEWAY_TOKEN=" + token}
}

func TestEveryOperationWorksOnATTYWhileChatIsDown(t *testing.T) {
	t.Parallel()
	f := setup(t, true)
	f.work(quick)
	f.Process("bot").Stop()
	environment := f.tty()
	exec := func(words ...string) string {
		out, problems, code := f.run(t.Context(), environment, append([]string{"exec"}, words...)...)
		require.Zero(t, code, "%v: %s%s", words, out, problems)
		return out
	}
	require.Contains(t, exec("budget", "set", "--provider", "claude", "--limit", "500", "--unit", "credits", "--reset-at", "+2h"), "starts now")
	require.Contains(t, exec("budget", "status"), "claude")
	require.Contains(t, exec("dispatch", "coder", "Say hello from a TTY", "--estimate", "4"), "D-1")
	f.reaches("D-1", register.DispatchStateDone)
	require.Contains(t, exec("show", "D-1"), "2 credits")
	require.Contains(t, exec("budget", "explain", "D-1"), "opus")
	require.Contains(t, exec("help"), "dispatch")
	require.Contains(t, exec("whoami"), "operator")
	require.Contains(t, exec("board", "seats"), "CEO")
	require.Contains(t, exec("status"), "claude")
}

func TestJSONPrintsTheTypedResult(t *testing.T) {
	t.Parallel()
	f := setup(t, false)
	f.setBudget(500, time.Time{})
	out, problems, code := f.run(t.Context(), f.tty(), "exec", "--json", "budget", "status")
	require.Zero(t, code, problems)
	var status register.BudgetStatus
	require.NoError(t, json.Unmarshal([]byte(out), &status), out)
	require.Len(t, status.Windows, 1)
	require.EqualValues(t, 500_000_000, status.Windows[0].LimitMicros)

	out, problems, code = f.run(t.Context(), f.tty(), "exec", "--json", "dispatch", "coder", "Say hello", "--estimate", "4")
	require.Zero(t, code, problems)
	var dispatch register.Dispatch
	require.NoError(t, json.Unmarshal([]byte(out), &dispatch), out)
	require.Equal(t, "D-1", dispatch.ID)
	require.Equal(t, register.OriginTransportTty, dispatch.Origin.Transport)
}

func TestATTYSaysWhatWasWrongAndExitsAccordingly(t *testing.T) {
	t.Parallel()
	f := setup(t, false)
	f.setBudget(500, time.Time{})
	_, problems, code := f.run(t.Context(), f.tty(), "exec", "budget", "stauts")
	require.Equal(t, 2, code)
	require.Contains(t, problems, "Did you mean")

	out, problems, code := f.run(t.Context(), f.tty(), "exec", "show", "D-999")
	require.Equal(t, 1, code, out+problems)

	_, problems, code = f.run(t.Context(), append(f.tty(), "MOSAIC_GATEWAY_TOKEN=wrong"), "exec", "budget", "status")
	require.NotZero(t, code)
	require.Contains(t, problems, "MOSAIC_GATEWAY_TOKEN")
}

func TestADispatchFromATTYIsToldInTheFleetRoom(t *testing.T) {
	t.Parallel()
	f := setup(t, false)
	f.setBudget(500, time.Now().Add(-time.Hour))
	f.work(quick)
	_, problems, code := f.run(t.Context(), f.tty(), "exec", "dispatch", "coder", "Say hello")
	require.Zero(t, code, problems)
	_, err := f.operator.WaitFor(t.Context(), client.In(f.fleet), client.From(f.bot), client.Contains("D-1"))
	require.NoError(t, err)
}
