//go:build foreign

package foreign

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// locked requires that a device's command was not carried out and that everyone can see so.
func (f *fleet) locked(device *person, command id.EventID) {
	f.t.Helper()
	device.sees(client.From(f.bot), client.Reacts(command, "🔒"))
	list, err := f.API().Dispatches(f.t.Context(), register.By{}, "", 10)
	require.NoError(f.t, err)
	require.Empty(f.t, list.Dispatches)
}

func TestACommandFromAnUnverifiedDeviceGetsALockAndRunsOnceTheDeviceIsVerified(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.work()
	f.setBudget(500, time.Now().Add(-time.Hour))
	second := atForeignClient(t, f.operator.account)
	second.waitUntilJoined(f.fleet, f.bot)
	f.ask(f.fleet, "!mosaic whoami") // in a session that the second device gets no key of

	mark := second.Mark()
	command := second.say(f.fleet, `!mosaic dispatch coder "From a session nobody vouches for"`)
	f.locked(second, command)
	require.Contains(t, f.reply(f.operator, command).Body, "not verified", "the trusted device reads what to do")
	hidden, err := second.WaitAfter(t.Context(), mark, client.From(f.bot), func(seen client.Seen) bool { return seen.Undecrypted })
	require.NoError(t, err)
	require.Equal(t, "MEGOLM_KEY_WITHHELD_FOR_UNVERIFIED_DEVICE", hidden.WhyUndecrypted, "the untrusted one is told why it reads nothing")

	second.call("verify", map[string]any{"recoveryKey": f.recovery}, nil)
	command = second.say(f.fleet, `!mosaic dispatch coder "From a verified session" --estimate 4`)
	require.Contains(t, f.reply(second, command).Body, "D-1", "the very next reply is readable")
	second.sees(client.From(f.bot), client.Reacts(command, "✅"))
}

func TestSomeoneWithoutCrossSigningGetsALockUntilTheySetItUp(t *testing.T) {
	t.Parallel()
	someone := operator("newcomer")
	someone.unsigned = true
	f := setup(t, someone)
	f.setBudget(500, time.Now().Add(-time.Hour))
	newcomer := f.others["newcomer"]
	command := newcomer.say(f.fleet, `!mosaic dispatch coder "I am new here"`)
	f.locked(newcomer, command)

	newcomer.call("crossSign", nil, nil)
	command = newcomer.say(f.fleet, `!mosaic dispatch coder "Now it is me" --estimate 4`)
	require.Contains(t, f.reply(newcomer, command).Body, "D-1")
	f.reply(f.operator, command)
}
