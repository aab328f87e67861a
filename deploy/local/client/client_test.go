package client_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

type testBundle struct {
	ctx        context.Context
	alice, bob *client.Client
	room       id.RoomID
}

func setup(t *testing.T) testBundle {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	b := testBundle{ctx: ctx, alice: localtest.Person(t, "alice"), bob: localtest.Person(t, "bob")}
	room, err := b.alice.CreateRoom(ctx, client.Room{Name: "Two", Invite: []id.UserID{b.bob.UserID}})
	require.NoError(t, err)
	b.room = room
	require.NoError(t, b.alice.WaitUntilJoined(ctx, room, b.bob.UserID))
	return b
}

func TestTwoPeopleReadEachOtherInAnEncryptedRoom(t *testing.T) {
	t.Parallel()
	b := setup(t)

	asked, err := b.alice.Say(b.ctx, b.room, "is it raining?")
	require.NoError(t, err)
	heard, err := b.bob.WaitFor(b.ctx, client.Is(asked))
	require.NoError(t, err)
	require.Equal(t, "is it raining?", heard.Body)
	require.True(t, heard.WasEncrypted)
	require.GreaterOrEqual(t, heard.Trust, id.TrustStateCrossSignedTOFU, "the sending device is signed by its owner")

	answered, err := b.bob.Reply(b.ctx, b.room, asked, "no")
	require.NoError(t, err)
	back, err := b.alice.WaitFor(b.ctx, client.Is(answered))
	require.NoError(t, err)
	require.Equal(t, asked, back.InReplyTo)
	require.True(t, back.WasEncrypted)
}

func TestAPersonSeesThreadsReactionsEditsMentionsAndRedactions(t *testing.T) {
	t.Parallel()
	b := setup(t)

	root, err := b.alice.Mention(b.ctx, b.room, b.bob.UserID, "vote")
	require.NoError(t, err)
	mention, err := b.bob.WaitFor(b.ctx, client.Is(root))
	require.NoError(t, err)
	require.Equal(t, []id.UserID{b.bob.UserID}, mention.Mentions)

	_, err = b.bob.ReplyInThread(b.ctx, b.room, root, "in a thread")
	require.NoError(t, err)
	threaded, err := b.alice.WaitFor(b.ctx, client.InThread(root), client.From(b.bob.UserID))
	require.NoError(t, err)
	require.Equal(t, "in a thread", threaded.Body)
	require.Empty(t, threaded.InReplyTo, "a thread's fallback is no reply")

	reaction, err := b.bob.React(b.ctx, b.room, root, "✅")
	require.NoError(t, err)
	reacted, err := b.alice.WaitFor(b.ctx, client.Reacts(root, "✅"))
	require.NoError(t, err)
	require.False(t, reacted.WasEncrypted, "reactions are not encrypted")

	_, err = b.alice.Edit(b.ctx, b.room, root, "vote now")
	require.NoError(t, err)
	edited, err := b.bob.WaitFor(b.ctx, client.Edits(root))
	require.NoError(t, err)
	require.Equal(t, "vote now", edited.Body)
	require.True(t, edited.WasEncrypted)

	_, err = b.bob.Redact(b.ctx, b.room, reaction, "changed my mind")
	require.NoError(t, err)
	_, err = b.alice.WaitFor(b.ctx, client.Redacts(reaction))
	require.NoError(t, err)
}

func TestADirectChatInvitesTheOtherAndIsEncrypted(t *testing.T) {
	t.Parallel()
	b := setup(t)

	room, err := b.bob.DirectChat(b.ctx, b.alice.UserID)
	require.NoError(t, err)
	invitation, err := b.alice.WaitForInvitation(b.ctx, b.bob.UserID)
	require.NoError(t, err)
	require.Equal(t, client.Invitation{Room: room, From: b.bob.UserID, Direct: true}, invitation)
	said, err := b.bob.Say(b.ctx, room, "between us")
	require.NoError(t, err)
	heard, err := b.alice.WaitFor(b.ctx, client.Is(said))
	require.NoError(t, err)
	require.True(t, heard.WasEncrypted)
}

func TestAManyMessageBurstIsSeenWholeAndInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var sent []id.EventID
	for range 60 {
		said, err := b.alice.Say(b.ctx, b.room, "one of many")
		require.NoError(t, err)
		sent = append(sent, said)
	}
	_, err := b.bob.WaitFor(b.ctx, client.Is(sent[len(sent)-1]))
	require.NoError(t, err)
	var seen []id.EventID
	for _, event := range b.bob.Seen() {
		if client.Contains("one of many")(event) {
			seen = append(seen, event.EventID)
		}
	}
	require.Equal(t, sent, seen)
}

func TestAPlainRoomIsNotEncrypted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	room, err := b.alice.CreateRoom(b.ctx, client.Room{
		Name: "Open", Plain: true, Invite: []id.UserID{b.bob.UserID}, PowerLevels: map[id.UserID]int{b.bob.UserID: 50},
	})
	require.NoError(t, err)
	said, err := b.alice.Say(b.ctx, room, "for all")
	require.NoError(t, err)
	heard, err := b.bob.WaitFor(b.ctx, client.In(room), client.Is(said))
	require.NoError(t, err)
	require.False(t, heard.WasEncrypted)
	_, err = b.bob.WaitFor(b.ctx, client.In(room), func(s client.Seen) bool { return s.Type == event.StatePowerLevels.Type })
	require.NoError(t, err)
}

func TestTheSamePersonComesBackWithTheirRecoveryKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	account := localtest.Register(t, "carol")
	file := t.TempDir() + "/recovery-key"
	var last *client.Client
	for range 2 {
		carol, err := client.Connect(b.ctx, client.Options{
			Homeserver: localtest.Homeserver(t).URL, Username: account.UserID, Password: account.Password, RecoveryKeyFile: file,
		})
		require.NoError(t, err)
		if last == nil {
			require.NoError(t, b.alice.Invite(b.ctx, b.room, carol.UserID))
		}
		require.NoError(t, b.alice.WaitUntilJoined(b.ctx, b.room, carol.UserID))
		said, err := carol.Say(b.ctx, b.room, "it is me")
		require.NoError(t, err)
		heard, err := b.alice.WaitFor(b.ctx, client.Is(said))
		require.NoError(t, err)
		require.GreaterOrEqual(t, heard.Trust, id.TrustStateCrossSignedTOFU)
		carol.Close()
		last = carol
	}
}

func TestAMissedWaitSaysWhatWasSeenInstead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	said, err := b.alice.Say(b.ctx, b.room, "the only message")
	require.NoError(t, err)
	_, err = b.bob.WaitFor(b.ctx, client.Is(said))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(b.ctx, 50*time.Millisecond)
	defer cancel()
	_, err = b.bob.WaitFor(ctx, client.Contains("never said"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "the only message")
}

func TestAMessageWhoseKeysComeLateIsReadInItsPlace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	room, err := b.alice.CreateRoom(b.ctx, client.Room{Name: "Early"})
	require.NoError(t, err)
	early, err := b.alice.Say(b.ctx, room, "said before bob came")
	require.NoError(t, err)
	require.NoError(t, b.alice.Invite(b.ctx, room, b.bob.UserID))
	require.NoError(t, b.alice.WaitUntilJoined(b.ctx, room, b.bob.UserID))
	late, err := b.alice.Say(b.ctx, room, "said after")
	require.NoError(t, err)
	_, err = b.bob.WaitFor(b.ctx, client.Is(late))
	require.NoError(t, err)
	require.True(t, at(t, b.bob, early).Undecrypted)

	keys, err := crypto.ExportKeysIter("pass", b.alice.Olm.CryptoStore.GetGroupSessionsForRoom(b.ctx, room))
	require.NoError(t, err)
	_, _, err = b.bob.Olm.ImportKeys(b.ctx, "pass", keys)
	require.NoError(t, err)

	heard, err := b.bob.WaitFor(b.ctx, client.Is(early))
	require.NoError(t, err)
	require.Equal(t, "said before bob came", heard.Body)
	events := b.bob.Seen()
	place := func(event id.EventID) int {
		return slices.IndexFunc(events, func(s client.Seen) bool { return s.EventID == event })
	}
	require.Less(t, place(early), place(late))
}

// at is how a person sees an event now.
func at(t *testing.T, person *client.Client, event id.EventID) client.Seen {
	t.Helper()
	seen := person.Seen()
	index := slices.IndexFunc(seen, func(s client.Seen) bool { return s.EventID == event })
	require.GreaterOrEqual(t, index, 0)
	return seen[index]
}
