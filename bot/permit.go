package bot

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

// permit claims the right to send a message, or says how long its room is to wait. Under limits the rooms take turns: the
// most urgent message first, and of equals the room that has been silent the longest.
func (s *sender) permit(ctx context.Context, message *outgoing) time.Duration {
	if message.State == stateSending {
		return s.pace.wait() // it may be there already; only looking tells
	}
	if s.pace.limited() {
		if wait := s.pace.wait(); wait > 0 {
			s.showTyping(ctx, message, wait)
			return wait
		}
		first, err := s.first(ctx)
		if err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("Outbox cannot be read")
			return time.Second
		}
		if first != "" && first != message.Room {
			s.bot.speaking.wake(first)
			return 100 * time.Millisecond
		}
	}
	if message.Rank >= notice {
		if wait := s.rooms.take(message.Room.String()); wait > 0 {
			return wait
		}
	}
	wait := s.pace.take()
	if wait == 0 {
		s.mutex.Lock()
		s.spoke[message.Room] = time.Now()
		s.mutex.Unlock()
	}
	return wait
}

// first is the room whose turn it is.
func (s *sender) first(ctx context.Context) (id.RoomID, error) {
	turns, err := s.bot.outbox.turns(ctx)
	if err != nil {
		return "", err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now := time.Now()
	var best turn
	for _, t := range turns {
		if s.held[t.room].After(now) {
			continue
		}
		if best.room == "" || s.before(t, best) {
			best = t
		}
	}
	return best.room, nil
}

func (s *sender) before(a, b turn) bool {
	switch {
	case a.rank != b.rank:
		return a.rank < b.rank
	case !s.spoke[a.room].Equal(s.spoke[b.room]):
		return s.spoke[a.room].Before(s.spoke[b.room])
	}
	return a.age < b.age
}

// hold notes that a room cannot speak for a while, so that others do not wait for it. What the homeserver asks of all is no
// reason of the room's own.
func (s *sender) hold(room id.RoomID, wait time.Duration) {
	if s.pace.wait() > 0 {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now := time.Now()
	for other, until := range s.held {
		if !until.After(now) {
			delete(s.held, other)
		}
	}
	s.held[room] = now.Add(wait)
}

// typingAfter is how long an answer must be held up by limits before the bot shows that it is coming.
const typingAfter = 500 * time.Millisecond

// showTyping shows that an answer is coming while the homeserver does not let it through: what shows typing is not limited as
// messages are. It does not matter if it fails.
func (s *sender) showTyping(ctx context.Context, message *outgoing, wait time.Duration) {
	if message.Rank > reply || wait < typingAfter {
		return
	}
	quiet := zerolog.Nop()
	ctx, cancel := context.WithTimeout(quiet.WithContext(ctx), 2*time.Second)
	defer cancel()
	_, _ = s.bot.client.UserTyping(ctx, message.Room, true, min(wait+2*time.Second, 30*time.Second))
}
