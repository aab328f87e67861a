package bot

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/olm"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// errNeedsKey says that an event can be read once a room key comes.
var errNeedsKey = errors.New("its key has not come")

// errTakenBack says that an event's content was removed before the bot read it.
var errTakenBack = errors.New("it was taken back")

// unreadableError says that an event can never be read.
type unreadableError struct{ cause error }

func (e *unreadableError) Error() string { return "it cannot be read: " + e.cause.Error() }
func (e *unreadableError) Unwrap() error { return e.cause }

// said is a journalled event in clear.
type said struct {
	*event.Event
	// Trusted says that it came from a device with enough trust, as only encryption can show.
	Trusted bool
}

// understand decrypts a journalled event if it is encrypted. It fails with errNeedsKey or an *unreadableError.
func (b *Bot) understand(ctx context.Context, h *heard) (*said, error) {
	evt, err := decode(h)
	if evt != nil && evt.Unsigned.RedactedBecause != nil {
		return nil, errTakenBack
	}
	if err != nil {
		return nil, err
	}
	if evt.Type != event.EventEncrypted {
		return &said{Event: evt}, nil
	}
	clear, err := b.decrypt(ctx, evt)
	if err != nil {
		return nil, err
	}
	// What is known of a sender whose devices changed since may hold no more: their keys may have been reset. And a device that is not
	// trusted may be new to us, or signed since we last looked, as when it verifies and at once asks again.
	trusted := clear.Mautrix.TrustState >= trustFloor
	if b.keys.outdated(ctx, h.Sender) || !trusted && b.devicesAsked.due(h.Sender, b.now()) {
		b.keys.RLock()
		err := b.keys.fetchDevices(ctx, []id.UserID{h.Sender})
		b.keys.RUnlock()
		switch {
		case err != nil && trusted:
			return nil, err
		case err != nil:
			zerolog.Ctx(ctx).Warn().Err(err).Msg("Devices of a sender cannot be asked for")
		default:
			if clear, err = b.decrypt(ctx, evt); err != nil {
				return nil, err
			}
		}
	}
	return &said{Event: clear, Trusted: clear.Mautrix.TrustState >= trustFloor}, nil
}

func decode(h *heard) (*event.Event, error) {
	var evt event.Event
	if err := json.Unmarshal(h.Raw, &evt); err != nil {
		return nil, &unreadableError{err}
	}
	evt.RoomID = h.Room
	evt.Type.Class = event.MessageEventType
	if err := evt.Content.ParseRaw(evt.Type); err != nil {
		return &evt, &unreadableError{err}
	}
	return &evt, nil
}

func (b *Bot) decrypt(ctx context.Context, evt *event.Event) (*event.Event, error) {
	b.keys.RLock()
	defer b.keys.RUnlock()
	clear, err := b.keys.machine.DecryptMegolmEvent(ctx, evt)
	switch {
	case err == nil:
		return clear, nil
	case errors.Is(err, crypto.ErrNoSessionFound), errors.Is(err, crypto.ErrGroupSessionWithheld), errors.Is(err, olm.ErrUnknownMessageIndex):
		return nil, errNeedsKey
	case errors.Is(err, crypto.ErrDuplicateMessageIndex), errors.Is(err, crypto.ErrCorruptedMegolmPayload), errors.Is(err, crypto.ErrWrongRoom),
		errors.Is(err, crypto.ErrIncorrectEncryptedContentType), errors.Is(err, crypto.ErrUnsupportedAlgorithm):
		return nil, &unreadableError{err}
	}
	return nil, err // the store failed, or it is malformed in a way that trying again will show
}

// askForKey asks the sender's device and the bot's own other devices for the key of an event.
func (b *Bot) askForKey(ctx context.Context, h *heard) {
	evt, err := decode(h)
	if err != nil {
		return
	}
	content, ok := evt.Content.Parsed.(*event.EncryptedEventContent)
	if !ok {
		return
	}
	device := id.DeviceID("*")
	if named, _ := evt.Content.Raw["device_id"].(string); named != "" {
		device = id.DeviceID(named)
	}
	b.keys.RLock()
	defer b.keys.RUnlock()
	err = b.keys.machine.SendRoomKeyRequest(ctx, h.Room, content.SenderKey, content.SessionID, "", map[id.UserID][]id.DeviceID{
		h.Sender: {device}, b.client.UserID: {"*"},
	})
	if err == nil {
		err = b.journal.keyAsked(ctx, h)
	}
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("Asking for a key failed")
	}
}

// askedLately remembers whom the homeserver was asked about, so that messages of an untrusted device do not ask for each.
type askedLately struct {
	mutex sync.Mutex
	at    map[id.UserID]time.Time
}

const askAgain = 5 * time.Second

func (a *askedLately) due(user id.UserID, now time.Time) bool {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if now.Sub(a.at[user]) < askAgain {
		return false
	}
	if a.at == nil || len(a.at) > 1000 {
		a.at = map[id.UserID]time.Time{}
	}
	a.at[user] = now
	return true
}
