package bot

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

// device is a further session of a person, which nobody vouches for until it verifies.
type device struct {
	matrix *mautrix.Client
	olm    *crypto.OlmMachine
	read   map[id.EventID]string // what it could read, or "unreadable"
	synced string
}

func unverified(t *testing.T, account localtest.Account) *device {
	t.Helper()
	matrix, err := mautrix.NewClient(localtest.Homeserver(t).URL, "", "")
	require.NoError(t, err)
	matrix.StateStore = mautrix.NewMemoryStateStore()
	_, err = matrix.Login(t.Context(), &mautrix.ReqLogin{
		Type: mautrix.AuthTypePassword, Password: account.Password, StoreCredentials: true,
		Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: account.Name},
	})
	require.NoError(t, err)
	log := zerolog.Nop()
	d := &device{matrix: matrix, read: map[id.EventID]string{}}
	d.olm = crypto.NewOlmMachine(matrix, &log, crypto.NewMemoryStore(nil), matrix.StateStore.(crypto.StateStore))
	require.NoError(t, d.olm.Load(t.Context()))
	require.NoError(t, d.olm.ShareKeys(t.Context(), -1))
	d.sync(t)
	return d
}

// sync takes what is new, as far as this device can read it.
func (d *device) sync(t *testing.T) {
	t.Helper()
	response, err := d.matrix.SyncRequest(t.Context(), 0, d.synced, "", true, event.PresenceOffline)
	require.NoError(t, err)
	first := d.synced == ""
	d.synced = response.NextBatch
	d.olm.ProcessSyncResponse(t.Context(), response, "")
	for room, joined := range response.Rooms.Join {
		for _, evt := range append(joined.State.Events, joined.Timeline.Events...) {
			evt.RoomID = room
			if evt.StateKey != nil {
				evt.Type.Class = event.StateEventType
				if evt.Content.ParseRaw(evt.Type) == nil {
					mautrix.UpdateStateStore(t.Context(), d.matrix.StateStore, evt)
				}
				continue
			}
			if first || evt.Type.Type != event.EventEncrypted.Type {
				continue
			}
			evt.Type.Class = event.MessageEventType
			require.NoError(t, evt.Content.ParseRaw(evt.Type))
			text := "unreadable"
			if clear, err := d.olm.DecryptMegolmEvent(t.Context(), evt); err == nil {
				text, _ = clear.Content.Raw["body"].(string)
			}
			d.read[evt.ID] = text
		}
	}
}

func (d *device) say(t *testing.T, room id.RoomID, text string) id.EventID {
	t.Helper()
	members, err := d.matrix.JoinedMembers(t.Context(), room)
	require.NoError(t, err)
	var people []id.UserID
	for user := range members.Joined {
		people = append(people, user)
	}
	content := map[string]any{"msgtype": "m.text", "body": text}
	encrypted, err := d.olm.EncryptMegolmEvent(t.Context(), room, event.EventMessage, content)
	if crypto.IsShareError(err) {
		require.NoError(t, d.olm.ShareGroupSession(t.Context(), room, people))
		encrypted, err = d.olm.EncryptMegolmEvent(t.Context(), room, event.EventMessage, content)
	}
	require.NoError(t, err)
	sent, err := d.matrix.SendMessageEvent(t.Context(), room, event.EventEncrypted, encrypted, mautrix.ReqSendEvent{DontEncrypt: true})
	require.NoError(t, err)
	return sent.EventID
}

func TestACommandOfAnUnverifiedDeviceIsRefusedToTrustedDevicesOnlyAndReadableAtOnceWhenItVerifies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	account := localtest.Register(t, "Ben")
	ben := localtest.LogIn(t, account)
	b.talkWith(t, ben)
	fresh := unverified(t, account)

	asked := fresh.say(t, b.room, `!mosaic dispatch coder "from a borrowed phone"`)
	refusal, err := ben.WaitFor(soon(t), b.fromBot(), client.InThread(asked), client.Contains("a session that is not verified"))
	require.NoError(t, err, "the person's trusted device is told how to verify")
	require.Equal(t, []string{"🔒"}, b.signed(t, asked, "🔒"), "the sign is readable by all")
	fresh.sync(t)
	require.Equal(t, "unreadable", fresh.read[refusal.EventID], "nothing is said to a device nobody vouches for")
	require.Empty(t, b.fleet.listDispatches(t))

	require.NoError(t, fresh.olm.VerifyWithRecoveryKey(t.Context(), ben.RecoveryKey()))
	again := fresh.say(t, b.room, `!mosaic dispatch coder "now it is mine"`)
	reply, err := b.ada.WaitFor(soon(t), b.fromBot(), client.InThread(again), client.Contains("D-1"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		fresh.sync(t)
		return fresh.read[reply.EventID] != ""
	}, patience, tick)
	require.Contains(t, fresh.read[reply.EventID], "D-1", "the very next reply is readable")
}

// A homeserver says that what mallory sent was sent by ada.
func TestAForgedSenderCommandsNothingNeitherInAMessageNorInAnEdit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	mallory := localtest.Person(t, "Mallory")
	b.meets(t, mallory)
	asked := b.say(t, `!mosaic dispatch coder "write a poem"`)
	b.answered(t, asked, "D-1")
	b.homeserver.set(rewriteSyncs(b.homeserver, func(body []byte) []byte {
		var answer map[string]json.RawMessage
		if json.Unmarshal(body, &answer) != nil {
			return body
		}
		answer["rooms"] = bytes.ReplaceAll(answer["rooms"], []byte(`"sender":"`+mallory.UserID.String()+`"`), []byte(`"sender":"`+b.ada.UserID.String()+`"`))
		changed, err := json.Marshal(answer)
		if err != nil || answer["rooms"] == nil {
			return body
		}
		return changed
	}))
	b.endPoll(t)
	forged, err := mallory.Say(t.Context(), b.room, `!mosaic dispatch coder "mine gold"`)
	require.NoError(t, err)
	b.signed(t, forged, "🔒")
	edited, err := mallory.Edit(t.Context(), b.room, asked, `!mosaic dispatch coder "mine more gold"`)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM journal WHERE event_id = $1 AND state IN ('done', 'dropped') AND sender = $2`, edited, b.ada.UserID) == 1
	}, patience, tick)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	require.Len(t, b.fleet.listDispatches(t), 1)
}

// endPoll ends the sync that waits, which was asked for before the proxy was told to change it.
func (b *bench) endPoll(t *testing.T) {
	t.Helper()
	chatter := b.say(t, "chatter")
	require.Eventually(t, func() bool { return b.count(t, `SELECT count(*) FROM journal WHERE event_id = $1`, chatter) == 1 }, patience, tick)
}

// rewriteSyncs changes each answer to a sync.
func rewriteSyncs(p *proxy, rewrite func([]byte) []byte) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/sync") {
			return false
		}
		answer := httptest.NewRecorder()
		r.Header.Del("Accept-Encoding")
		p.forward.ServeHTTP(answer, r)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer.Code)
		_, _ = w.Write(rewrite(answer.Body.Bytes()))
		return true
	}
}

func TestKeysThatComeAMinuteLateRunTheCommandThenAndSaySo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	var mutex sync.Mutex
	var held []json.RawMessage
	until := time.Now().Add(time.Minute)
	b.homeserver.set(rewriteSyncs(b.homeserver, func(body []byte) []byte {
		mutex.Lock()
		defer mutex.Unlock()
		var answer map[string]any
		if json.Unmarshal(body, &answer) != nil {
			return body
		}
		var messages struct {
			ToDevice struct {
				Events []json.RawMessage `json:"events"`
			} `json:"to_device"`
		}
		if json.Unmarshal(body, &messages) != nil {
			return body
		}
		held = append(held, messages.ToDevice.Events...)
		answer["to_device"] = map[string]any{"events": []any{}}
		if time.Now().After(until) {
			answer["to_device"], held = map[string]any{"events": held}, nil
		}
		changed, err := json.Marshal(answer)
		if err != nil {
			return body
		}
		return changed
	}))
	b.endPoll(t)
	require.NoError(t, b.ada.Olm.CryptoStore.RemoveOutboundGroupSession(t.Context(), b.room))
	asked := b.say(t, `!mosaic dispatch coder "late keys"`)
	require.Equal(t, []string{"🔑"}, b.signed(t, asked, "🔑"))
	require.Empty(t, b.fleet.listDispatches(t))
	require.Equal(t, 1, running.Health(t.Context()).Encryption.Unreadable)
	require.True(t, running.Health(t.Context()).Ready(), "one message without its key keeps the bot from nothing")
	time.Sleep(time.Until(until))
	b.endPoll(t)
	reply := b.answered(t, asked, "D-1")
	require.Contains(t, reply.Body, "I could read this only")
	require.Eventually(t, func() bool { return len(b.signs(asked)) == 1 && b.signs(asked)[0] == "✅" }, patience, tick, "🔑 is taken away")
	b.quiet(t)
	require.Len(t, b.replies(asked), 1)
	require.Zero(t, running.Health(t.Context()).Encryption.Unreadable)
}

// Postgres ends the bot's session between the decryption of the message that brings a room key and the commit.
func TestPostgresCutBetweenDecryptionAndKeyStorageLosesNoKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	_, err := b.bots(t).Exec(t.Context(), `
		CREATE SEQUENCE cuts;
		CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF nextval('bot.cuts') <= 2 THEN -- a sequence remembers what a rollback forgets
				PERFORM pg_terminate_backend(pg_backend_pid());
				PERFORM pg_sleep(1);
			END IF;
			RETURN NEW;
		END $$;
		CREATE TRIGGER cut BEFORE INSERT ON crypto_megolm_inbound_session FOR EACH ROW EXECUTE FUNCTION cut()`)
	require.NoError(t, err)
	require.NoError(t, b.ada.Olm.CryptoStore.RemoveOutboundGroupSession(t.Context(), b.room))
	asked := b.say(t, `!mosaic dispatch coder "through the cut"`)
	b.answered(t, asked, "D-1")
	b.quiet(t)
	require.Equal(t, []string{"✅"}, b.signed(t, asked, "✅"))
	require.Len(t, b.fleet.listDispatches(t), 1)
	require.Greater(t, b.count(t, `SELECT last_value FROM cuts`), 2, "the sessions were cut")
}
