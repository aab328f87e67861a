package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"
)

// patience is how long WaitFor waits when its context sets no limit.
const patience = 2 * time.Minute

// Transcript is every timeline event one person saw, in the order the server gave them.
type Transcript struct {
	who     id.UserID
	lock    sync.Mutex
	events  []Seen
	known   map[id.EventID]int
	changed chan struct{} // closed and replaced at every change
}

// NewTranscript is the empty transcript of a person.
func NewTranscript(who id.UserID) *Transcript {
	return &Transcript{who: who, known: map[id.EventID]int{}, changed: make(chan struct{})}
}

// Put adds an event, or puts a late decryption where its ciphertext stood.
func (t *Transcript) Put(seen Seen) {
	t.lock.Lock()
	defer t.lock.Unlock()
	at, known := t.known[seen.EventID]
	switch {
	case !known:
		t.known[seen.EventID] = len(t.events)
		t.events = append(t.events, seen)
	case t.events[at].Undecrypted:
		t.events[at] = seen
	default:
		return
	}
	t.announce()
}

func (t *Transcript) announce() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *Transcript) since(mark int) ([]Seen, <-chan struct{}) {
	t.lock.Lock()
	defer t.lock.Unlock()
	return slices.Clone(t.events[min(mark, len(t.events)):]), t.changed
}

// Predicate picks events.
type Predicate func(Seen) bool

// Seen returns everything seen so far, oldest first.
func (t *Transcript) Seen() []Seen {
	events, _ := t.since(0)
	return events
}

// Mark is a place in the transcript: now. Give it to WaitAfter or SeenAfter.
func (t *Transcript) Mark() int { return len(t.Seen()) }

// SeenAfter returns what was seen since the mark.
func (t *Transcript) SeenAfter(mark int) []Seen {
	events, _ := t.since(mark)
	return events
}

// WaitFor returns the first event of the whole transcript that all predicates accept, waiting for it if need be: as long
// as ctx allows, or 30 seconds if ctx sets no limit. The error lists the last events seen.
func (t *Transcript) WaitFor(ctx context.Context, predicates ...Predicate) (Seen, error) {
	return t.WaitAfter(ctx, 0, predicates...)
}

// WaitAfter is WaitFor among the events seen since the mark.
func (t *Transcript) WaitAfter(ctx context.Context, mark int, predicates ...Predicate) (Seen, error) {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	started := time.Now()
	for {
		events, changed := t.since(mark)
		for _, seen := range events {
			if All(predicates...)(seen) {
				return seen, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Seen{}, fmt.Errorf("%s waited %s and did not see it (%w); the last of %d events seen:\n%s",
				NameOf(t.who), time.Since(started).Round(time.Millisecond), ctx.Err(), len(events), lastOf(events))
		}
	}
}

func lastOf(events []Seen) string {
	var text strings.Builder
	for _, seen := range events[max(0, len(events)-20):] {
		fmt.Fprintf(&text, "  %s %s\n", seen.At.Format("15:04:05.000"), seen)
	}
	return text.String()
}

// All accepts what every predicate accepts.
func All(predicates ...Predicate) Predicate {
	return func(s Seen) bool {
		for _, accepts := range predicates {
			if !accepts(s) {
				return false
			}
		}
		return true
	}
}

// From accepts events of this sender.
func From(user id.UserID) Predicate { return func(s Seen) bool { return s.Sender == user } }

// In accepts events of this room.
func In(room id.RoomID) Predicate { return func(s Seen) bool { return s.Room == room } }

// Is accepts the event with this ID, once it is readable.
func Is(event id.EventID) Predicate {
	return func(s Seen) bool { return s.EventID == event && !s.Undecrypted }
}

// Contains accepts messages whose text has this in it.
func Contains(text string) Predicate {
	return func(s Seen) bool { return strings.Contains(s.Body, text) }
}

// InThread accepts messages of the thread that hangs on root.
func InThread(root id.EventID) Predicate { return func(s Seen) bool { return s.ThreadRoot == root } }

// Reacts accepts reactions with this key to this event; an emoji is the same with and without variation selector.
func Reacts(to id.EventID, key string) Predicate {
	return func(s Seen) bool { return s.ReactionTo == to && plainEmoji(s.Reaction) == plainEmoji(key) }
}

// Edits accepts edits of this event.
func Edits(event id.EventID) Predicate { return func(s Seen) bool { return s.EditOf == event } }

// Redacts accepts redactions of this event.
func Redacts(event id.EventID) Predicate { return func(s Seen) bool { return s.Redacts == event } }

func plainEmoji(key string) string { return strings.ReplaceAll(key, "\ufe0f", "") }
