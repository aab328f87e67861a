package bot

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

func TestNothingIsSaidInClear(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	room, err := b.ada.CreateRoom(t.Context(), client.Room{Name: "glass", Plain: true, Invite: []id.UserID{id.UserID(b.options.UserID), b.third(t)}})
	require.NoError(t, err)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, id.UserID(b.options.UserID)))
	b.room = room

	asked := b.say(t, "!mosaic dispatch coder \"in clear\"")
	require.Equal(t, []string{"🔒"}, b.signed(t, asked, "🔒"))
	_, err = running.outbox.add(t.Context(), outgoing{
		Txn: txnID("test"), Room: room, Rank: reply, Type: event.EventMessage.Type, Content: words("a secret", nil),
	})
	require.NoError(t, err)
	running.speaking.wake(room)
	require.Eventually(t, func() bool { return b.count(t, `SELECT count(*) FROM outbox WHERE state = 'failed'`) == 1 }, patience, tick)
	require.Empty(t, b.fleet.listDispatches(t), "a command in clear is not carried out")
	for _, seen := range b.ada.Seen() {
		require.False(t, seen.Sender == id.UserID(b.options.UserID) && seen.Type == event.EventMessage.Type, "said in clear: %s", seen)
	}
}

func TestARoomTheStateStoreForgotIsAskedForBeforeSpeaking(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	_, err := b.bots(t).Exec(t.Context(), `DELETE FROM mx_room_state`)
	require.NoError(t, err)
	reply := b.answered(t, b.say(t, "!mosaic status"), "")
	require.True(t, reply.WasEncrypted)
}

func TestTheRecoveryKeyIsWrittenOnceForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	terminate(t, b.ready(t))
	info, err := os.Stat(b.options.RecoveryKeyFile)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	before, err := os.ReadFile(b.options.RecoveryKeyFile)
	require.NoError(t, err)
	device := b.device(t)

	again := b.process(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	terminate(t, again)
	after, err := os.ReadFile(b.options.RecoveryKeyFile)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, device, b.device(t), "a restart uses the same device and token")
}

func TestADatabaseOfAnotherBotIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	terminate(t, b.ready(t))
	other := localtest.Register(t, "Other")
	b.options.UserID, b.options.Password = other.UserID, other.Password
	options := b.options
	options.API = b.fleet.admin
	_, err := New(t.Context(), options)
	require.ErrorContains(t, err, "give each bot a database of its own")
}

func TestAnInviteFromAStrangerIsNotFollowed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	mallory := localtest.Person(t, "Mallory")
	room, err := mallory.CreateRoom(t.Context(), client.Room{Name: "trap", Invite: []id.UserID{id.UserID(b.options.UserID)}})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM journal WHERE type = 'invite' AND room_id = $1 AND state = 'dropped'`, room) == 1
	}, patience, tick)
	joined, err := running.client.JoinedRooms(t.Context())
	require.NoError(t, err)
	require.NotContains(t, joined.JoinedRooms, room)
}

func TestTheBotKnowsNothingBehindTheGateway(t *testing.T) {
	t.Parallel()
	command := exec.Command("go", "list", "-deps", "-tags", "goolm", "./bot", "./commands")
	command.Dir = ".."
	listed, err := command.CombinedOutput()
	require.NoError(t, err, string(listed))
	for _, name := range strings.Fields(string(listed)) {
		require.NotContains(t, name, "mosaic-matrix/register/internal")
		require.NotContains(t, name, "mosaic-matrix/register/gateway")
	}
}

// ready runs a bot in a process until it has synced.
func (b *bench) ready(t *testing.T) *exec.Cmd {
	t.Helper()
	running := b.process(t)
	database := b.bots(t)
	require.Eventually(t, func() bool {
		var synced bool
		return database.QueryRow(t.Context(), `SELECT sync_token <> '' FROM account`).Scan(&synced) == nil && synced
	}, patience, tick)
	return running
}

func (b *bench) device(t *testing.T) string {
	t.Helper()
	var device string
	require.NoError(t, b.bots(t).QueryRow(t.Context(), `SELECT device_id || access_token FROM account`).Scan(&device))
	return device
}
