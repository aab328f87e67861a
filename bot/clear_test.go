package bot

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestWhereEncryptionIsOptionalCommandsInClearAreHeardButForThoseThatLoosen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	room, err := b.ada.CreateRoom(t.Context(), client.Room{Name: "glass", Plain: true, Invite: []id.UserID{id.UserID(b.options.UserID), b.third(t)}})
	require.NoError(t, err)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, id.UserID(b.options.UserID)))
	b.room = room
	b.signed(t, b.say(t, "!mosaic status"), "🔒")
	b.fleet.send(t, b.fleet.admin, register.SetRoomEncryption(room.String(), register.RoomEncryptionOptional), nil)
	require.Eventually(t, func() bool {
		asked := b.say(t, "!mosaic status")
		seen, err := b.ada.WaitFor(soon(t), b.fromBot(), func(s client.Seen) bool {
			return s.ThreadRoot == asked || s.ReactionTo == asked && s.Reaction == "🔒"
		})
		return err == nil && seen.ThreadRoot == asked && !seen.WasEncrypted
	}, patience, tick)
	b.answered(t, b.say(t, `!mosaic dispatch coder "in clear"`), "D-1")
	b.answered(t, b.say(t, "!mosaic cancel D-1"), "D-1 cancelled")
	b.answered(t, b.say(t, "!mosaic retry D-1"), "takes an encrypted room")
	require.Len(t, b.fleet.listDispatches(t), 1)

	b.fleet.send(t, b.fleet.admin, register.SetRoomEncryption(room.String(), register.RoomEncryptionRequired), nil)
	require.Eventually(t, func() bool {
		asked := b.say(t, "!mosaic status")
		seen, err := b.ada.WaitFor(soon(t), b.fromBot(), func(s client.Seen) bool {
			return s.ThreadRoot == asked || s.ReactionTo == asked && s.Reaction == "🔒"
		})
		return err == nil && seen.Reaction == "🔒"
	}, patience, tick)
}
