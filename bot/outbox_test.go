package bot

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

// queue is an outbox on a database of its own, with a clock that a test moves.
type queue struct {
	*outbox
	t     *testing.T
	clock *time.Time
	added int
}

func newQueue(t *testing.T) *queue {
	t.Helper()
	database, err := openDatabase(t.Context(), localtest.Database(t).Bot, new(atomic.Int64), zerolog.Nop())
	require.NoError(t, err)
	t.Cleanup(func() { database.Close() })
	clock := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	q := &queue{t: t, clock: &clock}
	q.outbox = &outbox{database: database, now: func() time.Time { return *q.clock }}
	return q
}

const hall = id.RoomID("!hall:example.org")

func (q *queue) put(urgency rank, text string, change ...func(*outgoing)) int64 {
	q.t.Helper()
	q.added++
	message := outgoing{
		Txn: "t" + strconv.Itoa(q.added), Room: hall, Rank: urgency, Type: event.EventMessage.Type, Content: words(text, nil),
	}
	for _, apply := range change {
		apply(&message)
	}
	row, err := q.add(q.t.Context(), message)
	require.NoError(q.t, err)
	return row
}

func (q *queue) edits(row int64, text string, change ...func(*outgoing)) int64 {
	q.t.Helper()
	return q.put(edit, text, append([]func(*outgoing){func(m *outgoing) { m.About, m.Content = row, replacing(m.Content) }}, change...)...)
}

func inThreadOf(root id.EventID) func(*outgoing) {
	return func(m *outgoing) { m.Content = inThread(m.Content, root, root) }
}

func bodyOf(message *outgoing) string {
	if fresh, ok := message.Content["m.new_content"].(map[string]any); ok {
		return "edit: " + fresh["body"].(string)
	}
	return message.Content["body"].(string)
}

// send sends what is next, and returns it; empty if nothing is due.
func (q *queue) send() string {
	q.t.Helper()
	message, _, err := q.next(q.t.Context(), hall)
	require.NoError(q.t, err)
	if message == nil {
		return ""
	}
	require.NoError(q.t, q.begin(q.t.Context(), message, ""))
	require.NoError(q.t, q.sent(q.t.Context(), message, id.EventID("$"+message.Txn)))
	return bodyOf(message)
}

func (q *queue) sendAll() (said []string) {
	for text := q.send(); text != ""; text = q.send() {
		said = append(said, text)
	}
	return said
}

func (q *queue) state(row int64) (state string) {
	require.NoError(q.t, q.database.QueryRow(q.t.Context(), `SELECT state FROM outbox WHERE id = $1`, row).Scan(&state))
	return state
}

func TestWhatIsUrgentGoesFirst(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	shown := q.put(notice, "tally 0")
	require.Equal(t, "tally 0", q.send())
	*q.clock = q.clock.Add(time.Minute)
	q.edits(shown, "tally 1")
	q.put(notice, "a step")
	q.put(reply, "an answer")
	q.put(wakeUp, "a refusal")
	q.put(notice, "another step")
	require.Equal(t, []string{"a refusal", "an answer", "a step", "another step", "edit: tally 1"}, q.sendAll())
}

func TestUrgencyNeverTurnsTheOrderOfAThreadAround(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	q.put(notice, "elsewhere")
	q.put(reply, "queued", inThreadOf("$asked"))
	q.put(notice, "P-1 passed", inThreadOf("$asked"))
	q.put(notice, "running", inThreadOf("$asked"))
	q.put(wakeUp, "done", inThreadOf("$asked"))
	q.put(reply, "an answer", inThreadOf("$other"))
	require.Equal(t, []string{"queued", "P-1 passed", "running", "done", "an answer", "elsewhere"}, q.sendAll())
}

func TestWhatAMessageIsAboutGoesAsUrgently(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	q.put(notice, "elsewhere")
	root := q.put(notice, "running")
	q.put(wakeUp, "done", func(m *outgoing) { m.About, m.Content = root, inThread(m.Content, "", "") })
	require.Equal(t, []string{"running", "done", "elsewhere"}, q.sendAll())
}

func TestOfManyEditsOnlyTheLastIsSentAndNoneWithinASecond(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	shown := q.put(notice, "0 %")
	q.send()
	for done := range 5 {
		q.edits(shown, strconv.Itoa(done*10)+" %")
	}
	require.Empty(t, q.sendAll(), "not within a second of the message")
	*q.clock = q.clock.Add(editSpacing)
	require.Equal(t, []string{"edit: 40 %"}, q.sendAll())
	q.edits(shown, "50 %")
	*q.clock = q.clock.Add(editSpacing - time.Millisecond)
	require.Empty(t, q.sendAll())
	*q.clock = q.clock.Add(time.Millisecond)
	require.Equal(t, []string{"edit: 50 %"}, q.sendAll())
}

func TestAnEditTheHomeserverRefusedIsDroppedForANewerOne(t *testing.T) {
	t.Parallel()
	for name, newer := range map[string]bool{"queued before the refusal": true, "queued after it": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newQueue(t)
			shown := q.put(notice, "0 %")
			q.send()
			*q.clock = q.clock.Add(time.Minute)
			old := q.edits(shown, "10 %")
			refused, _, err := q.next(t.Context(), hall)
			require.NoError(t, err)
			require.NoError(t, q.begin(t.Context(), refused, "ciphertext"))
			if newer {
				q.edits(shown, "20 %")
			}
			require.NoError(t, q.later(t.Context(), refused, 0, "slow down"))
			if !newer {
				q.edits(shown, "20 %")
			}
			*q.clock = q.clock.Add(time.Minute)
			require.Equal(t, []string{"edit: 20 %"}, q.sendAll())
			require.Equal(t, stateDropped, q.state(old))
		})
	}
}

func TestAnEditOfWhatWasNotSentYetIsWrittenIntoIt(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	shown := q.put(notice, "0 %", inThreadOf("$asked"))
	read, _, err := q.next(t.Context(), hall)
	require.NoError(t, err)
	q.edits(shown, "10 %")
	require.ErrorIs(t, q.begin(t.Context(), read, "old ciphertext"), errOvertaken, "what was read before is not sent")
	q.edits(shown, "20 %")
	message, _, err := q.next(t.Context(), hall)
	require.NoError(t, err)
	require.Equal(t, "$asked", message.Content["m.relates_to"].(map[string]any)["event_id"], "it stays in its thread")
	require.Equal(t, []string{"20 %"}, q.sendAll(), "one event instead of three")
}

func TestEditsOfOneMessageGetRarerAndTheLastIsSentAllTheSame(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	shown := q.put(notice, "0")
	q.send()
	began, sent := *q.clock, 0
	for step := range 24 * 60 { // a day of progress, each minute
		*q.clock = began.Add(time.Duration(step+1) * time.Minute)
		if step < 150 {
			*q.clock = began.Add(time.Duration(step+1) * editSpacing)
		}
		q.edits(shown, strconv.Itoa(step))
		sent += len(q.sendAll())
	}
	require.Less(t, sent, editsQuick+10*editsStep+30)
	q.edits(shown, "closed", func(m *outgoing) { m.Last = true })
	*q.clock = q.clock.Add(editSpacing)
	require.Equal(t, []string{"edit: closed"}, q.sendAll())
}

func TestAMessageThatWasPutOffIsNotOvertakenInItsRoom(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	q.put(notice, "first")
	message, _, err := q.next(t.Context(), hall)
	require.NoError(t, err)
	require.NoError(t, q.later(t.Context(), message, 2*time.Second, "the keys could not be asked for"))
	q.put(notice, "second")
	_, wait, err := q.next(t.Context(), hall)
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, wait)
	require.Empty(t, q.sendAll())
	*q.clock = q.clock.Add(2 * time.Second)
	require.Equal(t, []string{"first", "second"}, q.sendAll())
}

func TestWhatIsWithdrawnAfterARefusalIsNotSent(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	row := q.put(notice, "an hourglass")
	message, _, err := q.next(t.Context(), hall)
	require.NoError(t, err)
	require.NoError(t, q.begin(t.Context(), message, ""))
	require.NoError(t, q.later(t.Context(), message, 0, "slow down"))
	require.NoError(t, q.withdraw(context.WithoutCancel(t.Context()), message))
	require.Equal(t, stateDropped, q.state(row))
	require.Empty(t, q.sendAll())
}

func TestRoomsTakeTurnsByUrgencyAndThenBySilence(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	in := func(room id.RoomID) func(*outgoing) { return func(m *outgoing) { m.Room = room } }
	for range 3 {
		q.put(notice, "flood", in("!loud"))
	}
	q.put(notice, "one", in("!calm"))
	s := newSender(&Bot{outbox: q.outbox})
	next := func() id.RoomID {
		room, err := s.first(t.Context())
		require.NoError(t, err)
		s.spoke[room] = time.Now()
		return room
	}
	require.Equal(t, id.RoomID("!loud"), next(), "it was first")
	require.Equal(t, id.RoomID("!calm"), next(), "the other had its turn")
	q.put(reply, "answer", in("!late"))
	require.Equal(t, id.RoomID("!late"), next())
	s.held["!late"] = time.Now().Add(time.Minute)
	require.NotEqual(t, id.RoomID("!late"), next(), "nobody waits for a room that cannot speak")
}

func TestUnderLimitsOfADispatchOnlyTheNewestNewsAndAllThatRingsIsSaid(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	about := func(dispatch string) func(*outgoing) { return func(m *outgoing) { m.Topic = dispatchRef(dispatch) } }
	rings := func(m *outgoing) {
		m.Content = inThread(words("failed", []id.UserID{"@ada:example.org"}), "$asked", "$asked")
	}
	dropStale := func() { require.NoError(t, q.dropStale(t.Context(), hall)) }

	shown := q.put(notice, "first run", inThreadOf("$asked"), about("D-1"))
	require.Equal(t, "first run", q.send())
	q.edits(shown, "half way")
	q.put(notice, "queued", inThreadOf("$asked"), about("D-1"))
	q.put(notice, "elsewhere", about("D-2"))
	q.put(wakeUp, "failed", rings, about("D-1"))
	q.put(notice, "running", inThreadOf("$asked"), about("D-1"))
	q.put(notice, "no dispatch's")
	q.put(wakeUp, "done", inThreadOf("$asked"), about("D-1"))
	dropStale()
	*q.clock = q.clock.Add(time.Minute)
	said := q.sendAll()
	require.Len(t, said, 4, "%q", said)
	require.Contains(t, said[0], "failed", "what rings is said")
	require.Equal(t, []string{"done", "elsewhere", "no dispatch's"}, said[1:])

	root := q.put(notice, "running", about("D-3"))
	q.put(wakeUp, "done", about("D-3"), func(m *outgoing) { m.About, m.Content = root, inThread(m.Content, "", "") })
	dropStale()
	require.Equal(t, []string{"running", "done"}, q.sendAll(), "a thread keeps its root")

	last := q.put(notice, "running", about("D-4"))
	unsent := q.put(notice, "failed to send", about("D-4"))
	require.NoError(t, q.giveUp(t.Context(), unsent, "failed", "too large"))
	dropStale()
	require.Equal(t, "queued", q.state(last), "nothing newer will be said")
}
