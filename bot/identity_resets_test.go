package bot

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// resetIdentity has a person set up cross-signing anew, as after a lost recovery key.
func resetIdentity(t *testing.T, person *client.Client) id.Ed25519 {
	t.Helper()
	key, err := person.ResetIdentity(t.Context())
	require.NoError(t, err)
	return key
}

func TestWhoseKeysWereResetIsHeardOnceAnAdminAcceptsTheVeryNewKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	ben := localtest.LogIn(t, localtest.Register(t, "Ben"))
	b.fleet.identify(t, "ben", ben.UserID.String(), register.FleetRoleOperator)
	room, err := b.ada.CreateRoom(t.Context(), client.Room{Name: "ops", Invite: []id.UserID{id.UserID(b.options.UserID), ben.UserID}})
	require.NoError(t, err)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, id.UserID(b.options.UserID), ben.UserID))
	b.room = room
	b.fleet.send(t, b.fleet.admin, register.BindRoom(register.RoomBinding{Room: room.String(), Purposes: []register.RoomPurpose{register.RoomPurposeFleet}}), nil)
	before, err := ben.Say(t.Context(), room, "!mosaic status")
	require.NoError(t, err)
	b.answered(t, before, "")

	key := resetIdentity(t, ben)
	refused, err := ben.Say(t.Context(), room, `!mosaic dispatch coder "who am I?"`)
	require.NoError(t, err)
	b.answered(t, refused, "Your keys were reset")
	require.Equal(t, []string{"🔒"}, b.signed(t, refused, "🔒"))
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.Contains("The keys of ben were reset"))
	require.NoError(t, err)
	identity, err := b.fleet.admin.Identity(t.Context(), register.By{}, "ben")
	require.NoError(t, err)
	require.Equal(t, key.String(), identity.Reset.NewKey)
	require.NotEqual(t, key.String(), identity.Reset.OldKey)

	wrong := identity.Reset.OldKey
	err = b.fleet.admin.Send(t.Context(), register.By{Key: rand.Text()}, register.TrustReset("ben", register.IdentityTrust{Key: wrong}), nil)
	require.ErrorContains(t, err, "not the key that ben has now")
	b.fleet.send(t, b.fleet.admin, register.TrustReset(ben.UserID.String(), register.IdentityTrust{Key: key.String()}), nil)
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.Contains("The new keys of ben are accepted"))
	require.NoError(t, err)
	asked, err := ben.Say(t.Context(), room, "!mosaic status")
	require.NoError(t, err)
	reply, err := ben.WaitFor(soon(t), b.fromBot(), client.InThread(asked), client.Contains("Fleet"))
	require.NoError(t, err, "the very next reply is readable with the new keys")
	require.True(t, reply.WasEncrypted)
	require.Empty(t, b.fleet.listDispatches(t))

	// An acceptance whose event was never heard is found by the sweep.
	again := resetIdentity(t, ben)
	late, err := ben.Say(t.Context(), room, "!mosaic status")
	require.NoError(t, err)
	b.signed(t, late, "🔒")
	require.Eventually(t, func() bool {
		identity, err := b.fleet.admin.Identity(t.Context(), register.By{}, "ben")
		return err == nil && identity.Reset.NewKey == again.String()
	}, patience, tick)
	b.fleet.send(t, b.fleet.admin, register.TrustReset("ben", register.IdentityTrust{Key: again.String()}), nil)
	require.NoError(t, running.reportResets(t.Context()))
	asked, err = ben.Say(t.Context(), room, "!mosaic status")
	require.NoError(t, err)
	_, err = ben.WaitFor(soon(t), b.fromBot(), client.InThread(asked), client.Contains("Fleet"))
	require.NoError(t, err)
}
