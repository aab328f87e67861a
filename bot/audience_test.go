package bot

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// seenBy is an event as a person's client has it.
func seenBy(t *testing.T, person *client.Client, event id.EventID) client.Seen {
	t.Helper()
	seen, err := person.WaitFor(soon(t), func(seen client.Seen) bool { return seen.EventID == event })
	require.NoError(t, err)
	return seen
}

// sessionOf is the Megolm session an event was encrypted with, from its clear content.
func sessionOf(t *testing.T, b *bench, at id.EventID) (session id.SessionID, sender id.SenderKey) {
	t.Helper()
	raw, err := b.ada.Matrix.GetEvent(t.Context(), b.room, at)
	require.NoError(t, err)
	require.NoError(t, raw.Content.ParseRaw(event.EventEncrypted))
	return raw.Content.AsEncrypted().SessionID, raw.Content.AsEncrypted().SenderKey
}

func TestHowToVerifyIsReadableByThatPersonsTrustedDevicesAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	account := localtest.Register(t, "Ben")
	ben := localtest.LogIn(t, account)
	b.talkWith(t, ben)
	b.answered(t, b.say(t, "!mosaic status"), "")
	fresh := unverified(t, account)

	asked := fresh.say(t, b.room, `!mosaic dispatch coder "from a borrowed phone"`)
	refusal, err := ben.WaitFor(soon(t), b.fromBot(), client.InThread(asked), client.Contains("a session that is not verified"))
	require.NoError(t, err, "that person's trusted device reads it")
	require.Equal(t, []string{"🔒"}, b.signed(t, asked, "🔒"), "the sign is readable by all")
	require.True(t, seenBy(t, b.ada, refusal.EventID).Undecrypted, "someone else of the room does not")
	fresh.sync(t)
	require.Equal(t, "unreadable", fresh.read[refusal.EventID], "nor does a device nobody vouches for")

	// Asking for the key brings it to nobody it is not for.
	session, sender := sessionOf(t, b, refusal.EventID)
	require.NoError(t, b.ada.Olm.SendRoomKeyRequest(t.Context(), b.room, sender, session, "", map[id.UserID][]id.DeviceID{id.UserID(b.options.UserID): {"*"}}))
	after := b.answered(t, b.say(t, "!mosaic status"), "")
	require.True(t, seenBy(t, b.ada, refusal.EventID).Undecrypted)
	rooms, _ := sessionOf(t, b, after.EventID)
	require.NotEqual(t, rooms, session, "it has a session of its own")
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM crypto_megolm_outbound_session WHERE session_id = $1`, rooms), "and the room's goes on beside it")

	second := fresh.say(t, b.room, "!mosaic status")
	again, err := ben.WaitFor(soon(t), b.fromBot(), client.InThread(second), client.Contains("a session that is not verified"))
	require.NoError(t, err)
	other, _ := sessionOf(t, b, again.EventID)
	require.NotEqual(t, session, other, "each message has one, so no index is used twice")
	require.Zero(t, b.count(t, `SELECT count(*) FROM crypto_megolm_outbound_session WHERE session_id IN ($1, $2)`, session, other))
}

func TestWhoHasNoTrustedDeviceIsShownTheLockAndNothingNobodyCanRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	account := localtest.Register(t, "Ben")
	fresh := unverified(t, account)
	b.fleet.identify(t, "ben", account.UserID, register.FleetRoleOperator)
	room, err := b.ada.CreateRoom(t.Context(), client.Room{Name: "ops", Invite: []id.UserID{id.UserID(b.options.UserID), id.UserID(account.UserID)}})
	require.NoError(t, err)
	_, err = fresh.matrix.JoinRoomByID(t.Context(), room)
	require.NoError(t, err)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, id.UserID(b.options.UserID), id.UserID(account.UserID)))
	b.room = room
	fresh.sync(t)
	asked := fresh.say(t, room, "!mosaic status")
	require.Equal(t, []string{"🔒"}, b.signed(t, asked, "🔒"))
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM outbox WHERE state = 'dropped' AND reason LIKE '%nobody could read it%'`) == 1
	}, patience, tick)
	b.quiet(t)
	require.Empty(t, b.replies(asked))
}
