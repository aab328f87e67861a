package bot

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
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

// completes has coder-1 end what it runs.
func (b *bench) completes(t *testing.T, claim register.Claim) {
	t.Helper()
	b.fleet.send(t, b.fleet.worker, register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{
		Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Unmetered: "a test", Result: register.Result{Summary: "all green"},
	}), nil)
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

// agentAtWork is an application service in a room in clear, where coder-1 runs what was asked and has said so itself.
func agentAtWork(t *testing.T) (b *bench, asked id.EventID, claim register.Claim, said client.Seen) {
	t.Helper()
	b = setupService(t)
	b.start(t)
	b.glass(t)
	asked = b.say(t, `!mosaic dispatch coder "something happens while it runs"`)
	b.answered(t, asked, "D-1")
	claim = b.running(t)
	agent := id.NewUserID(b.options.Registration.prefix()+"coder-1", "localhost")
	said, err := b.ada.WaitFor(soon(t), client.From(agent), client.InThread(asked), client.Contains("D-1 running"))
	require.NoError(t, err)
	return b, asked, claim, said
}

func TestWhereAnAgentMayNotBeTheBotSpeaksForItAndNamesIt(t *testing.T) {
	t.Parallel()
	b, asked, claim, said := agentAtWork(t)
	_, err := b.ada.Matrix.BanUser(t.Context(), b.room, &mautrix.ReqBanUser{UserID: said.Sender})
	require.NoError(t, err)
	b.fleet.send(t, b.fleet.worker, register.HeartbeatDispatch(claim.Dispatch.ID, register.HeartbeatRequest{Claim: claim.ID, Progress: "half way"}), nil)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM outbox WHERE rank = 4 AND state = 'dropped' AND agent = 'coder-1'`) == 1
	}, patience, tick, "its words cannot be changed by anyone else")
	b.completes(t, claim)
	done := b.answered(t, asked, "all green")
	require.True(t, strings.HasPrefix(done.Body, "coder-1: "), done.Body)
	require.Equal(t, []id.UserID{b.ada.UserID}, done.Mentions)

	again := b.say(t, `!mosaic dispatch coder "banned from the start"`)
	b.answered(t, again, "D-2")
	b.fleet.run(t)
	running := b.answered(t, again, "D-2 running")
	require.True(t, strings.HasPrefix(running.Body, "coder-1: "), running.Body)
	b.answered(t, again, "all green")
	b.quiet(t)
	for _, seen := range b.ada.Seen() {
		require.False(t, seen.EditOf == said.EventID && seen.Sender != said.Sender)
	}
	require.Zero(t, b.count(t, `SELECT count(*) FROM outbox WHERE state = 'failed'`))
}

func TestInARoomThatIsEncryptedWhileAnAgentRunsTheBotSpeaksOnForItSealed(t *testing.T) {
	t.Parallel()
	b, asked, claim, said := agentAtWork(t)
	_, err := b.ada.Matrix.SendStateEvent(t.Context(), b.room, event.StateEncryption, "", &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1})
	require.NoError(t, err)
	b.fleet.send(t, b.fleet.worker, register.HeartbeatDispatch(claim.Dispatch.ID, register.HeartbeatRequest{Claim: claim.ID, Progress: "a secret half"}), nil)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM outbox WHERE reason = $1 AND state = 'dropped'`, errOtherSpeaker.Error()) == 1
	}, patience, tick, "what the agent said in clear stays as it is")
	b.completes(t, claim)
	done := b.answered(t, asked, "all green")
	require.True(t, done.WasEncrypted)
	require.True(t, strings.HasPrefix(done.Body, "coder-1: "), done.Body)
	b.quiet(t)
	for _, seen := range b.ada.Seen() {
		require.NotEqual(t, said.EventID, seen.EditOf)
		require.NotContains(t, seen.Body, "a secret half")
	}
	require.Zero(t, b.count(t, `SELECT count(*) FROM outbox WHERE state = 'failed'`))
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

func TestOfARunTheBotTellsInTheAgentsName(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	asked := b.say(t, `!mosaic dispatch coder "say who you are"`)
	require.True(t, strings.HasPrefix(b.answered(t, asked, "D-1").Body, "D-1"), "what the fleet decides it tells itself")
	claim := b.running(t)
	running := b.answered(t, asked, "running")
	require.True(t, strings.HasPrefix(running.Body, "coder-1: D-1 running"), running.Body)
	b.fleet.send(t, b.fleet.worker, register.HeartbeatDispatch(claim.Dispatch.ID, register.HeartbeatRequest{Claim: claim.ID, Progress: "half way"}), nil)
	edited, err := b.ada.WaitFor(soon(t), client.Edits(running.EventID), client.Contains("half way"))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(strings.TrimPrefix(edited.Body, "* "), "coder-1: D-1 running"), edited.Body)
	b.completes(t, claim)
	done := b.answered(t, asked, "all green")
	require.True(t, strings.HasPrefix(done.Body, "coder-1: D-1 done"), done.Body)
}

func TestWhatABotSaysForAnAgentNamesItInEveryForm(t *testing.T) {
	t.Parallel()
	changed := named(&outgoing{Agent: "coder-1", Content: replacing(words("**D-1 running**\n\nhalf way", nil))})
	require.True(t, strings.HasPrefix(changed["body"].(string), "* coder-1: "), changed["body"])
	fresh := changed["m.new_content"].(map[string]any)
	require.True(t, strings.HasPrefix(fresh["body"].(string), "coder-1: "), fresh["body"])
	require.Contains(t, fresh["formatted_body"], "<strong>coder-1</strong>: ")
	plain := map[string]any{"msgtype": "m.text", "body": "hello"}
	require.Equal(t, plain, named(&outgoing{Content: plain}), "the bot's own words stay as they are")
	file := map[string]any{"msgtype": "m.file", "body": "D-1-result.txt"}
	require.Equal(t, file, named(&outgoing{Agent: "coder-1", Content: file}), "a file keeps its name")
}
