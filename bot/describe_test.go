package bot

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/event/cmdschema"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestEveryDescriptionIsOneClientsAccept(t *testing.T) {
	t.Parallel()
	for _, d := range commands.Describe() {
		require.NoError(t, schemaOf(d).Validate(), d.Command)
	}
}

// descriptionsIn are the bot's descriptions of its commands in a room, by command.
func (b *bench) descriptionsIn(t *testing.T, room id.RoomID) map[string]*cmdschema.EventContent {
	t.Helper()
	var state []*event.Event
	_, err := b.ada.Matrix.MakeRequest(t.Context(), http.MethodGet, b.ada.Matrix.BuildClientURL("v3", "rooms", room, "state"), nil, &state)
	require.NoError(t, err)
	found := map[string]*cmdschema.EventContent{}
	for _, evt := range state {
		if evt.Type.Type != event.StateMSC4391BotCommand.Type || evt.Sender != id.UserID(b.options.UserID) {
			continue
		}
		evt.Type.Class = event.StateEventType
		require.NoError(t, evt.Content.ParseRaw(evt.Type))
		if content := evt.Content.Parsed.(*cmdschema.EventContent); content.Command != "" {
			found[content.Command] = content
		}
	}
	return found
}

func TestCommandsAreDescribedWhereTheBotHasThePowerAndAStructuredOneRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.invited(t)
	us := id.UserID(b.options.UserID)
	running := b.start(t)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, us))
	require.NoError(t, running.describeIn(t.Context(), b.room))
	require.Empty(t, b.descriptionsIn(t, b.room), "without the power it does not even try")

	_, err := b.ada.Matrix.SendStateEvent(t.Context(), b.room, event.StatePowerLevels, "", &event.PowerLevelsEventContent{
		Users: map[id.UserID]int{b.ada.UserID: 100, us: 50},
	})
	require.NoError(t, err)
	stale := &cmdschema.EventContent{Command: "gone", Description: event.MakeExtensibleText("It is no more.")}
	_, err = running.client.SendStateEvent(t.Context(), b.room, event.StateMSC4391BotCommand, stale.StateKey(us), stale)
	require.NoError(t, err)
	require.NoError(t, running.describeIn(t.Context(), b.room))
	described := b.descriptionsIn(t, b.room)
	require.Len(t, described, len(commands.Names()))
	require.Equal(t, "brief", described["dispatch"].TailParam)

	wrote := 0
	b.homeserver.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			wrote++
		}
		return false
	})
	require.NoError(t, running.describeIn(t.Context(), b.room))
	require.Zero(t, wrote, "what stands there already is not written again")
	b.homeserver.set(nil)

	structured := func(user id.UserID) id.EventID {
		sent, err := b.ada.SayRaw(t.Context(), b.room, event.EventMessage, map[string]any{
			"msgtype": "m.text", "body": "/dispatch coder --estimate=4 Fix it", "m.mentions": map[string]any{"user_ids": []id.UserID{user}},
			"org.matrix.msc4391.command": map[string]any{"command": "dispatch", "arguments": map[string]any{"role": "coder", "brief": "Fix it", "estimate": []string{"4"}}},
		})
		require.NoError(t, err)
		return sent
	}
	another := structured("@other:localhost")
	b.answered(t, structured(us), "D-1 ready")
	require.Empty(t, b.replies(another), "it was meant for another bot")
	require.Equal(t, "Fix it", b.fleet.listDispatches(t)[0].Brief)
}

// invited has ada make a room in which the bot is invited and has no power.
func (b *bench) invited(t *testing.T) {
	t.Helper()
	room, err := b.ada.CreateRoom(t.Context(), client.Room{
		Name: "ops", Invite: []id.UserID{id.UserID(b.options.UserID), b.third(t)}, Version: "11", // from 12 on its maker has no level
	})
	require.NoError(t, err)
	b.room = room
}

func TestBoundRoomsAreDescribedByThemselves(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.invited(t)
	us := id.UserID(b.options.UserID)
	levels := &event.PowerLevelsEventContent{Users: map[id.UserID]int{b.ada.UserID: 100, us: 100}}
	_, err := b.ada.Matrix.SendStateEvent(t.Context(), b.room, event.StatePowerLevels, "", levels)
	require.NoError(t, err)
	b.start(t)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, us))
	b.bind(t, b.room, register.RoomPurposeFleet)
	require.Eventually(t, func() bool { return len(b.descriptionsIn(t, b.room)) == len(commands.Names()) }, 4*patience, tick) // some sixty, one after the other
}

func TestCommandsAreNotDescribedWhileTheHomeserverLimitsTheBot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.invited(t)
	us := id.UserID(b.options.UserID)
	running := b.start(t)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, us))
	_, err := b.ada.Matrix.SendStateEvent(t.Context(), b.room, event.StatePowerLevels, "", &event.PowerLevelsEventContent{
		Users: map[id.UserID]int{b.ada.UserID: 100, us: 50},
	})
	require.NoError(t, err)
	tried := 0
	b.homeserver.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		tried++
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte(`{"errcode": "M_LIMIT_EXCEEDED", "error": "Too many requests", "retry_after_ms": 5000}`))
		return true
	})
	require.ErrorIs(t, running.describeIn(t.Context(), b.room), errDescribesLater)
	b.homeserver.set(nil)
	require.ErrorIs(t, running.describeIn(t.Context(), b.room), errDescribesLater, "what the homeserver takes is left to what people wait for")
	require.Equal(t, 1, tried)
	require.Empty(t, b.descriptionsIn(t, b.room))
}
