package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// onceOnly checks what a crash must not change: one dispatch, run once, one reply, one message that it is done.
func (f *fleet) onceOnly(command client.Seen) {
	f.t.Helper()
	done := f.reaches("D-1", register.DispatchStateDone)
	require.Equal(f.t, 1, done.Attempt)
	_, err := f.operator.WaitFor(f.t.Context(), client.From(f.bot), client.InThread(command.EventID), rings(f.operator))
	require.NoError(f.t, err)
	f.settle(f.fleet)
	require.Len(f.t, f.dispatches(), 1)
	var replies, finished int
	for _, seen := range f.fromBot(command.EventID) {
		switch {
		case rings(f.operator)(seen):
			finished++
		case client.Contains("D-1")(seen) && !client.Contains("unning")(seen):
			replies++
		}
	}
	require.Equal(f.t, 1, replies, "one reply: %v", f.fromBot(command.EventID))
	require.Equal(f.t, 1, finished, "one message that it is done: %v", f.fromBot(command.EventID))
}

// slow is an agent that runs long enough to be interrupted around.
const slow = `cat > /dev/null; sleep 4; echo '{"outcome":"done","actuals":[{"unit":"credits","micros":2000000}]}' > "$MOSAIC_RESULT_FILE"`

func TestKillingTheBotInTheMiddleOfADispatchLeavesOneDispatchAndOneReply(t *testing.T) {
	t.Parallel()
	survives(t, func(f *fleet) {
		f.reaches("D-1", register.DispatchStateRunning)
		f.Process("bot").Kill9()
		require.NoError(t, f.StartBot(t.Context()))
	})
}

func TestKillingTheGatewayInTheMiddleOfADispatchLeavesOneDispatchAndOneReply(t *testing.T) {
	t.Parallel()
	survives(t, func(f *fleet) {
		f.reaches("D-1", register.DispatchStateRunning)
		f.Process("gateway").Kill9()
		require.NoError(t, f.StartGateway(t.Context()))
	})
}

func TestKillingBothAtOnceLeavesOneDispatchAndOneReply(t *testing.T) {
	t.Parallel()
	survives(t, func(f *fleet) {
		f.Process("bot").Kill9()
		f.Process("gateway").Kill9()
		require.NoError(t, f.StartGateway(t.Context()))
		require.NoError(t, f.StartBot(t.Context()))
	})
}

// survives has something happen to a fleet once a dispatch was asked for, which all the same is run and told of once.
func survives(t *testing.T, happens func(f *fleet)) {
	t.Helper()
	f := setup(t, false)
	f.setBudget(500, time.Now().Add(-time.Hour))
	f.work(slow)
	command := f.say(f.fleet, `!mosaic dispatch coder "Survive"`)
	happens(f)
	f.onceOnly(client.Seen{EventID: command})
}

func TestWithTheGatewayDownTheCommandIsKeptAndTheSenderToldOnce(t *testing.T) {
	t.Parallel()
	f := setup(t, false)
	f.setBudget(500, time.Now().Add(-time.Hour))
	f.Process("gateway").Kill9()
	command := f.say(f.fleet, `!mosaic dispatch coder "Later" --estimate 4`)
	told, err := f.operator.WaitFor(t.Context(), client.From(f.bot), client.InThread(command), notice)
	require.NoError(t, err)
	require.Contains(t, told.Body, "Kept")

	require.NoError(t, f.StartGateway(t.Context()))
	f.reaches("D-1", register.DispatchStateReady)
	_, err = f.operator.WaitFor(t.Context(), client.From(f.bot), client.InThread(command), notice, client.Contains("D-1"))
	require.NoError(t, err)
	f.marked(command, "✅")
	f.settle(f.fleet)
	require.Len(t, f.dispatches(), 1)
	require.Len(t, f.fromBot(command), 2, "told once, answered once")
}
