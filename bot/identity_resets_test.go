package bot

import (
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// resetIdentity has a person set up cross-signing anew, as after a lost recovery key, and waits until the bot is told that something
// changed. A homeserver may tell that later than what the person says next.
func (b *bench) resetIdentity(t *testing.T, running *Bot, person *client.Client) id.Ed25519 {
	t.Helper()
	key, err := person.ResetIdentity(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return running.keys.outdated(t.Context(), person.UserID) ||
			b.count(t, `SELECT count(*) FROM crypto_cross_signing_keys WHERE user_id = $1 AND usage = 'master' AND key = $2`, person.UserID, key) == 1
	}, patience, 5*time.Millisecond)
	return key
}

// withBen is a bot at work in the fleet's room with ada and with Ben, an operator at a client whose keys are his own to reset.
func withBen(t *testing.T) (b *bench, running *Bot, ben *client.Client) {
	t.Helper()
	b = setup(t)
	running = b.start(t)
	ben = localtest.LogIn(t, localtest.Register(t, "Ben"))
	b.fleet.identify(t, "ben", ben.UserID.String(), register.FleetRoleOperator)
	b.meets(t, ben)
	b.bindFleetRoom(t)
	return b, running, ben
}

func TestWhoseKeysWereResetIsHeardOnceAnAdminAcceptsTheVeryNewKey(t *testing.T) {
	t.Parallel()
	b, running, ben := withBen(t)
	room := b.room
	before, err := ben.Say(t.Context(), room, "!mosaic status")
	require.NoError(t, err)
	b.answered(t, before, "")

	key := b.resetIdentity(t, running, ben)
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
	again := b.resetIdentity(t, running, ben)
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

func TestAKeyAcceptedWhileTheRoomsKeysAreBeingSharedReadsTheVeryNextReply(t *testing.T) {
	t.Parallel()
	b, running, ben := withBen(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	key := b.resetIdentity(t, running, ben)
	refused, err := ben.Say(t.Context(), b.room, "!mosaic status")
	require.NoError(t, err)
	b.answered(t, refused, "Your keys were reset")

	sharing, shared := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.homeserver.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/sendToDevice/m.room_key.withheld/") {
			once.Do(func() { close(sharing) })
			<-shared
		}
		return false
	})
	_, err = b.bots(t).Exec(t.Context(), `DELETE FROM crypto_megolm_outbound_session WHERE room_id = $1`, b.room)
	require.NoError(t, err)
	asked := b.say(t, "!mosaic status")
	<-sharing
	b.fleet.send(t, b.fleet.admin, register.TrustReset("ben", register.IdentityTrust{Key: key.String()}), nil)
	trusted := func() bool {
		return b.count(t, `SELECT count(*) FROM crypto_cross_signing_keys WHERE user_id = $1 AND usage = 'master' AND first_seen_key = $2`, ben.UserID, key) == 1
	}
	for wait := time.Now().Add(time.Second); time.Now().Before(wait) && !trusted(); {
		time.Sleep(tick) // what would trust the key beside the sharing has the time to
	}
	close(shared)
	b.answered(t, asked, "")
	require.Eventually(t, trusted, patience, tick)

	next, err := ben.Say(t.Context(), b.room, "!mosaic status")
	require.NoError(t, err)
	_, err = ben.WaitFor(soon(t), b.fromBot(), client.InThread(next), client.Contains("Fleet"))
	require.NoError(t, err)
}
