package bot

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func inviteOf(user id.UserID) *mautrix.ReqInviteUser { return &mautrix.ReqInviteUser{UserID: user} }

func TestADispatchIsFollowedInTheThreadItWasAskedForIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	asked := b.say(t, "!mosaic dispatch coder \"write a poem\"")
	b.answered(t, asked, "D-1")
	b.fleet.run(t, "a quarter", "half way", "nearly there")

	done := b.answered(t, asked, "all green")
	require.Equal(t, event.MsgText, done.MsgType, "what is finished must ring")
	require.Equal(t, []id.UserID{b.ada.UserID}, done.Mentions, "and ring exactly the one who asked")
	running := b.answered(t, asked, "running")
	require.Equal(t, event.MsgNotice, running.MsgType)
	if !strings.Contains(running.Body, "nearly there") { // else it was written into the message before that was sent
		_, err := b.ada.WaitFor(soon(t), client.Edits(running.EventID), client.Contains("nearly there"))
		require.NoError(t, err)
	}
	b.quiet(t)
	require.Len(t, b.replies(asked), 3, "the reply, running, done")
	edits := 0
	for _, seen := range b.ada.Seen() {
		if seen.EditOf == running.EventID {
			edits++
			require.Empty(t, seen.Mentions)
		}
	}
	require.Less(t, edits, 3, "edits are coalesced")
}

func TestADispatchFromElsewhereIsSpokenOfInTheFleetRoom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.inRoomFor(t, register.RoomPurposeFleet)
	b.fleet.send(t, b.fleet.admin, register.CreateDispatch(register.DispatchRequest{
		Role: "coder", Brief: "tidy up", Estimate: []register.EstimateAmount{{Micros: 1_000_000}}, Origin: register.Origin{Transport: register.OriginTransportTty},
	}), nil)
	b.fleet.run(t)
	_, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(b.room), client.Contains("all green"))
	require.NoError(t, err)
}

func TestARefusalRingsTheOperatorsInTheBudgetRoom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.inRoomFor(t, register.RoomPurposeBudget)
	var refused register.Dispatch
	b.fleet.send(t, b.fleet.admin, register.CreateDispatch(register.DispatchRequest{
		Role: "coder", Brief: "too much, too soon", Model: "haiku", Estimate: []register.EstimateAmount{{Micros: 450_000_000}}, Deadline: time.Now().Add(time.Minute),
	}), &refused)
	require.Equal(t, register.DispatchStateRefused, refused.State)
	rung, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(b.room), client.Contains(refused.ID))
	require.NoError(t, err)
	require.Equal(t, event.MsgText, rung.MsgType)
	require.Equal(t, []id.UserID{b.ada.UserID}, rung.Mentions)
}

func TestAWokenDispatchSaysSoAndSwapsItsSign(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	asked := b.say(t, "!mosaic dispatch coder \"later\" --model haiku --exact --estimate 300credits")
	b.answered(t, asked, "queued")
	require.Equal(t, []string{"⏸️"}, b.signed(t, asked, "⏸"))
	b.fleet.send(t, b.fleet.admin, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Unit: register.UnitCredits, LimitMicros: 5_000_000_000, ResetAt: time.Now().Add(time.Hour),
	}), nil)
	b.answered(t, asked, "takes it next")
	require.Eventually(t, func() bool { signs := b.signs(asked); return len(signs) == 1 && signs[0] == "✅" }, patience, tick)
}

func TestRoomsAreMadeOnceAndEveryoneWhoBelongsIsInvited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.options.CreateRooms = true
	running := b.start(t)
	fleetRoom, board := b.bound(t, register.RoomPurposeFleet), b.bound(t, register.RoomPurposeBoard)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), board, b.ada.UserID))
	vera := localtest.Person(t, "Vera")
	b.fleet.identify(t, "vera", vera.UserID.String(), register.FleetRoleViewer)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), fleetRoom, vera.UserID))
	encrypted, err := running.keys.rooms.IsEncrypted(t.Context(), board)
	require.NoError(t, err)
	require.True(t, encrypted)
	require.NoError(t, running.keepRooms(t.Context()))
	require.Equal(t, board, b.bound(t, register.RoomPurposeBoard))
	members, err := running.client.JoinedMembers(t.Context(), board)
	require.NoError(t, err)
	require.NotContains(t, members.Joined, vera.UserID, "viewers do not belong to the board")
}

func TestAWorkerThatIsMissingIsSaidInTheThreadOfWhatWaitsForIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	asked := b.say(t, "!mosaic dispatch coder \"later\" --model haiku --exact --estimate 300credits")
	b.answered(t, asked, "Promised start")
	b.fleet.send(t, b.fleet.admin, register.RetireAgent("coder-1"), nil)
	b.answered(t, asked, "Waits for a worker. No live worker for coder is logged in to claude.")
}

func TestAnAgentThatIsRetiredIsSaidSilentlyInTheFleetRoom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.inRoomFor(t, register.RoomPurposeFleet)
	b.fleet.send(t, b.fleet.admin, register.RetireAgent("coder-1"), nil)
	said, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(b.room), client.Contains("coder-1 is retired"))
	require.NoError(t, err)
	require.Equal(t, event.MsgNotice, said.MsgType)
	require.Empty(t, said.Mentions)
}

func TestAPauseIsSaidSilentlyInTheFleetRoomAndNoDispatchRepeatsIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.inRoomFor(t, register.RoomPurposeFleet)
	b.fleet.send(t, b.fleet.admin, register.SetPause(register.PauseRequest{Paused: true, Reason: "the provider is down"}), nil)
	paused, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(b.room), client.Contains("The fleet is paused"))
	require.NoError(t, err)
	require.Contains(t, paused.Body, "the provider is down")
	require.Equal(t, event.MsgNotice, paused.MsgType)
	require.Empty(t, paused.Mentions)
	b.fleet.send(t, b.fleet.admin, register.SetPause(register.PauseRequest{}), nil)
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.In(b.room), client.Contains("The fleet runs"))
	require.NoError(t, err)
}
