package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Pause is the tenant's one switch, and who used it last; without By it was never used.
type Pause struct {
	Paused bool      `json:"paused"`
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by,omitempty"`
	At     time.Time `json:"at,omitzero"`

	Version int64 `json:"version"`
}

// text says who paused, when and why, in one sentence that ends with its stop.
func (p Pause) text() string {
	text := fmt.Sprintf("Paused by %s at %s", p.By, p.At.Format("2006-01-02 15:04:05 UTC"))
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return stopped(text)
}

func (p Pause) standing() standing {
	now := standing{what: "The pause switch", exists: true, version: p.Version, as: "the fleet runs", current: p}
	if p.Paused {
		now.as = "paused by " + p.By
	}
	return now
}

// Withheld is why a worker is given nothing although work may be ready: one sentence. It uses up no key.
type Withheld struct{ Reason string }

func (w *Withheld) Error() string { return w.Reason }

// Pause reads the switch.
func (s *Store) Pause(ctx context.Context) (Pause, error) {
	return readPause(ctx, query.New(s.pool), s.options.Tenant)
}

func readPause(ctx context.Context, queries *query.Queries, tenant string) (Pause, error) {
	row, err := queries.GetPause(ctx, tenant)
	if none(err) {
		return Pause{}, nil
	}
	if err != nil {
		return Pause{}, fmt.Errorf("reading the pause: %w", err)
	}
	return Pause{Paused: row.Paused, Reason: row.Reason, By: row.Actor, At: row.At.UTC(), Version: row.Version}, nil
}

// SetPause pauses the fleet or lets it resume. Ready work goes back to the line when it pauses; the line is judged in its
// order when it resumes.
func (s *Store) SetPause(ctx context.Context, m Mutation, paused bool, reason string) (Pause, error) {
	return once(ctx, s, m, func(t *transaction) (Pause, error) { return t.switchPause(ctx, paused, reason) })
}

func (t *transaction) switchPause(ctx context.Context, paused bool, reason string) (Pause, error) {
	if err := t.LockPause(ctx, t.Tenant); err != nil {
		return Pause{}, fmt.Errorf("locking the pause: %w", err)
	}
	was, err := readPause(ctx, t.Queries, t.Tenant)
	if err != nil {
		return Pause{}, err
	}
	if err := t.readClock(ctx); err != nil {
		return Pause{}, err
	}
	if err := t.requireMatch(was.standing()); err != nil {
		return Pause{}, err
	}
	if paused && was.Paused && reason == "" {
		reason = was.Reason // to pause again takes nothing back
	}
	now := Pause{Paused: paused, Reason: reason, By: t.actor, At: t.now}
	if was.Paused == paused && (!paused || was.Reason == reason && was.By == t.actor) {
		return was, nil
	}
	now.Version = was.Version + 1
	return now, t.setPause(ctx, now)
}

func (t *transaction) setPause(ctx context.Context, pause Pause) error {
	err := t.PutPause(ctx, query.PutPauseParams{
		TenantID: t.Tenant, Host: t.Host, Paused: pause.Paused, Reason: pause.Reason, Actor: pause.By, At: pause.At, Version: pause.Version,
	})
	if err != nil {
		return fmt.Errorf("writing the pause: %w", err)
	}
	event := Event{Type: "fleet.resumed", Cause: pause.Reason, Pause: &pause}
	if pause.Paused {
		event.Type = "fleet.paused"
	}
	if err := t.tell(ctx, event); err != nil {
		return err
	}
	b, err := t.openBook(ctx)
	if err != nil {
		return err
	}
	if err := t.returnReady(ctx, b); err != nil {
		return err
	}
	if _, err := t.replanLine(ctx, b); err != nil {
		return err
	}
	return t.closeBook(ctx, b)
}

// returnReady sends ready work back to the line while the fleet is paused.
func (t *transaction) returnReady(ctx context.Context, b *book) error {
	if b.pause == nil {
		return nil
	}
	rows, err := t.LockReady(ctx, t.Tenant)
	if err != nil {
		return fmt.Errorf("reading the ready work: %w", err)
	}
	for i := range rows {
		if err := t.settle(ctx, b, &rows[i], nil, kindMetered, false); err != nil {
			return err
		}
		decision := budget.Decision{Outcome: budget.Queue}
		if _, err := t.place(ctx, b, &rows[i], &decision, b.pause.text()); err != nil {
			return err
		}
	}
	return nil
}

// sharePause keeps the switch and the ladder as they are until this transaction ends, and answers the switch if the fleet is paused.
func (t *transaction) sharePause(ctx context.Context) (*Pause, error) {
	if err := t.SharePause(ctx, t.Tenant); err != nil {
		return nil, fmt.Errorf("sharing the pause: %w", err)
	}
	if err := t.climb(ctx); err != nil {
		return nil, err
	}
	pause, err := readPause(ctx, t.Queries, t.Tenant)
	if err != nil || !pause.Paused {
		return nil, err
	}
	return &pause, nil
}

// reasonFor is why a decision stands. What keeps work from being admitted at all makes it wait outside of every line,
// whatever the ladder decided; only a latest start that has passed is still refused.
func (b *book) reasonFor(row *query.Dispatch, decision *budget.Decision) string {
	waits := b.awaits(row)
	if b.pause != nil {
		waits = b.pause.text()
	}
	late := row.Attempt == 0 && row.Deadline != nil && b.now.After(*row.Deadline)
	if waits == "" || late {
		return tooLateToFinish(row, decision, decision.Reason())
	}
	decision.Outcome, decision.Holds, decision.Attempts, decision.Start, decision.Missing = budget.Queue, nil, nil, time.Time{}, ""
	return waits
}

// stopped ends a text a person wrote with a full stop, unless it has an end.
func stopped(text string) string {
	if last := text[len(text)-1]; last == '.' || last == '!' || last == '?' {
		return text
	}
	return text + "."
}
