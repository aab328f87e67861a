package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// AnswerRetention is how long an answer is kept for replay.
const AnswerRetention = 7 * 24 * time.Hour

// Mutation names who changes the register and makes the change happen once.
type Mutation struct {
	Actor  string // the identity that asked
	Caller string // the identity of the token it came with; keys are the caller's own
	Key    string
	Hash   []byte // SHA-256 of method, path, body and actor
	Status int    // the HTTP status of a success
	// IfMatch is the entity tags (see Tag) of which the setting must have one, after commas; "*" asks only that it exists.
	IfMatch string
}

// once runs do in a transaction and keeps its answer in that same transaction, so that the same key answers the same, even when
// the first answer was lost after the commit. Concurrent calls with one key wait for the first. An error keeps nothing.
func once[T any](ctx context.Context, s *Store, m Mutation, do func(*transaction) (T, error)) (T, error) {
	var answer T
	err := s.within(ctx, func(t *transaction) error {
		t.actor, t.ifMatch = m.Actor, m.IfMatch
		replayed, err := t.replay(ctx, m, &answer)
		if err != nil || replayed {
			return err
		}
		answer, err = do(t)
		if err != nil || t.unrecorded || t.unkept {
			return err
		}
		return t.remember(ctx, m, answer)
	})
	return answer, err
}

// replay locks the key and reads the answer that is kept under it, if there is one.
func (t *transaction) replay(ctx context.Context, m Mutation, answer any) (bool, error) {
	kept, err := t.answers(ctx, m)
	if err != nil {
		return false, err
	}
	found, replayed := kept[[2]string{m.Caller, m.Key}]
	if !replayed {
		return false, nil
	}
	t.unrecorded = true
	return true, m.repeated(found.Hash, found.Answer, answer)
}

// answers locks keys, in the order given, and reads what is kept under them, by caller and key.
func (t *transaction) answers(ctx context.Context, mutations ...Mutation) (map[[2]string]query.GetAnswersRow, error) {
	names, callers, keys := make([]string, len(mutations)), make([]string, len(mutations)), make([]string, len(mutations))
	for i, m := range mutations {
		names[i], callers[i], keys[i] = t.Tenant+"\n"+m.Caller+"\n"+m.Key, m.Caller, m.Key
	}
	if err := t.LockKeys(ctx, names); err != nil {
		return nil, fmt.Errorf("locking the idempotency keys: %w", err)
	}
	rows, err := t.GetAnswers(ctx, query.GetAnswersParams{TenantID: t.Tenant, Callers: callers, Keys: keys})
	if err != nil {
		return nil, fmt.Errorf("looking up the idempotency keys: %w", err)
	}
	kept := make(map[[2]string]query.GetAnswersRow, len(rows))
	for _, row := range rows {
		kept[[2]string{row.Caller, row.Key}] = row
	}
	return kept, nil
}

// repeated gives the kept answer again, if it was given to this very request.
func (m Mutation) repeated(hash []byte, kept json.RawMessage, answer any) error {
	if !bytes.Equal(hash, m.Hash) {
		return &Error{
			Code:     CodeIdempotencyMismatch,
			Field:    "Idempotency-Key",
			Detail:   "This Idempotency-Key was used for another request.",
			NextStep: "Use a new key for a new request.",
		}
	}
	if err := json.Unmarshal(kept, answer); err != nil {
		return fmt.Errorf("reading the kept answer: %w", err)
	}
	return nil
}

// withholding is an answer of which a part is given once and never kept.
type withholding interface{ withheld() any }

func (t *transaction) remember(ctx context.Context, m Mutation, answer any) error {
	if whole, secretive := answer.(withholding); secretive {
		answer = whole.withheld()
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	if t.now.IsZero() {
		if err := t.readClock(ctx); err != nil {
			return err
		}
	}
	err = t.InsertAnswer(ctx, query.InsertAnswerParams{
		TenantID: t.Tenant, Caller: m.Caller, Key: m.Key, Host: t.Host,
		Hash: m.Hash, Status: int32(m.Status), Answer: body, At: t.now,
	})
	if err != nil {
		return fmt.Errorf("keeping the answer: %w", err)
	}
	return nil
}
