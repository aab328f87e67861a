package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// settling is how long an attempt without an answer may still be at work in the homeserver.
const settling = time.Second

// sender speaks: it sends each room's outbox in order and knows for each message whether it was sent.
type sender struct {
	bot   *Bot
	pace  *pace
	rooms *roomPace

	mutex sync.Mutex
	spoke map[id.RoomID]time.Time // when a room last spoke under limits
	held  map[id.RoomID]time.Time // until when a room cannot speak for a reason of its own
}

func newSender(b *Bot) *sender {
	return &sender{
		bot: b, pace: newPace(time.Now), rooms: newRoomPace(time.Now), spoke: map[id.RoomID]time.Time{}, held: map[id.RoomID]time.Time{},
	}
}

// speak sends what is due in a room and says when more will be.
func (s *sender) speak(ctx context.Context, room id.RoomID) time.Duration {
	ctx = zerolog.Ctx(ctx).With().Stringer("room_id", room).Logger().WithContext(ctx)
	for ctx.Err() == nil {
		if s.pace.limited() { // no message can be spared for what is no news any more
			if err := s.bot.outbox.dropStale(ctx, room); err != nil {
				zerolog.Ctx(ctx).Warn().Err(err).Msg("Outbox cannot be written")
				return time.Second
			}
		}
		message, wait, err := s.bot.outbox.next(ctx, room)
		if err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("Outbox cannot be read")
			return time.Second
		}
		if message == nil {
			return wait
		}
		if wait := s.permit(ctx, message); wait > 0 {
			return wait
		}
		if wait := s.deliver(ctx, message); wait > 0 {
			s.hold(room, wait)
			s.showTyping(ctx, message, s.pace.wait())
			return wait
		}
	}
	return 0
}

// deliver brings one message a step on; a wait says that the room's next step is later.
func (s *sender) deliver(ctx context.Context, message *outgoing) time.Duration {
	log := zerolog.Ctx(ctx).With().Int64("outbox_id", message.ID).Str("txn_id", message.Txn).Logger()
	if message.About != 0 && message.AboutState != stateSent {
		s.report(log, s.bot.outbox.giveUp(ctx, message.ID, stateDropped, "what it is about was not sent"))
		return 0
	}
	if message.State == stateSending {
		if wait := time.Until(message.Attempted.Add(settling)); wait > 0 {
			return wait
		}
		found, err := s.find(ctx, message)
		if err != nil {
			log.Warn().Err(err).Msg("It cannot be told yet whether a message was sent")
			return time.Second
		}
		if found {
			return 0
		}
	}
	if message.AboutEvent != "" {
		resolve(message.Content, message.AboutEvent)
	}
	body, kind, err := s.encode(ctx, message)
	if err != nil {
		return s.undelivered(ctx, log, message, err)
	}
	fault("send.encrypted")
	sent, err := s.put(ctx, message, kind, body)
	if err != nil {
		return s.undelivered(ctx, log, message, err)
	}
	s.pace.taken()
	fault("send.answered")
	record, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.bot.outbox.sent(record, message, sent); err != nil {
		log.Warn().Err(err).Msg("Sent, but not recorded yet; the sync will tell")
		return 500 * time.Millisecond
	}
	s.bot.metrics.sent.Inc()
	return 0
}

// find looks for the event of an attempt that got no answer. What the sync has passed it has recognised; the rest is looked at.
func (s *sender) find(ctx context.Context, message *outgoing) (bool, error) {
	recent, err := s.bot.syncer.look(ctx, message.Room)
	if err != nil {
		return false, err
	}
	for _, evt := range recent {
		if !s.bot.ours(evt.Sender) {
			continue
		}
		if err := s.bot.recognise(ctx, message.Room, evt, &commitment{}); err != nil {
			return false, err
		}
	}
	return s.bot.outbox.isSent(ctx, message.ID)
}

func (s *sender) report(log zerolog.Logger, err error) {
	if err != nil {
		log.Warn().Err(err).Msg("Outbox cannot be written")
	}
}

// errOtherSpeaker says that an agent's words cannot be changed any more, since their room was encrypted meanwhile.
var errOtherSpeaker = errors.New("an agent said it, and the room was encrypted since")

var errNotEncrypted = errors.New("the room is not encrypted, and the bot does not speak in clear; encrypt the room")

// encode returns the bytes to send, the same on every attempt, having noted the attempt.
func (s *sender) encode(ctx context.Context, message *outgoing) (json.RawMessage, event.Type, error) {
	if message.Type != event.EventMessage.Type && message.Type != event.EventUnstablePollStart.Type { // reactions and redactions are in clear by protocol
		if message.replaces() {
			message.Speaker = message.AboutSpeaker
		}
		return s.inClear(ctx, message)
	}
	if message.Ciphertext != "" {
		return json.RawMessage(message.Ciphertext), event.EventEncrypted, s.bot.outbox.begin(ctx, message, message.Ciphertext)
	}
	clear := false
	if err := s.bot.mustBeEncrypted(ctx, message.Room); errors.Is(err, errNotEncrypted) && s.bot.optional(ctx, message.Room) {
		clear = true
	} else if err != nil {
		return nil, event.Type{}, err
	}
	speaker, err := s.speakerOf(ctx, message, clear)
	if err != nil {
		return nil, event.Type{}, err
	}
	if speaker != "" && !clear {
		return nil, event.Type{}, errOtherSpeaker
	}
	message.Speaker = speaker
	if err := s.bot.keys.refreshDevices(ctx); err != nil {
		return nil, event.Type{}, err
	}
	if err := s.upload(ctx, message); err != nil {
		return nil, event.Type{}, err
	}
	if speaker == "" {
		message.Content = named(message)
	}
	if err := s.bot.hush(ctx, message); err != nil {
		return nil, event.Type{}, err
	}
	if clear {
		return s.inClear(ctx, message)
	}
	body, err := s.encrypt(ctx, message)
	return body, event.EventEncrypted, err
}

func (s *sender) inClear(ctx context.Context, message *outgoing) (json.RawMessage, event.Type, error) {
	message.Content[outboxKey] = message.Txn
	body, err := json.Marshal(message.Content)
	if err != nil {
		return nil, event.Type{}, fmt.Errorf("encoding a message: %w", err)
	}
	return body, event.NewEventType(message.Type), s.bot.outbox.begin(ctx, message, "")
}

// mustBeEncrypted asks the homeserver before it believes that a room is not encrypted.
func (b *Bot) mustBeEncrypted(ctx context.Context, room id.RoomID) error {
	encrypted, err := b.keys.rooms.IsEncrypted(ctx, room)
	if err != nil {
		return fmt.Errorf("reading whether the room is encrypted: %w", err)
	}
	if encrypted {
		return nil
	}
	if _, err := b.keys.state(ctx, room); err != nil {
		return fmt.Errorf("asking whether the room is encrypted: %w", err)
	}
	if encrypted, err = b.keys.rooms.IsEncrypted(ctx, room); err != nil {
		return fmt.Errorf("reading whether the room is encrypted: %w", err)
	}
	if !encrypted {
		return errNotEncrypted
	}
	return nil
}

// encrypt makes a message's ciphertext, having shared the room's key with those who are to read it.
func (s *sender) encrypt(ctx context.Context, message *outgoing) (json.RawMessage, error) {
	plain, err := json.Marshal(message.Content)
	if err != nil {
		return nil, fmt.Errorf("encoding a message: %w", err)
	}
	if message.Only != "" {
		return s.encryptOnly(ctx, message, plain)
	}
	s.bot.keys.RLock()
	defer s.bot.keys.RUnlock()
	body, err := s.ratchet(ctx, message, plain)
	if !crypto.IsShareError(err) {
		return body, err
	}
	if err := s.bot.keys.share(ctx, message.Room); err != nil {
		return nil, err
	}
	return s.ratchet(ctx, message, plain)
}

// ratchet advances the session and stores the ciphertext in one transaction, so that no message index is used twice.
func (s *sender) ratchet(ctx context.Context, message *outgoing, plain json.RawMessage) (body json.RawMessage, err error) {
	err = transaction(ctx, s.bot.database, func(ctx context.Context) error {
		encrypted, err := s.bot.keys.machine.EncryptMegolmEvent(ctx, message.Room, event.NewEventType(message.Type), plain)
		if err != nil {
			return err
		}
		if body, err = withOutboxID(encrypted, message.Txn); err != nil {
			return err
		}
		return s.bot.outbox.begin(ctx, message, string(body))
	})
	return body, err
}

func withOutboxID(encrypted *event.EncryptedEventContent, txn string) (json.RawMessage, error) {
	raw, err := json.Marshal(encrypted)
	if err != nil {
		return nil, fmt.Errorf("encoding a ciphertext: %w", err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("reading back a ciphertext: %w", err)
	}
	fields[outboxKey] = json.RawMessage(strconv.Quote(txn))
	return json.Marshal(fields)
}

// resolve fills in the event that a message is about, which was not known when it was queued.
func resolve(content map[string]any, about id.EventID) {
	relation, ok := content["m.relates_to"].(map[string]any)
	if !ok {
		return
	}
	relation["event_id"] = about
	if answered, ok := relation["m.in_reply_to"].(map[string]any); ok {
		answered["event_id"] = about
	}
}

func (s *sender) put(ctx context.Context, message *outgoing, kind event.Type, body json.RawMessage) (id.EventID, error) {
	quiet := zerolog.Nop() // the client would log a failed request whole; the sender says what failed
	ctx, cancel := context.WithTimeout(quiet.WithContext(ctx), 30*time.Second)
	defer cancel()
	client, err := s.bot.clientOf(message.Speaker)
	if err != nil {
		return "", err
	}
	if message.Type == event.EventRedaction.Type {
		response, err := client.RedactEvent(ctx, message.Room, message.AboutEvent, mautrix.ReqRedact{
			TxnID: message.Txn, Extra: map[string]any{outboxKey: message.Txn},
		})
		if err != nil {
			return "", err
		}
		return response.EventID, nil
	}
	response, err := client.SendMessageEvent(ctx, message.Room, kind, body, mautrix.ReqSendEvent{TransactionID: message.Txn, DontEncrypt: true})
	if err != nil {
		return "", err
	}
	return response.EventID, nil
}

// undelivered sorts a failure: not taken (later), never to be taken (failed), or unknown (the sync will tell).
func (s *sender) undelivered(ctx context.Context, log zerolog.Logger, message *outgoing, failure error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	if !errors.Is(failure, errOvertaken) {
		log.Warn().Err(failure).Int("attempts", message.Attempts+1).Msg("Message not delivered yet")
	}
	var answer mautrix.HTTPError
	answered := errors.As(failure, &answer) && answer.Response != nil
	switch {
	case errors.Is(failure, errOvertaken):
		return 0
	case errors.Is(failure, errNobodyReads):
		s.report(log, s.bot.outbox.giveUp(ctx, message.ID, stateDropped, failure.Error()))
		return 0
	case errors.Is(failure, errOtherSpeaker):
		s.report(log, s.bot.outbox.giveUp(ctx, message.ID, stateDropped, failure.Error()))
		return 0
	case message.Speaker != "" && !message.replaces() && errors.Is(failure, mautrix.MForbidden): // it was put out of the room
		s.bot.agents.left(message.Speaker, message.Room)
		s.report(log, s.bot.outbox.later(ctx, message, time.Second, failure.Error()))
		return time.Second
	case message.Speaker != "" && errors.Is(failure, mautrix.MForbidden): // nobody else may change what it said; its next words the bot says
		s.report(log, s.bot.outbox.giveUp(ctx, message.ID, stateDropped, failure.Error()))
		return 0
	case errors.Is(failure, errNotUploaded):
		s.report(log, s.bot.outbox.giveUp(ctx, message.ID, "failed", failure.Error()))
		return 0
	case errors.Is(failure, errNotEncrypted):
		s.bot.metrics.refusedPlaintext.Inc()
		s.report(log, s.bot.outbox.giveUp(ctx, message.ID, "failed", failure.Error()))
		return 0
	case answered && answer.Response.StatusCode == http.StatusTooManyRequests:
		wait := retryAfter(answer)
		spacing, burst := s.pace.refused(wait)
		s.bot.metrics.limited.Inc()
		s.report(log, s.bot.outbox.later(ctx, message, 0, failure.Error()))
		s.report(log, s.bot.keepLimits(ctx, spacing, burst))
		return wait
	case message.State != stateSending:
		return s.postpone(ctx, log, message, failure) // it failed before anything of it was sent
	case unanswered(failure):
		s.report(log, s.bot.outbox.unsure(ctx, message, failure.Error()))
		return backoff(message.Attempts)
	case answered && answer.Response.StatusCode == http.StatusUnauthorized:
		return s.postpone(ctx, log, message, failure)
	case answered:
		s.report(log, s.bot.outbox.giveUp(ctx, message.ID, "failed", failure.Error()))
		return 0
	}
	s.report(log, s.bot.outbox.unsure(ctx, message, failure.Error()))
	return backoff(message.Attempts)
}

func (s *sender) postpone(ctx context.Context, log zerolog.Logger, message *outgoing, failure error) time.Duration {
	wait := backoff(message.Attempts)
	s.report(log, s.bot.outbox.postpone(ctx, message, wait, failure.Error()))
	return wait
}

func backoff(attempts int) time.Duration {
	return min(500*time.Millisecond<<min(attempts, 10), 15*time.Second)
}

// retryAfter reads how long to be silent: the body's milliseconds, the header's seconds, or a second.
func retryAfter(answer mautrix.HTTPError) time.Duration {
	wait := time.Duration(0)
	if answer.RespError != nil {
		if millis, ok := answer.RespError.ExtraData["retry_after_ms"].(float64); ok {
			wait = time.Duration(millis) * time.Millisecond
		}
	}
	header := answer.Response.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(header); err == nil {
		wait = max(wait, time.Duration(seconds)*time.Second)
	} else if at, err := http.ParseTime(header); err == nil {
		wait = max(wait, time.Until(at))
	}
	if wait <= 0 {
		return time.Second
	}
	return min(wait, longestSilence)
}
