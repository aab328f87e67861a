package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestADispatchFromAnEncryptedRoomRunsAndItsThreadTellsTheSpend(t *testing.T) {
	t.Parallel()
	f := setup(t, false)
	f.setBudget(500, time.Now().Add(-time.Hour))
	f.work(quick)

	command, reply := f.ask(f.fleet, `!mosaic dispatch coder "Say hello" --estimate 4`)
	require.Contains(t, reply.Body, "D-1")
	require.Contains(t, reply.Body, "opus")
	require.Empty(t, reply.Mentions, "a reply mentions nobody")
	f.marked(command, "✅")

	done, err := f.operator.WaitFor(t.Context(), client.From(f.bot), client.InThread(command), rings(f.operator))
	require.NoError(t, err)
	require.True(t, done.WasEncrypted)
	require.Contains(t, done.Body, "D-1")
	require.Contains(t, done.Body, "2 credits")
	require.Contains(t, done.Body, "did: Say hello")

	dispatch := f.reaches("D-1", register.DispatchStateDone)
	require.Equal(t, []register.Amount{{Unit: register.UnitCredits, Micros: 2_000_000}}, dispatch.Actuals)
	require.Equal(t, "operator", dispatch.CreatedBy)
	require.Equal(t, string(command), dispatch.Origin.Event)
	window := f.window()
	require.EqualValues(t, 2_000_000, window.CommittedMicros)
	require.Zero(t, window.ReservedMicros)
}

func TestTheThreadShowsThatADispatchIsRunning(t *testing.T) {
	t.Parallel()
	f := setup(t, false)
	f.setBudget(500, time.Now().Add(-time.Hour))
	seen := filepath.Join(t.TempDir(), "seen")
	f.work(`cat > /dev/null; echo "half way"; until [ -e ` + seen + ` ]; do sleep 0.1; done; echo '{"outcome":"done","actuals":[{"unit":"credits","micros":1000000}]}' > "$MOSAIC_RESULT_FILE"`)

	command, _ := f.ask(f.fleet, `!mosaic dispatch coder "Take your time"`)
	running, err := f.operator.WaitFor(t.Context(), client.From(f.bot), client.InThread(command), notice, client.Contains("unning"))
	require.NoError(t, err)
	progress, err := f.operator.WaitFor(t.Context(), client.From(f.bot), client.Edits(running.EventID), client.Contains("half way"))
	require.NoError(t, err, "progress is an edit of the one message")
	require.Empty(t, progress.Mentions, "progress rings nobody")
	require.NoError(t, os.WriteFile(seen, nil, 0o600))
	f.reaches("D-1", register.DispatchStateDone)
}

func TestAFailedRunSaysSoAndKeepsItsSpend(t *testing.T) {
	t.Parallel()
	f := setup(t, false)
	f.setBudget(500, time.Now().Add(-time.Hour))
	f.work(`cat > /dev/null; echo "the tests do not pass"; echo '{"actuals":[{"unit":"credits","micros":3000000}]}' > "$MOSAIC_RESULT_FILE"; exit 7`)

	command, _ := f.ask(f.fleet, `!mosaic dispatch coder "Break"`)
	failed, err := f.operator.WaitFor(t.Context(), client.From(f.bot), client.InThread(command), rings(f.operator))
	require.NoError(t, err)
	require.Contains(t, failed.Body, "failed")
	require.Contains(t, failed.Body, "the tests do not pass")
	f.reaches("D-1", register.DispatchStateFailed)
	require.EqualValues(t, 3_000_000, f.window().CommittedMicros)
}
