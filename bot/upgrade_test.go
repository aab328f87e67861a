package bot

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// upgrade replaces a room by one of another version, as a client does it.
func upgradeRoom(t *testing.T, person *client.Client, room id.RoomID, version string) id.RoomID {
	t.Helper()
	var answer struct {
		Replacement id.RoomID `json:"replacement_room"`
	}
	_, err := person.Matrix.MakeRequest(t.Context(), http.MethodPost, person.Matrix.BuildClientURL("v3", "rooms", room, "upgrade"),
		map[string]any{"new_version": version}, &answer)
	require.NoError(t, err)
	return answer.Replacement
}

func TestARoomUpgradedInMidDispatchGoesOnInTheNewRoom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	b.talk(t)
	old := b.room
	b.fleet.send(t, b.fleet.admin, register.BindRoom(register.RoomBinding{Room: old.String(), Purposes: []register.RoomPurpose{register.RoomPurposeFleet}}), nil)
	b.answered(t, b.say(t, `!mosaic dispatch coder "spans two rooms"`), "D-1")
	claim := b.running(t)
	b.quiet(t)

	b.room = upgradeRoom(t, b.ada, old, "12")
	// Not in the new room yet, so nothing can be said there.
	require.NoError(t, b.ada.Invite(t.Context(), b.room, id.UserID(b.options.UserID)))
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, id.UserID(b.options.UserID)))
	_, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(b.room), client.Contains("I have moved here"))
	require.NoError(t, err)
	b.fleet.send(t, b.fleet.worker, register.CompleteDispatch("D-1", register.CompleteRequest{
		Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Actuals: []register.Amount{{Unit: register.UnitCredits, Micros: 1_000_000}},
		Result: register.Result{Summary: "all green"},
	}), nil)
	done, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(b.room), client.Contains("all green"))
	require.NoError(t, err)
	require.True(t, done.WasEncrypted)
	require.Equal(t, []id.UserID{b.ada.UserID}, done.Mentions)
	b.answered(t, b.say(t, "!mosaic status"), "")

	rooms, err := b.fleet.admin.Rooms(t.Context(), register.By{})
	require.NoError(t, err)
	bound := map[string][]register.RoomPurpose{}
	for _, room := range rooms.Rooms {
		bound[room.Room] = room.Purposes
	}
	require.Equal(t, []register.RoomPurpose{register.RoomPurposeFleet}, bound[b.room.String()], "the binding moves with the people")
	require.Empty(t, bound[old.String()])
	joined, err := running.client.JoinedRooms(t.Context())
	require.NoError(t, err)
	require.NotContains(t, joined.JoinedRooms, old)
	require.Zero(t, b.count(t, `SELECT count(*) FROM outbox WHERE state = 'failed'`))
}

func TestARoomThatOnlyClaimsToReplaceAnotherIsNotFollowed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	mallory := localtest.Person(t, "Mallory")
	room, err := b.ada.CreateRoom(t.Context(), client.Room{
		Name: "ops", Invite: []id.UserID{id.UserID(b.options.UserID), mallory.UserID}, Version: id.RoomV11,
		State: map[event.Type]any{event.StatePowerLevels: map[string]any{
			"users": map[id.UserID]int{b.ada.UserID: 100}, "state_default": 0, "events": map[string]int{},
		}},
	})
	require.NoError(t, err)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, id.UserID(b.options.UserID), mallory.UserID))
	b.room = room
	b.fleet.send(t, b.fleet.admin, register.BindRoom(register.RoomBinding{Room: room.String(), Purposes: []register.RoomPurpose{register.RoomPurposeFleet}}), nil)
	trap, err := mallory.CreateRoom(t.Context(), client.Room{Name: "trap", Public: true})
	require.NoError(t, err)
	// Anyone may send state here, so the homeserver lets the tombstone through; the room it names says nothing of this one.
	_, err = mallory.Matrix.SendStateEvent(t.Context(), room, event.StateTombstone, "", map[string]any{"body": "moved", "replacement_room": trap})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM journal WHERE type = 'tombstone' AND state = 'dropped' AND reason LIKE '%only claims%'`) == 1
	}, patience, tick)
	b.answered(t, b.say(t, "!mosaic status"), "")
	joined, err := running.client.JoinedRooms(t.Context())
	require.NoError(t, err)
	require.NotContains(t, joined.JoinedRooms, trap)
	require.Contains(t, joined.JoinedRooms, room)
	binding, err := b.fleet.admin.Rooms(t.Context(), register.By{})
	require.NoError(t, err)
	require.Len(t, binding.Rooms, 1)
	require.Equal(t, room.String(), binding.Rooms[0].Room)
}

func TestTheBotLeavesARoomWhereItIsAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	room, err := b.ada.CreateRoom(t.Context(), client.Room{Name: "brief", Invite: []id.UserID{id.UserID(b.options.UserID)}})
	require.NoError(t, err)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, id.UserID(b.options.UserID)))
	b.room = room
	b.answered(t, b.say(t, "status"), "")
	require.NoError(t, b.ada.Leave(t.Context(), room))
	require.Eventually(t, func() bool {
		joined, err := running.client.JoinedRooms(t.Context())
		return err == nil && !slices.Contains(joined.JoinedRooms, room)
	}, patience, tick)
}

func TestARoomOfTwoIsNotLeftWhenOneOfThreeGoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	ben := b.talkOfThree(t)
	require.NoError(t, ben.Leave(t.Context(), b.room))
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM journal WHERE type = 'emptied' AND state = 'dropped'`) == 1
	}, patience, tick)
	b.answered(t, b.say(t, "!mosaic status"), "")
}

func TestAStrangersInviteToABoundRoomIsFollowed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	guest := localtest.Person(t, "Guest")
	room, err := guest.CreateRoom(t.Context(), client.Room{Name: "bound", Invite: []id.UserID{b.ada.UserID}})
	require.NoError(t, err)
	b.fleet.send(t, b.fleet.admin, register.BindRoom(register.RoomBinding{Room: room.String(), Purposes: []register.RoomPurpose{register.RoomPurposeFleet}}), nil)
	require.NoError(t, guest.Invite(t.Context(), room, id.UserID(b.options.UserID)))
	require.NoError(t, guest.WaitUntilJoined(soon(t), room, id.UserID(b.options.UserID)))
}

func TestEveryRoomVersionTheHomeserverOffersIsARoomLikeAnyOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	offered, err := b.ada.Matrix.Capabilities(t.Context())
	require.NoError(t, err)
	versions := slices.Sorted(maps.Keys(offered.RoomVersions.Available))
	require.Contains(t, versions, "12")
	third := b.third(t)
	for _, version := range versions {
		room, err := b.ada.CreateRoom(t.Context(), client.Room{Name: "v" + version, Version: id.RoomVersion(version), Invite: []id.UserID{id.UserID(b.options.UserID), third}})
		require.NoError(t, err, version)
		require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, id.UserID(b.options.UserID)), version)
		b.room = room
		asked := b.say(t, "!mosaic dispatch coder \"in version "+version+"\"")
		b.answered(t, asked, "D-")
		b.signed(t, asked, "✅")
		taken, err := b.ada.Redact(t.Context(), room, asked, "")
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			return b.count(t, `SELECT count(*) FROM journal WHERE event_id = $1 AND redacts = $2`, taken, asked) == 1
		}, patience, tick, "version %s: a redaction names what it redacts", version)
	}
	t.Log(versions)
}
