package commands

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// boundBy is the binding a call asks for.
func boundBy(t *testing.T, call Call) register.RoomBinding {
	t.Helper()
	var asked register.RoomBinding
	require.NoError(t, json.Unmarshal(call.Mutation.Body, &asked))
	return asked
}

func TestARoomIsBoundFromInsideOrByItsID(t *testing.T) {
	t.Parallel()
	fleet, budget, admin := register.RoomPurposeFleet, register.RoomPurposeBudget, register.RoomPurposeAdmin
	for line, want := range map[string]register.RoomBinding{
		"room bind fleet budget":              {Room: "!room", Purposes: []register.RoomPurpose{budget, fleet}},
		"Room bind Budget, fleet.":            {Room: "!room", Purposes: []register.RoomPurpose{budget, fleet}},
		"room bind admin,admin":               {Room: "!room", Purposes: []register.RoomPurpose{admin}},
		"room bind !OpAque:example.org fleet": {Room: "!OpAque:example.org", Purposes: []register.RoomPurpose{fleet}},
		"room bind !31hneApxJ_1o-63 fleet":    {Room: "!31hneApxJ_1o-63", Purposes: []register.RoomPurpose{fleet}},
		"room unbind":                         {Room: "!room", Purposes: []register.RoomPurpose{}},
		"room unbind !OpAque:example.org":     {Room: "!OpAque:example.org", Purposes: []register.RoomPurpose{}},
	} {
		require.Equal(t, want, boundBy(t, understood(t, line)), line)
	}
	onTerminal, err := Prepare(Asked{Words: []string{"room", "bind", "!r:example.org", "admin"}, At: monday})
	require.NoError(t, err)
	require.Equal(t, "!r:example.org", boundBy(t, onTerminal).Room)

	for line, why := range map[string]string{
		"room bind":                    "purpose is missing",
		"room bind fleat":              `"fleat" is not one of fleet, budget, board and admin. Did you mean fleet?`,
		"room bind #fleet:example.org": "is not one of",
		"room unbind fleet":            "a room is unbound from all it is for",
		"room bind !":                  "is not a room's ID",
	} {
		require.Contains(t, misunderstood(t, line).Error(), why, line)
	}
	_, err = Prepare(Asked{Words: []string{"room", "bind", "fleet"}, At: monday})
	require.ErrorContains(t, err, "The room is missing: its ID comes first")
}

func TestARoomsBindingIsShownAndEnded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send(t, register.PutIdentity("ann", register.IdentityRequest{
		Kind: register.IdentityRequestKindHuman, MatrixID: "@ann:localhost", Roles: []register.FleetRole{register.FleetRoleAdmin},
	}), nil)
	b.send(t, register.BindRoom(register.RoomBinding{Room: "!board:localhost", Alias: "#board:localhost", Purposes: []register.RoomPurpose{register.RoomPurposeBoard}}), nil)

	b.answered(t, "olga", "room bind fleet", MoodRefused, "olga may not bind rooms", "admin")
	b.answered(t, "ann", "room bind fleet admin", MoodDone, "This room is bound", "admin: what is wrong with bot and gateway", "fleet: dispatches")
	b.answered(t, "olga", "rooms", MoodDone, "2 rooms are bound", "This room for admin and fleet", "#board:localhost for board")
	b.answered(t, "ann", "room bind !board:localhost board budget", MoodDone, "#board:localhost is bound")
	b.answered(t, "ann", "room unbind", MoodDone, "This room is unbound")
	shown := b.answered(t, "olga", "room", MoodDone, "1 room is bound", "#board:localhost for board and budget")
	require.NotContains(t, shown.Markdown, "This room")
}
