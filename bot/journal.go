package bot

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
)

// The states of a journal row.
const (
	stateNew      = "new"
	stateWaiting  = "waiting"  // for a room key
	statePrepared = "prepared" // its call is stored; it is attempted until its outcome is known
	stateDone     = "done"
	stateDropped  = "dropped" // nothing was asked of the bot
	stateAside    = "aside"   // given up on, with a reason
)

// heard is one journalled event and how far the bot has come with it.
type heard struct {
	Seq       int64
	Room      id.RoomID
	ID        id.EventID
	Sender    id.UserID
	Type      string
	Redacts   id.EventID
	Raw       []byte
	ArrivedAt time.Time
	State     string
	KeyAsked  bool
	Call      *commands.Call
	Attempts  int
	Failures  int
	RetryAt   time.Time
	Told      bool
	Waited    bool   // for a room key
	Clear     bool   // said in clear, in a room where that is allowed
	Pointed   string // the file that a dispatch takes as its brief since it answers it
	Doubted   bool   // its answer may stand in the room although the database does not know it
}

// journal keeps what was heard until it is dealt with, and what was dealt with long enough to know a repetition.
type journal struct {
	database *dbutil.Database
	now      func() time.Time
}

// journalled are the event types that can ask something of the bot.
func journalled(kind event.Type) bool {
	switch kind.Type {
	case event.EventMessage.Type, event.EventEncrypted.Type, event.EventReaction.Type, event.EventRedaction.Type:
		return true
	}
	return false
}

// add writes one event of room, in the caller's transaction. A repetition is left out.
func (j *journal) add(ctx context.Context, room id.RoomID, evt *event.Event) (added bool, err error) {
	raw, err := json.Marshal(evt)
	if err != nil {
		return false, fmt.Errorf("encoding event %s for the journal: %w", evt.ID, err)
	}
	if !storable(string(evt.ID)) || !storable(string(evt.Sender)) || !storable(string(room)) {
		return false, nil
	}
	var redacts, session sql.NullString
	if target := redactionTarget(evt); target != "" && storable(string(target)) {
		redacts = sql.NullString{String: string(target), Valid: true}
	}
	if value, _ := evt.Content.Raw["session_id"].(string); evt.Type.Type == event.EventEncrypted.Type && storable(value) {
		session = sql.NullString{String: value, Valid: true}
	}
	result, err := j.database.Exec(ctx, `
		INSERT INTO journal (room_id, event_id, sender, type, redacts, session_id, raw, arrived_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (event_id) DO NOTHING`,
		room, evt.ID, evt.Sender, evt.Type.Type, redacts, session, string(raw), j.now().UTC())
	if err != nil {
		return false, fmt.Errorf("journalling event %s: %w", evt.ID, err)
	}
	count, err := result.RowsAffected()
	return count > 0, err
}

// redactionTarget reads where room versions before and after 11 put it.
func redactionTarget(evt *event.Event) id.EventID {
	if evt.Type.Type != event.EventRedaction.Type {
		return ""
	}
	if evt.Redacts != "" {
		return evt.Redacts
	}
	target, _ := evt.Content.Raw["redacts"].(string)
	return id.EventID(target)
}

const selectHeard = `SELECT seq, room_id, event_id, sender, type, coalesce(redacts, ''), raw, arrived_at, state, key_asked,
	coalesce(call, ''), attempts, failures, retry_at, told, waited, doubted FROM journal `

func scanHeard(row dbutil.Scannable) (*heard, error) {
	var h heard
	var call string
	var retry sql.NullTime
	err := row.Scan(&h.Seq, &h.Room, &h.ID, &h.Sender, &h.Type, &h.Redacts, &h.Raw, &h.ArrivedAt, &h.State, &h.KeyAsked,
		&call, &h.Attempts, &h.Failures, &retry, &h.Told, &h.Waited, &h.Doubted)
	if err != nil {
		return nil, err
	}
	h.RetryAt = retry.Time
	if call != "" {
		h.Call = &commands.Call{}
		if err := json.Unmarshal([]byte(call), h.Call); err != nil {
			return nil, fmt.Errorf("reading the stored call of %s: %w", h.ID, err)
		}
	}
	return &h, nil
}

// open returns what a room can deal with, in the order it was heard. What waits for a key longer than a lane is held comes
// back when some key of its session is there, so that a flood of it cannot hide what came later.
func (j *journal) open(ctx context.Context, room id.RoomID, limit int) ([]*heard, error) {
	rows, err := j.database.Query(ctx, selectHeard+`
		WHERE room_id = $1 AND state IN ('new', 'waiting', 'prepared')
		  AND (state <> 'waiting' OR arrived_at > $3 OR EXISTS (
		      SELECT 1 FROM crypto_megolm_inbound_session s WHERE s.session_id = journal.session_id AND s.session IS NOT NULL))
		ORDER BY seq LIMIT $2`, room, limit, j.now().Add(-laneHold).UTC())
	return dbutil.NewRowIterWithError(rows, scanHeard, err).AsList()
}

// allOpen returns everything of a room that is not dealt with.
func (j *journal) allOpen(ctx context.Context, room id.RoomID) ([]*heard, error) {
	rows, err := j.database.Query(ctx, selectHeard+`WHERE room_id = $1 AND state IN ('new', 'waiting', 'prepared') ORDER BY seq`, room)
	return dbutil.NewRowIterWithError(rows, scanHeard, err).AsList()
}

// find returns a journalled event by its ID, or nil.
func (j *journal) find(ctx context.Context, event id.EventID) (*heard, error) {
	found, err := scanHeard(j.database.QueryRow(ctx, selectHeard+`WHERE event_id = $1`, event))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return found, err
}

// rooms lists the rooms that have something to deal with.
func (j *journal) rooms(ctx context.Context) ([]id.RoomID, error) {
	rows, err := j.database.Query(ctx, `SELECT DISTINCT room_id FROM journal WHERE state IN ('new', 'waiting', 'prepared')`)
	return dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[id.RoomID], err).AsList()
}

// redacted says whether event was taken back; with by, only if that user did it.
func (j *journal) redacted(ctx context.Context, event id.EventID, by id.UserID) (bool, error) {
	var found bool
	err := j.database.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM journal WHERE redacts = $1 AND ($2 = '' OR sender = $2))`, event, by).Scan(&found)
	return found, err
}

// redactionsOf returns what by journalled to take an event back.
func (j *journal) redactionsOf(ctx context.Context, event id.EventID, by id.UserID) ([]*heard, error) {
	rows, err := j.database.Query(ctx, selectHeard+`WHERE redacts = $1 AND sender = $2 ORDER BY seq`, event, by)
	return dbutil.NewRowIterWithError(rows, scanHeard, err).AsList()
}

// end closes a row, in the caller's transaction if there is one.
func (j *journal) end(ctx context.Context, h *heard, state, reason string) error {
	_, err := j.database.Exec(ctx, `UPDATE journal SET state = $2, reason = nullif($3, ''), ended_at = $4 WHERE seq = $1`,
		h.Seq, state, reason, j.now().UTC())
	if err != nil {
		return fmt.Errorf("closing the journal row of %s: %w", h.ID, err)
	}
	h.State = state
	return nil
}

// wait notes that a row needs a room key.
func (j *journal) wait(ctx context.Context, h *heard) error {
	_, err := j.database.Exec(ctx, `UPDATE journal SET state = 'waiting', waited = true WHERE seq = $1`, h.Seq)
	h.State, h.Waited = stateWaiting, true
	return err
}

// expire sets aside what has waited for a key for longer than anyone expects an answer.
func (j *journal) expire(ctx context.Context) error {
	now := j.now().UTC()
	_, err := j.database.Exec(ctx, `UPDATE journal SET state = 'aside', ended_at = $1, reason = 'no key came with which it can be read'
		WHERE state = 'waiting' AND arrived_at < $2`, now, now.Add(-keyPatience))
	return err
}

func (j *journal) keyAsked(ctx context.Context, h *heard) error {
	_, err := j.database.Exec(ctx, `UPDATE journal SET key_asked = true WHERE seq = $1`, h.Seq)
	h.KeyAsked = err == nil
	return err
}

// reread replaces what was journalled by what the event was before its content was removed.
func (j *journal) reread(ctx context.Context, h *heard, raw []byte) error {
	if _, err := j.database.Exec(ctx, `UPDATE journal SET raw = $2 WHERE seq = $1`, h.Seq, string(raw)); err != nil {
		return fmt.Errorf("keeping what %s was: %w", h.ID, err)
	}
	h.Raw = raw
	return nil
}

// prepare stores the finished call: from here on the very same bytes are attempted until their outcome is known.
func (j *journal) prepare(ctx context.Context, h *heard, call commands.Call) error {
	encoded, err := json.Marshal(call)
	if err != nil {
		return fmt.Errorf("encoding the call of %s: %w", h.ID, err)
	}
	if _, err := j.database.Exec(ctx, `UPDATE journal SET state = 'prepared', call = $2 WHERE seq = $1`, h.Seq, string(encoded)); err != nil {
		return fmt.Errorf("storing the call of %s: %w", h.ID, err)
	}
	h.State, h.Call = statePrepared, &call
	return nil
}

// attempt counts one before it is made, so that a command once tried is never taken for untried.
func (j *journal) attempt(ctx context.Context, h *heard) error {
	_, err := j.database.Exec(ctx, `UPDATE journal SET attempts = attempts + 1 WHERE seq = $1`, h.Seq)
	h.Attempts++
	return err
}

// retry keeps a row for a later attempt.
func (j *journal) retry(ctx context.Context, h *heard, at time.Time, reason string, told bool) error {
	_, err := j.database.Exec(ctx, `UPDATE journal SET retry_at = $2, reason = $3, told = $4 WHERE seq = $1`, h.Seq, at.UTC(), reason, told)
	h.RetryAt, h.Told = at, told
	return err
}

// fail counts a fault of our own against a row.
func (j *journal) fail(ctx context.Context, h *heard, at time.Time, reason string) error {
	_, err := j.database.Exec(ctx, `UPDATE journal SET failures = failures + 1, retry_at = $2, reason = $3 WHERE seq = $1`, h.Seq, at.UTC(), reason)
	h.Failures++
	return err
}

// backlog counts the rows not dealt with and those set aside.
func (j *journal) backlog(ctx context.Context) (open, aside int, err error) {
	err = j.database.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE state IN ('new', 'waiting', 'prepared')), count(*) FILTER (WHERE state = 'aside')
		FROM journal WHERE state NOT IN ('done', 'dropped')`).Scan(&open, &aside)
	return open, aside, err
}

// forget deletes rows that ended before a time; until then they tell a repetition.
func (j *journal) forget(ctx context.Context, before time.Time) error {
	_, err := j.database.Exec(ctx, `DELETE FROM journal WHERE ended_at < $1 AND state IN ('done', 'dropped')`, before.UTC())
	return err
}

// takeUp opens a row that was set aside, as it was but for its faults, and says in which room.
func (j *journal) takeUp(ctx context.Context, seq int64) (room id.RoomID, found bool, err error) {
	err = j.database.QueryRow(ctx, `UPDATE journal SET state = CASE WHEN call IS NULL THEN 'new' ELSE 'prepared' END,
		ended_at = NULL, failures = 0, retry_at = NULL, reason = NULL WHERE seq = $1 AND state = 'aside' RETURNING room_id`, seq).Scan(&room)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("taking up an event set aside: %w", err)
	}
	return room, true, nil
}
