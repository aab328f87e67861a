package bot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// A database restored from a backup is older than the world: rooms hold messages that it does not know, other devices hold
// sessions that are further on. To go on with it would use message keys twice and carry out again what was answered long
// ago. So before it hears or says anything the bot compares the two, and if need be begins anew with a device of its own.

// drainRounds bounds how often the old device is asked for what still waits for it.
const drainRounds = 100

// findings are what the bot saw of its own that the database does not know.
type findings struct {
	Events int
	Latest time.Time // of those events, by the homeserver's clock
}

func (f *findings) reason(zone *time.Location) string {
	if f.Events == 0 {
		return "the sessions of its device are further on at other devices than it knows"
	}
	return fmt.Sprintf("rooms hold %s of mine, the last of %s, that it does not know", counted(f.Events, "message"), f.Latest.In(zone).Format("2 Jan 15:04 MST"))
}

// compareWithWorld asks what is new and judges it before anything is done with it. If the database is older than the world
// it retires the device; else the answer is left for the syncer to take first.
func (b *Bot) compareWithWorld(ctx context.Context) error {
	if b.account.Stale != "" {
		if err := b.drain(ctx, nil); err != nil && !errors.Is(err, mautrix.MUnknownToken) && !deviceGone(err) {
			return err
		}
		return b.beginAnew(ctx)
	}
	if b.account.SyncToken == "" {
		return nil
	}
	seen, err := seenWorld(ctx, b.client)
	if err != nil {
		return err
	}
	answer, err := b.ask(ctx, b.account.SyncToken, unlike())
	if err != nil {
		return err
	}
	unknown, err := b.unknownOwn(ctx, answer)
	if err != nil {
		return err
	}
	ahead := seen.DeviceID != "" && (seen.DeviceID != b.account.DeviceID || seen.Generation > b.account.Generation)
	if unknown == 0 && !ahead {
		b.syncer.first = answer
		return nil
	}
	zerolog.Ctx(ctx).Warn().Int("unknown_events", unknown).Int64("generation", b.account.Generation).Int64("generation_seen", seen.Generation).
		Msg("The database is older than the homeserver; it was restored")
	if err := b.drain(ctx, answer); err != nil {
		return err
	}
	return b.beginAnew(ctx)
}

// unlike is a short wait for news that no earlier request had. Synapse gives the answer to a sync again for two minutes, to whoever asks
// from the same token in the same manner, and one given before the database was restored tells nothing of what came after it.
func unlike() time.Duration { return time.Duration(1+rand.IntN(400)) * time.Millisecond }

// unknownOwn counts the bot's own events in an answer that the outbox does not know. What is older than the outbox's memory,
// or than this login, says nothing.
func (b *Bot) unknownOwn(ctx context.Context, a *answer) (int, error) {
	since := b.now().Add(-retention + 24*time.Hour)
	if b.account.CreatedAt.After(since) {
		since = b.account.CreatedAt
	}
	var sent []string
	for room, joined := range a.response.Rooms.Join {
		for _, evt := range slices.Concat(a.gaps[room], joined.Timeline.Events) {
			txn := outboxID(evt)
			if b.ours(evt.Sender) && txn != "" && time.UnixMilli(evt.Timestamp).After(since) {
				sent = append(sent, txn)
			}
		}
	}
	if len(sent) == 0 {
		return 0, nil
	}
	var unknown int
	err := b.database.QueryRow(ctx, `SELECT count(*) FROM unnest($1::text[]) AS sent (txn_id)
		WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.txn_id = sent.txn_id)`, sent).Scan(&unknown)
	if err != nil {
		return 0, fmt.Errorf("looking for own events in the outbox: %w", err)
	}
	return unknown, nil
}

// drain takes all that waits for the old device: its keys can still read what was sent to it, and its own events become
// known. The device is marked as stale in the same transaction, since the token moves past the evidence.
func (b *Bot) drain(ctx context.Context, a *answer) error {
	b.found = &findings{}
	defer func() { b.found = nil }()
	for range drainRounds {
		if a == nil {
			var err error
			if a, err = b.ask(ctx, b.account.SyncToken, 0); err != nil {
				return err
			}
			if len(a.response.ToDevice.Events) == 0 && len(a.response.Rooms.Join) == 0 {
				break
			}
		}
		_, err := b.receive(ctx, a, false)
		if err != nil {
			_, err = b.receive(ctx, a, true)
		}
		if err != nil {
			return err
		}
		b.account.SyncToken, a = a.response.NextBatch, nil
	}
	stored, err := loadAccount(ctx, b.database)
	if err == nil {
		b.account = stored
	}
	return err
}

// markStale is drain's part of the transaction that stores an answer.
func (b *Bot) markStale(ctx context.Context) error {
	_, err := b.database.Exec(ctx, `UPDATE account SET stale = CASE WHEN stale = '' OR $1 THEN $2 ELSE stale END, created_at = greatest(created_at, $3)`,
		b.found.Events > 0, b.found.reason(b.options.Zone), b.found.Latest.UTC())
	if err != nil {
		return fmt.Errorf("noting that the device is stale: %w", err)
	}
	return nil
}

// adopt makes an own event known that the database lost, so that nothing that causes it again says it again.
func (b *Bot) adopt(ctx context.Context, room id.RoomID, evt *event.Event, txn string) error {
	kind, content := evt.Type.Type, `{}`
	if kind == event.EventEncrypted.Type {
		kind = event.EventMessage.Type
	}
	ref := ""
	if kind == event.EventReaction.Type {
		if raw := evt.Content.VeryRaw; storable(string(raw)) && len(raw) > 0 {
			content = string(raw)
		}
		ref = reactionRef(evt)
	}
	at := time.UnixMilli(evt.Timestamp)
	result, err := b.database.Exec(ctx, `
		INSERT INTO outbox (txn_id, room_id, rank, type, content, ref, state, not_before, event_id, sent_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, 'sent', $7, $8, $7, $7) ON CONFLICT (txn_id) DO NOTHING`,
		txn, room, reply, kind, content, ref, at.UTC(), evt.ID)
	if err != nil {
		return fmt.Errorf("taking over an own event: %w", err)
	}
	if count, err := result.RowsAffected(); err != nil || count == 0 {
		return err
	}
	b.found.Events++
	if at.After(b.found.Latest) {
		b.found.Latest = at
	}
	return nil
}

// reactionRef names what a sign of the bot is for, so that a later sign takes its place.
func reactionRef(evt *event.Event) string {
	relation, _ := evt.Content.Raw["m.relates_to"].(map[string]any)
	target, _ := relation["event_id"].(string)
	if !storable(target) {
		return ""
	}
	switch relation["key"] {
	case signHourglass:
		return hourglassRef(id.EventID(target))
	case signDone, signRefused, signWaiting, signLock:
		return signRef(id.EventID(target))
	}
	return ""
}

// beginAnew retires the stale device and goes on with a new one: no ratchet, no message index and no one-time key of the old
// is ever used again. What happened up to the last own message is history, as before a first start. A crash anywhere in it is made good by doing it again.
func (b *Bot) beginAnew(ctx context.Context) error {
	old := b.account
	token, device, err := b.newLogin(ctx)
	if err != nil {
		return err
	}
	if err := b.endDevice(ctx, old); err != nil {
		return err
	}
	var answered int
	err = transaction(ctx, b.database, func(ctx context.Context) (err error) {
		if answered, err = b.forgetDevice(ctx, token, device); err != nil {
			return err
		}
		return b.alert(ctx, "restored:"+device.String(), b.restoredText(old, device, answered))
	})
	if err != nil {
		return fmt.Errorf("changing to device %s: %w", device, err)
	}
	stored, err := loadAccount(ctx, b.database)
	if err != nil {
		return err
	}
	b.account = stored
	b.client.AccessToken, b.client.DeviceID = token, device
	b.renewal.of(stored)
	b.keys.Lock()
	defer b.keys.Unlock()
	if err := b.keys.rebuild(ctx); err != nil {
		return err
	}
	b.syncer = newSyncer(b, stored.SyncToken)
	zerolog.Ctx(ctx).Warn().Stringer("old_device_id", old.DeviceID).Stringer("device_id", device).Int("answered", answered).Msg("Went on with a new device")
	return nil
}

// newLogin logs in on a device whose name is kept first, so that doing it again makes no second one. Without a password the
// configured token must be of a new login.
func (b *Bot) newLogin(ctx context.Context) (string, id.DeviceID, error) {
	if b.options.Password == "" && b.options.Registration == nil {
		return b.givenLogin(ctx)
	}
	var device id.DeviceID
	err := b.database.QueryRow(ctx, `UPDATE account SET next_device = CASE next_device WHEN '' THEN $1 ELSE next_device END RETURNING next_device`,
		newDeviceID()).Scan(&device)
	if err != nil {
		return "", "", fmt.Errorf("naming the new device: %w", err)
	}
	if b.options.Registration != nil {
		return b.options.Registration.Token, device, b.makeDevice(ctx, device)
	}
	answer, err := logIn(ctx, b.client, b.options, device)
	if err != nil {
		return "", "", err
	}
	return answer.AccessToken, answer.DeviceID, b.renewal.take(ctx, grantOf(answer))
}

// givenLogin is the new login that an operator gave the bot, by its access token or its refresh token.
func (b *Bot) givenLogin(ctx context.Context) (string, id.DeviceID, error) {
	tokens := []string{b.options.AccessToken, b.renewal.held.Access}
	for begun := false; ; begun = true {
		for _, token := range tokens {
			other, err := b.clientWith(token)
			if err != nil {
				return "", "", err
			}
			who, err := other.Whoami(ctx)
			if err == nil && who.UserID == id.UserID(b.options.UserID) && who.DeviceID != b.account.DeviceID && who.DeviceID != "" {
				return token, who.DeviceID, nil
			}
			if err != nil && unanswered(err) {
				return "", "", fmt.Errorf("asking whose a token is: %w", err)
			}
		}
		if begun || b.options.RefreshToken == "" {
			break
		}
		token, err := b.renewal.begin(ctx, b.options.RefreshToken)
		if err != nil {
			return "", "", err
		}
		tokens = []string{token}
	}
	return "", "", fmt.Errorf("the keys of device %s may not be used any more, since this database is older than what was sent with them; "+
		"give the bot its password (MATRIX_PASSWORD), or the access token of a new login or its refresh token, and start it again", b.account.DeviceID)
}

// forgetDevice leaves of the old device only the keys to what others said. Commands whose answer stands in a room are ended,
// the other open ones are doubted: each is looked for at the homeserver before it runs. It returns how many were ended.
func (b *Bot) forgetDevice(ctx context.Context, token string, device id.DeviceID) (answered int, err error) {
	if answered, err = b.endAnswered(ctx); err != nil {
		return 0, err
	}
	for _, statement := range []string{
		`DELETE FROM crypto_olm_session`, `DELETE FROM crypto_olm_message_hash`, `DELETE FROM crypto_account`,
		`DELETE FROM crypto_megolm_outbound_session_shared`, `DELETE FROM crypto_megolm_outbound_session`,
		`UPDATE crypto_tracked_user SET devices_outdated = true`,
		`UPDATE outbox SET state = 'queued', ciphertext = NULL WHERE state = 'sending'`,
		`UPDATE outbox SET ciphertext = NULL WHERE state = 'queued'`,
		`UPDATE journal SET doubted = true, key_asked = false WHERE state IN ('new', 'waiting', 'prepared')`,
	} {
		if _, err := b.database.Exec(ctx, statement); err != nil {
			return 0, fmt.Errorf("forgetting the old device: %w", err)
		}
	}
	_, err = b.database.Exec(ctx, `UPDATE account SET device_id = $1, access_token = $2, stale = '', next_device = '', generation = 0`, device, token)
	return answered, err
}

func (b *Bot) endAnswered(ctx context.Context) (int, error) {
	rooms, err := b.journal.rooms(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading which rooms have something to hear: %w", err)
	}
	ended := 0
	for _, room := range rooms {
		open, err := b.journal.allOpen(ctx, room)
		if err != nil {
			return 0, fmt.Errorf("reading what is open: %w", err)
		}
		for _, h := range open {
			said, err := b.outbox.known(ctx, answerIDs(h.ID)...)
			if err != nil {
				return 0, err
			}
			if !said {
				continue
			}
			if err := b.journal.end(ctx, h, stateDone, answeredBefore); err != nil {
				return 0, err
			}
			ended++
		}
	}
	return ended, nil
}

const answeredBefore = "answered before the database was restored"

// answerIDs are the transaction IDs of what answers an event.
func answerIDs(event id.EventID) []string {
	return []string{txnID("reply", event.String()), txnID("sign", event.String(), "answer"), txnID("sign", event.String(), "lock")}
}

// restoredText tells those who run the bot what it found and what it did.
func (b *Bot) restoredText(old *account, device id.DeviceID, answered int) string {
	return fmt.Sprintf("**My database is older than the world: it was restored.** What I found: %s.\n\n"+
		"- I retired my device %s and go on as %s, verified as before, so that no message key is used twice.\n"+
		"- %s that I had answered already will not run again; any other from that time I look up in its room before I run it.\n"+
		"- What was done since the backup may be missing in the register, and its numbers (D-…, P-…) may be given again: compare `%s list` "+
		"and `%s budget status` with what stands in the rooms.",
		old.Stale, old.DeviceID, device, counted(answered, "command"), b.options.Prefix, b.options.Prefix)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// clientWith is a client of the bot's user with another token.
func (b *Bot) clientWith(token string) (*mautrix.Client, error) {
	other, err := mautrix.NewClient(b.options.Homeserver, b.client.UserID, token)
	if err != nil {
		return nil, fmt.Errorf("the homeserver URL %q cannot be used: %w", b.options.Homeserver, err)
	}
	other.Client, other.Log, other.SetAppServiceUserID = b.client.Client, b.client.Log, b.client.SetAppServiceUserID
	return other, nil
}

// answeredInRoom looks for the bot's own answer to a doubted event at the homeserver: the database may have lost it.
func (b *Bot) answeredInRoom(ctx context.Context, h *heard, root id.EventID) (bool, error) {
	ours := answerIDs(h.ID)
	for _, at := range slices.Compact([]id.EventID{h.ID, root}) {
		for from := ""; ; {
			related, err := b.client.GetRelations(ctx, h.Room, at, &mautrix.ReqGetRelations{Limit: 100, From: from})
			if errors.Is(err, mautrix.MNotFound) {
				break
			}
			if err != nil {
				return false, fmt.Errorf("looking for an answer to %s: %w", h.ID, err)
			}
			for _, evt := range related.Chunk {
				if evt.Sender == b.client.UserID && slices.Contains(ours, outboxID(evt)) {
					return true, nil
				}
			}
			if related.NextBatch == "" || related.NextBatch == from {
				break
			}
			from = related.NextBatch
		}
	}
	return false, nil
}
