package bot

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// glass has ada make a room in clear in which commands in clear are heard.
func (b *bench) glass(t *testing.T) {
	t.Helper()
	room, err := b.ada.CreateRoom(t.Context(), client.Room{Name: "glass", Plain: true, Invite: []id.UserID{id.UserID(b.options.UserID), b.third(t)}})
	require.NoError(t, err)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, id.UserID(b.options.UserID)))
	b.room = room
	b.fleet.send(t, b.fleet.admin, register.SetRoomEncryption(room.String(), register.RoomEncryptionOptional), nil)
	require.Eventually(t, func() bool {
		asked := b.say(t, "!mosaic status")
		seen, err := b.ada.WaitFor(soon(t), b.fromBot(), func(s client.Seen) bool {
			return s.ThreadRoot == asked || s.ReactionTo == asked && s.Reaction == "🔒"
		})
		return err == nil && seen.ThreadRoot == asked
	}, patience, tick)
}

func TestInARoomInClearAnAgentTellsOfItsWorkAsAUserOfItsOwn(t *testing.T) {
	t.Parallel()
	b := setupService(t)
	b.start(t)
	b.glass(t)
	agent := id.NewUserID(b.options.Registration.prefix()+"coder-1", "localhost")
	asked := b.say(t, `!mosaic dispatch coder "first"`)
	b.answered(t, asked, "D-1")
	b.fleet.run(t, "half way", "almost there")
	running, err := b.ada.WaitFor(soon(t), client.From(agent), client.InThread(asked), client.Contains("D-1"))
	require.NoError(t, err)
	done, err := b.ada.WaitFor(soon(t), client.From(agent), client.InThread(asked), client.Contains("all green"))
	require.NoError(t, err)
	require.False(t, strings.HasPrefix(done.Body, "coder-1:"), "it is seen who speaks: %s", done.Body)
	b.quiet(t)
	for _, seen := range b.ada.Seen() {
		if seen.EditOf == running.EventID {
			require.Equal(t, agent, seen.Sender, "only who said it may change it")
		}
	}
	require.Len(t, b.replies(asked), 1, "the bot itself says only the reply")

	// It comes back if it was put out of the room, and nothing it had to say is lost.
	service, err := mautrix.NewClient(b.options.Homeserver, agent, b.options.Registration.Token)
	require.NoError(t, err)
	service.SetAppServiceUserID = true
	_, err = service.LeaveRoom(t.Context(), b.room)
	require.NoError(t, err)
	again := b.say(t, `!mosaic dispatch coder "second"`)
	b.answered(t, again, "D-2")
	b.fleet.run(t)
	_, err = b.ada.WaitFor(soon(t), client.From(agent), client.InThread(again), client.Contains("all green"))
	require.NoError(t, err)
	b.quiet(t)
	require.Zero(t, b.count(t, `SELECT count(*) FROM outbox WHERE state = 'failed'`))
	require.Zero(t, b.count(t, `SELECT count(*) FROM journal WHERE sender = $1 AND type <> 'emptied'`, agent), "the bot never listens to its agents")
}

func TestInAnEncryptedRoomTheBotSpeaksForAnAgentAndNamesIt(t *testing.T) {
	t.Parallel()
	b := setupService(t)
	b.start(t)
	b.talk(t)
	asked := b.say(t, `!mosaic dispatch coder "sealed"`)
	b.answered(t, asked, "D-1")
	b.fleet.run(t)
	done := b.answered(t, asked, "all green")
	require.True(t, done.WasEncrypted)
	require.True(t, strings.HasPrefix(done.Body, "coder-1: "), done.Body)
	members := b.count(t, `SELECT count(*) FROM mx_user_profile WHERE user_id LIKE $1`, "@"+b.options.Registration.prefix()+"%")
	require.Zero(t, members, "an agent's user never comes into an encrypted room")
}

func TestWhatABotSaysForAnAgentNamesItInEveryForm(t *testing.T) {
	t.Parallel()
	b := &Bot{options: Options{Registration: &Registration{}}}
	named := b.named(&outgoing{Agent: "coder-1", Content: replacing(words("**D-1 running**\n\nhalf way", nil))})
	require.True(t, strings.HasPrefix(named["body"].(string), "* coder-1: "), named["body"])
	fresh := named["m.new_content"].(map[string]any)
	require.True(t, strings.HasPrefix(fresh["body"].(string), "coder-1: "), fresh["body"])
	require.Contains(t, fresh["formatted_body"], "<strong>coder-1</strong>: ")
	plain := map[string]any{"msgtype": "m.text", "body": "hello"}
	require.Equal(t, plain, b.named(&outgoing{Content: plain}), "the bot's own words stay as they are")
	file := map[string]any{"msgtype": "m.file", "body": "D-1-result.txt"}
	require.Equal(t, file, b.named(&outgoing{Agent: "coder-1", Content: file}), "a file keeps its name")
}
