//go:build foreign

package foreign

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAnOperatorOnRustCryptoDispatchesAndReadsTheReplyInAThreadAndAnEditRunsNothing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.setBudget(500, time.Now().Add(-time.Hour))
	f.work()
	command, reply := f.ask(f.fleet, `!mosaic dispatch coder "Add a health check" --estimate 4`)
	require.Contains(t, reply.Body, "D-1")
	require.Contains(t, reply.FormattedBody, "<")
	f.operator.sees(client.From(f.bot), client.Reacts(command, "✅"))

	done := f.finished(f.operator, command)
	require.True(t, done.WasEncrypted)
	require.Contains(t, done.Body, "did: Add a health check")
	read, err := f.API().Dispatch(t.Context(), register.By{}, "D-1")
	require.NoError(t, err)
	require.Equal(t, register.DispatchStateDone, read.State)
	require.Equal(t, command.String(), read.Origin.Event)

	message := f.operator.say(f.fleet, "never mind")
	f.operator.edit(f.fleet, message, `!mosaic dispatch coder "smuggled in by an edit"`)
	f.operator.sees(client.From(f.bot), client.InThread(message), client.Contains("edit"))
	list, err := f.API().Dispatches(t.Context(), register.By{}, "", 10)
	require.NoError(t, err)
	require.Len(t, list.Dispatches, 1, "an edit runs nothing")
}

// readable requires that a person has read all that the bot ever said in their rooms, without a warning beside it.
func (f *fleet) readable(reader *person) {
	f.t.Helper()
	said := f.said(reader)
	require.NotEmpty(f.t, said)
	for _, seen := range said {
		require.False(f.t, seen.Undecrypted, "%s", seen)
		require.True(f.t, seen.WasEncrypted, "said in clear: %s", seen)
		require.Empty(f.t, reader.view(seen.EventID).Shield, "a warning stands beside %s", seen)
	}
}

func TestAllTheBotSaysIsReadableAndSignedFromTheFirstMessageOnAndAfterBothRestart(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.work()
	first, _ := f.ask(f.fleet, "!mosaic whoami") // the bot's first message in this room, and this device's first to it
	f.setBudget(500, time.Now().Add(-time.Hour))
	f.ask(f.budget, "!mosaic budget status")
	f.readable(f.operator)
	devices := f.operator.devicesOf(f.bot)
	require.Len(t, devices, 1)
	require.True(t, devices[0].SignedByOwner, "the bot's device shows as verified by its owner")

	f.Process("bot").Kill9()
	asked := f.operator.say(f.fleet, `!mosaic dispatch coder "While the bot was away" --estimate 4`)
	require.NoError(t, f.StartBot(t.Context()))
	f.reply(f.operator, asked)
	f.finished(f.operator, asked)
	f.readable(f.operator)
	before := len(f.said(f.operator))

	device := f.operator.DeviceID
	f.operator.restart()
	require.Equal(t, device, f.operator.DeviceID)
	f.reply(f.operator, first)
	again, _ := f.ask(f.fleet, `!mosaic dispatch coder "After the client was away" --estimate 4`)
	f.finished(f.operator, again)
	f.readable(f.operator)
	require.Greater(t, len(f.said(f.operator)), before, "what was said before the restart is read again")

	f.Process("bot").Kill9()
	require.NoError(t, f.StartBot(t.Context()))
	_, reply := f.ask(f.fleet, "!mosaic whoami")
	require.Equal(t, event.MsgNotice, reply.MsgType)
	f.readable(f.operator)
	require.Equal(t, devices, f.operator.devicesOf(f.bot), "a restart is the same device")
}
