package bot

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// The bot loses its session with ada's device, so what she sends over it cannot be read: neither the key of her next message, nor
// anything that would mend it.
func TestAWedgedSessionHealsByANewOneAndTheKeyIsAskedForAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	// As clients do whose owner shared the key with the bot before.
	b.ada.Olm.AllowKeyShare = func(context.Context, *id.Device, event.RequestedKeyInfo) *crypto.KeyShareRejection { return nil }
	_, err := b.bots(t).Exec(t.Context(), `DELETE FROM crypto_olm_session`)
	require.NoError(t, err)
	running.keys.Lock()
	require.NoError(t, running.keys.rebuild(t.Context())) // it keeps sessions in memory
	running.keys.Unlock()

	require.NoError(t, b.ada.Olm.CryptoStore.RemoveOutboundGroupSession(t.Context(), b.room))
	asked := b.say(t, `!mosaic dispatch coder "over a wedged session"`)
	// The bot makes a new session at once and sends something over it. A client goes on with the session it heard last over; the
	// store in memory of this one would go on with the old one, so that is taken from it.
	store := b.ada.Olm.CryptoStore.(*crypto.MemoryStore)
	key := running.keys.machine.OwnIdentity().IdentityKey
	require.Eventually(t, func() bool {
		sessions, err := store.GetSessions(t.Context(), key)
		return err == nil && len(sessions) == 2
	}, patience, tick)
	old := store.Sessions[key][0]
	if old.ID() == b.olmSession(t) {
		old = store.Sessions[key][1]
	}
	require.NoError(t, store.DeleteSession(t.Context(), key, old))
	// What was asked for over the old session is asked for again after 10 s, when its absence is shown.
	b.answered(t, asked, "D-1")
	b.signed(t, asked, "✅")
	require.NoError(t, b.ada.Olm.CryptoStore.RemoveOutboundGroupSession(t.Context(), b.room))
	next := b.say(t, `!mosaic dispatch coder "over the new one"`)
	b.answered(t, next, "D-2")
	require.Zero(t, b.count(t, `SELECT count(*) FROM journal WHERE event_id = $1 AND waited`, next), "the next message is read at once")
	require.Zero(t, running.Health(t.Context()).Encryption.Unreadable)
}

// olmSession is the one session the bot has.
func (b *bench) olmSession(t *testing.T) id.SessionID {
	t.Helper()
	var session id.SessionID
	require.NoError(t, b.bots(t).QueryRow(t.Context(), `SELECT session_id FROM crypto_olm_session ORDER BY created_at DESC LIMIT 1`).Scan(&session))
	return session
}
