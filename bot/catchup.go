package bot

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
)

// A homeserver that pushes does not push everything: Synapse keeps only the events of a transaction that was not taken, and lets
// go of its room keys and device lists. So an application service also asks, without waiting for news: when it becomes active, when
// something cannot be read, before it says that it has heard all, and this often: more often at first, while the homeserver may
// still take the bot for unreachable.
const (
	catchUpFirst = 2 * time.Second
	catchUpEvery = time.Minute
	// catchUpUnreached is for while the homeserver cannot reach the bot.
	catchUpUnreached = 5 * time.Second
)

// runPushed takes what the homeserver pushes until ctx ends.
func (s *syncer) runPushed(ctx context.Context) {
	regular := catchUpFirst
	for ctx.Err() == nil {
		err := s.catchUp(ctx)
		if err == nil {
			take := s.bot.take
			s.bot.intake.take.Store(&take)
			err = s.reachable(ctx)
		}
		s.note(err)
		wait := regular
		regular = min(2*regular, catchUpEvery)
		if err != nil && ctx.Err() == nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("What the homeserver has is not all heard")
			wait = catchUpUnreached
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.due:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// catchUp takes all the homeserver has by now.
func (s *syncer) catchUp(ctx context.Context) error {
	s.taking.Lock()
	defer s.taking.Unlock()
	return s.once(ctx)
}

// hurry has an application service catch up at once.
func (s *syncer) hurry() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// reachable has the homeserver reach for the bot. One that had given up pushing begins again then.
func (s *syncer) reachable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	quiet := zerolog.Nop()
	registration := s.bot.options.Registration
	_, err := s.bot.client.AppservicePing(quiet.WithContext(ctx), registration.ID, "")
	if err == nil || errors.Is(err, mautrix.MUnrecognized) {
		return nil
	}
	return fmt.Errorf("the homeserver cannot reach the bot at %s, the registration's url: %w", registration.URL, err)
}

// readBefore says whether an Olm message was read before: what an application service asks for was mostly pushed to it.
func (b *Bot) readBefore(ctx context.Context, evt *event.Event) bool {
	sealed, ok := evt.Content.Parsed.(*event.EncryptedEventContent)
	if !ok || b.options.Registration == nil {
		return false
	}
	mine, ok := sealed.OlmCiphertext[b.keys.machine.OwnIdentity().IdentityKey]
	if !ok {
		return false
	}
	raw, err := base64.RawStdEncoding.DecodeString(mine.Body)
	if err != nil {
		return false
	}
	at, err := b.keys.machine.CryptoStore.GetOlmHash(ctx, sha256.Sum256(raw))
	return err == nil && !at.IsZero()
}
