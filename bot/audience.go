package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// errNobodyReads says that whom a message is for has no device that may read it.
var errNobodyReads = errors.New("whom it is for has no trusted device, so nobody could read it")

// audience is a Megolm session for one message in a room, of which only one person's trusted devices get the key. It lives in
// memory, for one attempt to encrypt; what is kept is the ciphertext. So no index of it is used twice, and the room's own session
// knows nothing of it.
type audience struct {
	session *crypto.OutboundGroupSession
}

type audienceKey struct{}

func audienceOf(ctx context.Context) *audience {
	found, _ := ctx.Value(audienceKey{}).(*audience)
	return found
}

// keyStore is mautrix's, with an audience's session in place of the room's outbound one where the context has an audience.
type keyStore struct {
	*crypto.SQLCryptoStore
}

func (s *keyStore) GetOutboundGroupSession(ctx context.Context, room id.RoomID) (*crypto.OutboundGroupSession, error) {
	if only := audienceOf(ctx); only != nil {
		return only.session, nil
	}
	return s.SQLCryptoStore.GetOutboundGroupSession(ctx, room)
}

func (s *keyStore) AddOutboundGroupSession(ctx context.Context, session *crypto.OutboundGroupSession) error {
	if audienceOf(ctx) != nil {
		return nil
	}
	return s.SQLCryptoStore.AddOutboundGroupSession(ctx, session)
}

func (s *keyStore) UpdateOutboundGroupSession(ctx context.Context, session *crypto.OutboundGroupSession) error {
	if audienceOf(ctx) != nil {
		return nil
	}
	return s.SQLCryptoStore.UpdateOutboundGroupSession(ctx, session)
}

// encryptOnly encrypts a message so that only the trusted devices of one person in its room can read it.
func (s *sender) encryptOnly(ctx context.Context, message *outgoing, plain json.RawMessage) (json.RawMessage, error) {
	s.bot.keys.RLock()
	defer s.bot.keys.RUnlock()
	ctx, err := s.bot.keys.gather(ctx, message.Room, message.Only)
	if err != nil {
		return nil, err
	}
	return s.ratchet(ctx, message, plain)
}

// gather gives the key of a new session to a person's trusted devices, and tells those of the others that it is not for them. What
// is encrypted with the context it returns uses that session. The caller shares the lock.
func (k *keys) gather(ctx context.Context, room id.RoomID, person id.UserID) (context.Context, error) {
	session, err := k.sessionOfOneMessage(ctx, room)
	if err != nil {
		return ctx, err
	}
	within := context.WithValue(ctx, audienceKey{}, &audience{session: session})
	k.fetching.Lock()
	defer k.fetching.Unlock()
	if err := k.machine.ShareGroupSession(within, room, []id.UserID{person}); err != nil {
		return ctx, fmt.Errorf("sharing the key of a message for %s: %w", person, err)
	}
	trusted := false
	for _, trust := range k.trustOf(ctx, person) {
		trusted = trusted || trust >= trustFloor
	}
	if !trusted {
		return ctx, errNobodyReads
	}
	k.withhold(ctx, session, person)
	return within, nil
}

// sessionOfOneMessage makes an outbound session that the machine can answer key requests for. Its readers' clients are not to pass it on
// to who joins later, whatever the room's history allows.
func (k *keys) sessionOfOneMessage(ctx context.Context, room id.RoomID) (*crypto.OutboundGroupSession, error) {
	session, err := crypto.NewOutboundGroupSession(room, nil, &event.HistoryVisibilityEventContent{HistoryVisibility: event.HistoryVisibilityJoined})
	if err != nil {
		return nil, fmt.Errorf("making a session for one message: %w", err)
	}
	own := k.machine.OwnIdentity()
	inbound, err := crypto.NewInboundGroupSession(own.IdentityKey, own.SigningKey, room, session.Internal.Key(),
		session.MaxAge, session.MaxMessages, session.SharedHistory, false)
	if err == nil {
		err = k.machine.StoreGroupSession(ctx, inbound)
	}
	if err != nil {
		return nil, fmt.Errorf("keeping the session of one message: %w", err)
	}
	return session, nil
}

// withhold tells the other devices in a room, as far as they are known, that a session is not for them, so that their clients say so
// instead of waiting for a key. Nothing depends on it.
func (k *keys) withhold(ctx context.Context, session *crypto.OutboundGroupSession, person id.UserID) {
	log := zerolog.Ctx(ctx)
	members, err := k.members(ctx, session.RoomID)
	if err != nil {
		log.Warn().Err(err).Msg("Who is not to read a message cannot be told")
		return
	}
	told := &mautrix.ReqSendToDevice{Messages: map[id.UserID]map[id.DeviceID]*event.Content{}}
	for _, member := range members {
		if member == person || member == k.client.UserID {
			continue
		}
		devices, err := k.machine.CryptoStore.GetDevices(ctx, member)
		if err != nil || len(devices) == 0 {
			continue
		}
		told.Messages[member] = map[id.DeviceID]*event.Content{}
		for device := range devices {
			told.Messages[member][device] = &event.Content{Parsed: &event.RoomKeyWithheldEventContent{
				RoomID: session.RoomID, Algorithm: id.AlgorithmMegolmV1, SessionID: session.ID(), SenderKey: k.machine.OwnIdentity().IdentityKey,
				Code: event.RoomKeyWithheldUnauthorized, Reason: "This message is for one person only",
			}}
		}
	}
	if len(told.Messages) == 0 {
		return
	}
	if _, err := k.client.SendToDevice(ctx, event.ToDeviceRoomKeyWithheld, told); err != nil {
		log.Warn().Err(err).Msg("Who is not to read a message could not be told")
	}
}
