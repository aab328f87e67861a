package bot

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// outboxKey holds the transaction ID of an event in its clear content, beside the ciphertext in encrypted rooms, so that
// the bot knows its own event again when the answer to its sending was lost.
const outboxKey = "dev.mosaicstack.outbox"

// rank is the order in which a room's messages go out when not all can.
type rank int16

const (
	wakeUp rank = 1 + iota
	reply
	notice
	edit
)

// Edits of one message are at least editSpacing apart, and editSlowSpacing once there were editsQuick of them; after each
// editsStep more that doubles, up to editSlowest, since clients read all edits of a message they show.
const (
	editSpacing     = time.Second
	editSlowSpacing = 30 * time.Second
	editSlowest     = time.Hour
	editsQuick      = 100
	editsStep       = 20
)

// outgoing is one event to be sent, once.
type outgoing struct {
	ID      int64
	Txn     string
	Room    id.RoomID
	Rank    rank
	Type    string
	Content map[string]any
	// About is the outbox row whose event this one edits, reacts to, answers or redacts; it goes first.
	About int64
	// Ref names what the row is for, so that a later event finds it again.
	Ref string
	// Topic names what it tells the present state of, so that under limits only the newest words about it are said; empty is nothing.
	Topic string

	// Only is the one person whose trusted devices are to read it; empty is everyone's in the room.
	Only id.UserID
	// Agent is the agent whose words they are; empty is the bot.
	Agent string
	// Last has an edit go out soon however many there were.
	Last bool

	State      string
	Attempts   int
	NotBefore  time.Time
	raw        string
	Ciphertext string
	Attempted  time.Time
	AboutEvent id.EventID
	AboutState string
	// Speaker is the user who sends it, and AboutSpeaker who sent what it is about; empty is the bot.
	Speaker      id.UserID
	AboutSpeaker id.UserID
}

// replaces says whether it changes or takes back what it is about, which only that one's sender may.
func (m *outgoing) replaces() bool {
	relation, _ := m.Content["m.relates_to"].(map[string]any)
	return m.Type == event.EventRedaction.Type || relation["rel_type"] == string(event.RelReplace)
}

// txnID derives a transaction ID from what caused the message, so that causing it again cannot send it again.
func txnID(cause ...string) string {
	hash := sha256.New()
	for _, part := range cause {
		fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	return "mosaic-" + base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:18])
}

// outbox keeps what is to be said until it is known to be said.
type outbox struct {
	database *dbutil.Database
	now      func() time.Time
}

// add queues a message, in the caller's transaction. It returns the row's ID; a message queued before keeps its row.
func (o *outbox) add(ctx context.Context, message outgoing) (int64, error) {
	room, err := o.movedTo(ctx, message.Room)
	if err != nil {
		return 0, err
	}
	lost := room != message.Room && !forward(&message, room)
	content, err := json.Marshal(message.Content)
	if err != nil {
		return 0, fmt.Errorf("encoding a message: %w", err)
	}
	notBefore, state, reason := o.now().UTC(), "queued", ""
	if lost {
		state, reason = stateDropped, "its room was replaced"
	} else if message.Rank == edit {
		if notBefore, err = o.spaced(ctx, message, notBefore); err != nil {
			return 0, err
		}
		if written, err := o.rewrite(ctx, message); err != nil {
			return 0, err
		} else if written {
			state, reason = stateDropped, "written into the message itself, which was not sent yet"
		}
	} else if err := o.hurry(ctx, message); err != nil {
		return 0, err
	}
	var row int64
	err = o.database.QueryRow(ctx, `
		INSERT INTO outbox (txn_id, room_id, rank, type, content, about, ref, not_before, created_at, thread, state, reason, only_for, agent, topic)
		VALUES ($1, $2, $3, $4, $5, nullif($6::bigint, 0), $7, $8, $9, $10, $11, nullif($12, ''), $13, $14, $15)
		ON CONFLICT (txn_id) DO UPDATE SET txn_id = excluded.txn_id RETURNING id`,
		message.Txn, message.Room, message.Rank, message.Type, string(content), message.About, message.Ref, notBefore, o.now().UTC(),
		threadIn(message), state, reason, message.Only, message.Agent, message.Topic).Scan(&row)
	if err != nil {
		return 0, fmt.Errorf("queueing a message: %w", err)
	}
	return row, nil
}

// threadIn is the thread a message stands in: its root's event, or the outbox row that becomes it; empty is none.
func threadIn(message outgoing) string {
	relation, _ := message.Content["m.relates_to"].(map[string]any)
	if relation == nil || relation["rel_type"] != string(event.RelThread) {
		return ""
	}
	if root := fmt.Sprint(relation["event_id"]); root != "" {
		return root
	}
	return "row:" + strconv.FormatInt(message.About, 10)
}

// hurry makes what has to be said before message, earlier words of its thread and what it is about, as urgent as it is, so that
// urgency never turns a thread's order around.
func (o *outbox) hurry(ctx context.Context, message outgoing) error {
	_, err := o.database.Exec(ctx, `UPDATE outbox SET rank = $1 WHERE room_id = $2 AND state = 'queued' AND rank > $1 AND rank <> $5
		AND (id = $3 OR thread = nullif($4, ''))`, message.Rank, message.Room, message.About, threadIn(message), edit)
	if err != nil {
		return fmt.Errorf("hurrying what goes before a message: %w", err)
	}
	return nil
}

// rewrite puts an edit into the message it is about while that waits to be sent, which saves an event.
func (o *outbox) rewrite(ctx context.Context, message outgoing) (bool, error) {
	fresh, _ := message.Content["m.new_content"].(map[string]any)
	if fresh == nil {
		return false, nil
	}
	var before string
	err := o.database.QueryRow(ctx, `SELECT content FROM outbox WHERE id = $1 AND state = 'queued' FOR UPDATE`, message.About).Scan(&before)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	var content map[string]any
	if err == nil {
		err = json.Unmarshal([]byte(before), &content)
	}
	if err != nil {
		return false, fmt.Errorf("reading a message that waits: %w", err)
	}
	replaced := maps.Clone(fresh)
	if relation, related := content["m.relates_to"]; related {
		replaced["m.relates_to"] = relation
	}
	after, err := json.Marshal(replaced)
	if err != nil {
		return false, fmt.Errorf("encoding a message: %w", err)
	}
	result, err := o.database.Exec(ctx, `UPDATE outbox SET content = $2, ciphertext = NULL WHERE id = $1 AND state = 'queued'`, message.About, string(after))
	if err != nil {
		return false, fmt.Errorf("writing a message anew: %w", err)
	}
	count, err := result.RowsAffected()
	return count > 0, err
}

// rewritten keeps a queued message's content anew, unless the message was overtaken.
func (o *outbox) rewritten(ctx context.Context, message *outgoing, content map[string]any) error {
	raw, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("encoding a message: %w", err)
	}
	result, err := o.database.Exec(ctx, `UPDATE outbox SET content = $2 WHERE id = $1 AND state = 'queued' AND content = $3`, message.ID, string(raw), message.raw)
	if err != nil {
		return fmt.Errorf("writing a message anew: %w", err)
	}
	if count, err := result.RowsAffected(); err != nil {
		return fmt.Errorf("writing a message anew: %w", err)
	} else if count == 0 {
		return errOvertaken
	}
	message.raw = string(raw)
	return nil
}

// dropStale drops what a room has not begun to say and has newer words about: of a topic all notices but the newest, and the edits of
// such. What rings someone is said however late, and so is what others hang on.
func (o *outbox) dropStale(ctx context.Context, room id.RoomID) error {
	_, err := o.database.Exec(ctx, `UPDATE outbox o SET state = 'dropped', reason = 'superseded'
		FROM outbox told WHERE told.id = CASE o.rank WHEN $2 THEN o.about ELSE o.id END AND told.topic <> ''
		  AND o.room_id = $1 AND o.state = 'queued' AND o.content::jsonb ->> 'msgtype' = $3
		  AND EXISTS (SELECT 1 FROM outbox newer WHERE newer.topic = told.topic AND newer.room_id = o.room_id AND newer.id > o.id
		    AND newer.state IN ('queued', 'sending', 'sent'))
		  AND NOT EXISTS (SELECT 1 FROM outbox other WHERE other.about = o.id AND other.state = 'queued' AND other.rank <> $2)`,
		room, edit, string(event.MsgNotice))
	if err != nil {
		return fmt.Errorf("dropping what is no news any more: %w", err)
	}
	return nil
}

// spaced drops the edits that message supersedes and says when it may go out.
func (o *outbox) spaced(ctx context.Context, message outgoing, now time.Time) (time.Time, error) {
	_, err := o.database.Exec(ctx, `UPDATE outbox SET state = 'dropped', reason = 'superseded'
		WHERE about = $1 AND rank = $2 AND state = 'queued' AND txn_id <> $3`, message.About, edit, message.Txn)
	if err != nil {
		return now, fmt.Errorf("dropping superseded edits: %w", err)
	}
	var last sql.NullTime
	var count int
	err = o.database.QueryRow(ctx, `SELECT max(coalesce(sent_at, attempted_at)), count(*) FROM outbox
		WHERE (about = $1 AND rank = $2 OR id = $1) AND state IN ('sent', 'sending')`, message.About, edit).Scan(&last, &count)
	if err != nil {
		return now, fmt.Errorf("reading the last edit: %w", err)
	}
	spacing := editSpacing
	if count > editsQuick && !message.Last {
		spacing = min(editSlowSpacing<<min((count-editsQuick)/editsStep, 8), editSlowest)
	}
	if earliest := last.Time.Add(spacing); last.Valid && earliest.After(now) {
		return earliest.UTC(), nil
	}
	return now, nil
}

const selectOutgoing = `
	SELECT o.id, o.txn_id, o.room_id, o.rank, o.type, o.content, coalesce(o.about, 0), o.ref, o.state, o.attempts, o.not_before,
	       coalesce(o.ciphertext, ''), o.attempted_at, coalesce(a.event_id, ''), coalesce(a.state, ''), o.only_for, o.agent, o.speaker, coalesce(a.speaker, '')
	FROM outbox o LEFT JOIN outbox a ON a.id = o.about `

func scanOutgoing(row dbutil.Scannable) (*outgoing, error) {
	var message outgoing
	var attempted sql.NullTime
	err := row.Scan(&message.ID, &message.Txn, &message.Room, &message.Rank, &message.Type, &message.raw, &message.About, &message.Ref, &message.State,
		&message.Attempts, &message.NotBefore, &message.Ciphertext, &attempted, &message.AboutEvent, &message.AboutState, &message.Only,
		&message.Agent, &message.Speaker, &message.AboutSpeaker)
	if err != nil {
		return nil, err
	}
	message.Attempted = attempted.Time
	if err := json.Unmarshal([]byte(message.raw), &message.Content); err != nil {
		return nil, fmt.Errorf("reading queued message %d: %w", message.ID, err)
	}
	return &message, nil
}

// sayable are the rows that may be said now, or hold up the others of their room until they may. What was put off holds up
// what came after it, for some minutes; an edit that is not due does not, and nothing goes before what it is about.
const sayable = `o.state IN ('queued', 'sending') AND (o.rank <> 4 AND o.attempts < 20 OR o.state = 'sending' OR o.not_before <= $1)
	AND (o.about IS NULL OR a.state IN ('sent', 'dropped', 'failed'))`

// next returns what goes out next in a room: what was begun first, then by rank and age. With nothing due, it returns when
// something will be; zero is never.
func (o *outbox) next(ctx context.Context, room id.RoomID) (*outgoing, time.Duration, error) {
	now := o.now().UTC()
	message, err := scanOutgoing(o.database.QueryRow(ctx, selectOutgoing+`
		WHERE `+sayable+` AND o.room_id = $2 ORDER BY o.state = 'sending' DESC, o.rank, o.id LIMIT 1`, now, room))
	if err == nil && message.State != stateSending && message.NotBefore.After(now) {
		return nil, max(message.NotBefore.Sub(now), time.Millisecond), nil
	}
	if err == nil {
		return message, 0, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, 0, fmt.Errorf("reading what to say next: %w", err)
	}
	var earliest sql.NullTime
	err = o.database.QueryRow(ctx, `SELECT min(not_before) FROM outbox WHERE room_id = $1 AND state = 'queued' AND not_before > $2`, room, now).Scan(&earliest)
	if err != nil {
		return nil, 0, fmt.Errorf("reading when to say more: %w", err)
	}
	if !earliest.Valid {
		return nil, 0, nil
	}
	return nil, max(earliest.Time.Sub(now), time.Millisecond), nil
}

// turn is a room's claim to be the next that may speak.
type turn struct {
	room id.RoomID
	rank rank
	age  int64 // of its oldest message of that rank; lower is older
}

// turns lists the rooms that have something to say now, with what is most urgent in each.
func (o *outbox) turns(ctx context.Context) ([]turn, error) {
	rows, err := o.database.Query(ctx, `SELECT DISTINCT ON (o.room_id) o.room_id, o.rank, o.id FROM outbox o LEFT JOIN outbox a ON a.id = o.about
		WHERE `+sayable+` AND o.not_before <= $1 ORDER BY o.room_id, o.rank, o.id`, o.now().UTC())
	turns, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (t turn, err error) {
		return t, row.Scan(&t.room, &t.rank, &t.age)
	}, err).AsList()
	if err != nil {
		return nil, fmt.Errorf("reading which room speaks next: %w", err)
	}
	return turns, nil
}

// errOvertaken says that a message changed, or need not be sent any more, since it was read.
var errOvertaken = errors.New("the message was overtaken by another")

// begin notes an attempt before it is made, with the ciphertext it and every later one sends.
func (o *outbox) begin(ctx context.Context, message *outgoing, ciphertext string) error {
	at := o.now().UTC()
	result, err := o.database.Exec(ctx, `UPDATE outbox SET state = 'sending', attempts = attempts + 1, attempted_at = $2, ciphertext = nullif($3, ''), speaker = $6
		WHERE id = $1 AND state = $4 AND content = $5`, message.ID, at, ciphertext, message.State, message.raw, message.Speaker)
	if err != nil {
		return fmt.Errorf("noting an attempt to send: %w", err)
	}
	if count, err := result.RowsAffected(); err != nil {
		return fmt.Errorf("noting an attempt to send: %w", err)
	} else if count == 0 {
		return errOvertaken
	}
	message.State, message.Attempted, message.Ciphertext = stateSending, at, ciphertext
	return nil
}

const (
	stateSending = "sending"
	stateSent    = "sent"
)

// unsure notes that an attempt got no answer; what matters is that its time has passed.
func (o *outbox) unsure(ctx context.Context, message *outgoing, reason string) error {
	_, err := o.database.Exec(ctx, `UPDATE outbox SET attempted_at = $2, reason = $3 WHERE id = $1 AND state = 'sending'`, message.ID, o.now().UTC(), reason)
	return err
}

// sent records the event a message became.
func (o *outbox) sent(ctx context.Context, message *outgoing, event id.EventID) error {
	_, err := o.database.Exec(ctx, `UPDATE outbox SET state = 'sent', event_id = $2, sent_at = $3, reason = NULL WHERE id = $1`, message.ID, event, o.now().UTC())
	if err != nil {
		return fmt.Errorf("recording that a message was sent: %w", err)
	}
	return nil
}

func (o *outbox) isSent(ctx context.Context, row int64) (bool, error) {
	var sent bool
	if err := o.database.QueryRow(ctx, `SELECT state = 'sent' FROM outbox WHERE id = $1`, row).Scan(&sent); err != nil {
		return false, fmt.Errorf("reading whether a message was sent: %w", err)
	}
	return sent, nil
}

// postpone puts back a message that failed before anything of it was sent, and counts that.
func (o *outbox) postpone(ctx context.Context, message *outgoing, wait time.Duration, reason string) error {
	_, err := o.database.Exec(ctx, `UPDATE outbox SET attempts = attempts + 1 WHERE id = $1 AND state = 'queued'`, message.ID)
	return errors.Join(err, o.later(ctx, message, wait, reason))
}

// later puts back a message that the homeserver certainly did not take.
func (o *outbox) later(ctx context.Context, message *outgoing, wait time.Duration, reason string) error {
	_, err := o.database.Exec(ctx, `UPDATE outbox SET state = 'queued', not_before = $2, reason = $3 WHERE id = $1 AND state IN ('queued', 'sending')`,
		message.ID, o.now().Add(wait).UTC(), reason)
	if err != nil || message.Rank != edit {
		return err
	}
	_, err = o.database.Exec(ctx, `UPDATE outbox o SET state = 'dropped', reason = 'superseded' WHERE id = $1 AND state = 'queued'
		AND EXISTS (SELECT 1 FROM outbox n WHERE n.about = o.about AND n.rank = o.rank AND n.id > o.id AND n.state IN ('queued', 'sending', 'sent'))`, message.ID)
	return err
}

// giveUp ends a message that can never be sent (failed) or need not be (dropped).
func (o *outbox) giveUp(ctx context.Context, row int64, state, reason string) error {
	_, err := o.database.Exec(ctx, `UPDATE outbox SET state = $2, reason = $3 WHERE id = $1 AND state <> 'sent'`, row, state, reason)
	return err
}

// rooms lists the rooms that have something to say.
func (o *outbox) rooms(ctx context.Context) ([]id.RoomID, error) {
	rows, err := o.database.Query(ctx, `SELECT DISTINCT room_id FROM outbox WHERE state IN ('queued', 'sending')`)
	return dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[id.RoomID], err).AsList()
}

// latest finds the newest row of a ref in a room, whatever became of it but dropped; nil if there is none.
func (o *outbox) latest(ctx context.Context, room id.RoomID, ref string) (*outgoing, error) {
	found, err := scanOutgoing(o.database.QueryRow(ctx, selectOutgoing+`
		WHERE o.ref = $1 AND o.room_id = $2 AND o.state <> 'dropped' ORDER BY o.id DESC LIMIT 1`, ref, room))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return found, err
}

// toldSince says whether a room was told anything of a topic after a row.
func (o *outbox) toldSince(ctx context.Context, room id.RoomID, topic string, row int64) (bool, error) {
	var told bool
	err := o.database.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM outbox WHERE topic = $1 AND room_id = $2 AND id > $3 AND state <> 'dropped')`,
		topic, room, row).Scan(&told)
	if err != nil {
		return false, fmt.Errorf("reading what was told since: %w", err)
	}
	return told, nil
}

// withdraw takes back a message: one not begun is dropped, any other is redacted once it is there.
func (o *outbox) withdraw(ctx context.Context, message *outgoing) error {
	result, err := o.database.Exec(ctx, `UPDATE outbox SET state = 'dropped', reason = 'withdrawn' WHERE id = $1 AND state = 'queued'`, message.ID)
	if err != nil {
		return fmt.Errorf("withdrawing a message: %w", err)
	}
	if count, err := result.RowsAffected(); err != nil || count > 0 {
		return err
	}
	_, err = o.add(ctx, outgoing{
		Txn: txnID("redact", message.Txn), Room: message.Room, Rank: notice, Type: event.EventRedaction.Type, Content: map[string]any{}, About: message.ID,
	})
	return err
}

// backlog counts what is not sent yet and what never will be.
func (o *outbox) backlog(ctx context.Context) (open, failed int, err error) {
	err = o.database.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE state IN ('queued', 'sending')), count(*) FILTER (WHERE state = 'failed')
		FROM outbox WHERE state NOT IN ('sent', 'dropped')`).Scan(&open, &failed)
	return open, failed, err
}

// forget deletes what ended before a time and nothing refers to, but for the newest message of each window, which is edited however
// long its step holds.
func (o *outbox) forget(ctx context.Context, before time.Time) error {
	_, err := o.database.Exec(ctx, `
		DELETE FROM outbox o WHERE created_at < $1 AND state IN ('sent', 'dropped')
		  AND NOT EXISTS (SELECT 1 FROM outbox other WHERE other.about = o.id)
		  AND NOT EXISTS (SELECT 1 FROM proposal_message m WHERE m.outbox = o.id)
		  AND (o.ref NOT LIKE 'window:%' OR o.state = 'dropped' OR EXISTS (SELECT 1 FROM outbox newer
		    WHERE newer.ref = o.ref AND newer.room_id = o.room_id AND newer.id > o.id AND newer.state <> 'dropped'))`, before.UTC())
	return err
}

// recognise finds the bot's own event in the outbox when the sync brings it, so that an attempt whose answer was lost is
// not repeated.
func (b *Bot) recognise(ctx context.Context, room id.RoomID, evt *event.Event, done *commitment) error {
	txn := outboxID(evt)
	if txn == "" {
		return nil
	}
	if b.found != nil {
		if err := b.adopt(ctx, room, evt, txn); err != nil {
			return err
		}
	}
	result, err := b.database.Exec(ctx, `UPDATE outbox SET state = 'sent', event_id = $3, sent_at = $4, reason = NULL
		WHERE txn_id = $1 AND room_id = $2 AND state <> 'sent'`, txn, room, evt.ID, b.now().UTC())
	if err != nil {
		return fmt.Errorf("recognising an own event: %w", err)
	}
	if count, err := result.RowsAffected(); err != nil || count == 0 {
		return err
	}
	done.speak = append(done.speak, room)
	return nil
}

// outboxID is the transaction ID under which the bot sent an event of its own.
func outboxID(evt *event.Event) string {
	txn, _ := evt.Content.Raw[outboxKey].(string)
	if txn == "" {
		txn = evt.Unsigned.TransactionID
	}
	if !storable(txn) {
		return ""
	}
	return txn
}

// known says whether any of these transaction IDs was sent.
func (o *outbox) known(ctx context.Context, txns ...string) (bool, error) {
	var known bool
	err := o.database.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM outbox WHERE txn_id = ANY($1::text[]) AND state = 'sent')`, txns).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("looking for a message in the outbox: %w", err)
	}
	return known, nil
}
