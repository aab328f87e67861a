package fleet

import (
	"context"
	"fmt"
	"math"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// jitter is how far a provider's reset may move without being written down anew.
const jitter = time.Minute

// correct makes a window agree with a reading of its own epoch.
func (t *transaction) correct(ctx context.Context, b *book, window *budget.Window, r *WindowReading, first bool) error {
	stood, err := t.StoodAt(ctx, query.StoodAtParams{TenantID: t.Tenant, WindowID: window.ID, Taken: r.TakenAt})
	if err != nil {
		return fmt.Errorf("adding up what the window showed when it was read: %w", err)
	}
	t.change.Replan = true
	window = b.opened(window)
	r.BookedMicros = max(window.Correction(r.rules(), stood.CommittedMicros, stood.HeldMicros), -window.Committed)
	window.Committed = min(window.Committed, math.MaxInt64-max(0, r.BookedMicros)) + r.BookedMicros
	r.Cause = r.found(r.BookedMicros)
	if err := t.adoptReset(ctx, b, window, r, first); err != nil {
		return err
	}
	return t.detect(ctx, b, b.rows[window.ID], window, r)
}

// found says what a reading of the same epoch has shown.
func (r *WindowReading) found(booked int64) string {
	switch {
	case booked > 0:
		return fmt.Sprintf("%s were used outside of any dispatch.", budget.Format(booked, r.Unit))
	case booked < 0:
		return fmt.Sprintf("%s less were used than was booked.", budget.Format(-booked, r.Unit))
	}
	return "It agrees with what is booked and held."
}

// adoptReset takes over when the provider says that the epoch resets, as far as the epoch before it leaves room.
func (t *transaction) adoptReset(ctx context.Context, b *book, window *budget.Window, r *WindowReading, first bool) error {
	if r.ResetAt.IsZero() || r.ResetAt.Sub(window.Reset).Abs() < jitter {
		return nil
	}
	since := window.Since
	if length := time.Duration(r.EverySeconds) * time.Second; first && length > 0 {
		ended, err := t.LastEnd(ctx, query.LastEndParams{TenantID: t.Tenant, DefinitionID: b.definitions[window.ID].ID})
		if err != nil {
			return fmt.Errorf("reading when the epoch before ended: %w", err)
		}
		since = earliest(latest(r.ResetAt.Add(-length), ended.UTC()), b.now)
	}
	row := b.rows[window.ID]
	window.Since, window.Reset = since, r.ResetAt
	row.Since, row.ResetAt = pointer(since), pointer(r.ResetAt)
	return nil
}

// detect notes on a window that its provider was read.
func (t *transaction) detect(ctx context.Context, b *book, row *query.Window, window *budget.Window, r *WindowReading) error {
	row.CheckedAt, row.Confidence = r.TakenAt, r.Confidence
	if r.LimitMicros != nil {
		row.LimitMicros, window.Limit = *r.LimitMicros, *r.LimitMicros
		if row.FloorMicros >= row.LimitMicros {
			row.FloorMicros, window.Floor = 0, 0
		}
	}
	if r.Source == budget.UserEntered.String() {
		return t.putRead(ctx, row, window) // what a person typed does not make a window depend on a collector
	}
	row.Source = r.Source
	definition := b.definitions[row.ID]
	if r.LimitMicros != nil && definition.Mine {
		definition.Mine = false
		if err := t.putDefinition(ctx, definition); err != nil {
			return err
		}
	}
	return t.putRead(ctx, row, window)
}

func (t *transaction) putRead(ctx context.Context, row *query.Window, window *budget.Window) error {
	row.CommittedMicros, row.Since, row.ResetAt = window.Committed, pointer(window.Since), pointer(window.Reset)
	return t.putWindow(ctx, row)
}

// readEpoch begins the epoch that a reading shows, in place of the one that was; what is held for live work moves along.
func (t *transaction) readEpoch(ctx context.Context, b *book, window *budget.Window, r *WindowReading) (int64, error) {
	row, definition := b.rows[window.ID], *b.definitions[window.ID]
	next, was := *row, row.ID
	ends := earliest(window.Reset, b.now)
	if window.Closed() {
		ends = b.now
	}
	row.ReservedMicros, row.MarginMicros, row.EndedAt = 0, 0, pointer(ends)
	if err := t.putWindow(ctx, row); err != nil {
		return 0, err
	}
	reset, length := r.ResetAt, time.Duration(r.EverySeconds)*time.Second
	if length == 0 {
		length = window.Reset.Sub(window.Since)
	}
	if reset.IsZero() { // its use fell twice: it began anew, and its length is all that is known
		reset = b.now.Add(length)
	}
	next.Epoch++
	next.Since, next.ResetAt = pointer(earliest(latest(reset.Add(-length), ends), b.now)), pointer(reset)
	next.CommittedMicros, next.ReservedMicros, next.MarginMicros = max(0, r.UsedMicros-window.Reserved), window.Reserved, window.Margin
	next.Lowered, next.Lapsed, next.StepHeldAt = false, false, longHeld(b.now)
	next.CheckedAt, next.Confidence = r.TakenAt, r.Confidence
	if r.LimitMicros != nil {
		next.LimitMicros = *r.LimitMicros
	}
	if next.FloorMicros >= next.LimitMicros {
		next.FloorMicros = 0
	}
	if r.Source != budget.UserEntered.String() {
		next.Source = r.Source
		definition.Mine = definition.Mine && r.LimitMicros == nil
		if err := t.putDefinition(ctx, &definition); err != nil {
			return 0, err
		}
	}
	t.change.Replan = true
	if err := t.insertEpoch(ctx, &next, was); err != nil {
		return 0, err
	}
	r.BookedMicros = next.CommittedMicros
	r.Cause = fmt.Sprintf("A new epoch has begun; %s of it are used.", budget.Format(r.UsedMicros, r.Unit))
	return next.ID, nil
}

// makeWindow makes the window that a provider reported and nobody has set.
func (t *transaction) makeWindow(ctx context.Context, r *WindowReading) (int64, error) {
	subscription, err := t.subscription(ctx, r.Provider, r.Subscription)
	if err != nil {
		return 0, err
	}
	since := t.now
	if r.EverySeconds > 0 {
		since = earliest(r.ResetAt.Add(-time.Duration(r.EverySeconds)*time.Second), t.now)
	}
	limit := int64(100 * budget.Micro)
	if r.LimitMicros != nil {
		limit = *r.LimitMicros
	}
	definition := query.Definition{
		TenantID: t.Tenant, Host: t.Host, Provider: r.Provider, SubscriptionID: subscription, Name: r.Window,
		ScopeKind: budget.Scope{}.Kind.String(), Recurrence: "provider", CreatedAt: t.now,
	}
	if err := t.putDefinition(ctx, &definition); err != nil {
		return 0, err
	}
	row := query.Window{
		DefinitionID: definition.ID, Epoch: 1, Unit: r.Unit, LimitMicros: limit, CommittedMicros: r.UsedMicros, BurstPpm: t.BurstPPM,
		Since: pointer(since), ResetAt: pointer(r.ResetAt), Source: r.Source, Confidence: r.Confidence, CheckedAt: r.TakenAt,
		Step: budget.StepNormal.String(), StepHeldAt: t.now,
	}
	if err := t.insertEpoch(ctx, &row, 0); err != nil {
		return 0, err
	}
	if _, err := t.revise(ctx, settingWindow, windowKey(r.Provider, r.Subscription, r.Window), func(version int64) (standing, error) {
		return standing{what: "The window " + r.Window, version: version}, nil
	}); err != nil {
		return 0, err
	}
	t.change.Replan = true
	r.BookedMicros = r.UsedMicros
	r.Cause = fmt.Sprintf("Nobody had set this window, so it was made; %s of it are used.", budget.Format(r.UsedMicros, r.Unit))
	return row.ID, nil
}
