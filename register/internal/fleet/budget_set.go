package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// BudgetSet is a window as an operator wants it. Empty names mean the provider's own subscription and DefaultWindow.
type BudgetSet struct {
	Provider     string
	Subscription string
	Window       string
	Unit         string
	LimitMicros  int64
	FloorMicros  *int64    // nil keeps it, 0 for a new window
	Since        time.Time // zero keeps it, or now for a new window
	UsedMicros   *int64    // nil keeps it, 0 for a new window
	ResetAt      time.Time
}

// BudgetChange is a window before and after, and the waiting work that was planned anew.
type BudgetChange struct {
	Before    *Window      `json:"before,omitempty"`
	After     Window       `json:"after"`
	BeganNow  bool         `json:"began_now"`
	Replanned []DispatchID `json:"replanned"`
	Now       time.Time    `json:"now"`
}

// SetBudget creates a window, or amends the one of that name and keeps its use. A lapsed window begins a new epoch.
func (s *Store) SetBudget(ctx context.Context, m Mutation, set BudgetSet) (BudgetChange, error) {
	if set.Subscription == "" {
		set.Subscription = set.Provider
	}
	if set.Window == "" {
		set.Window = DefaultWindow
	}
	set.Since, set.ResetAt = set.Since.UTC().Truncate(time.Microsecond), set.ResetAt.UTC().Truncate(time.Microsecond)
	return once(ctx, s, m, func(t *transaction) (BudgetChange, error) { return t.setBudget(ctx, set) })
}

func (t *transaction) setBudget(ctx context.Context, set BudgetSet) (BudgetChange, error) {
	subscription, err := t.subscription(ctx, set.Provider, set.Subscription)
	if err != nil {
		return BudgetChange{}, err
	}
	b, err := t.openBook(ctx)
	if err != nil {
		return BudgetChange{}, err
	}
	current := b.find(subscription.ID, set.Window)
	version, err := t.reviseWindow(ctx, b, windowKey(set.Provider, set.Subscription, set.Window), current)
	if err != nil {
		return BudgetChange{}, err
	}
	if err := set.check(current, b.now); err != nil {
		return BudgetChange{}, err
	}
	change := BudgetChange{Now: b.now}
	if current != nil {
		change.Before = new(b.show(current.ID))
	}
	change.BeganNow = set.Since.IsZero() && (current == nil || current.Lapsed(b.now))
	var id int64
	if current == nil || current.Lapsed(b.now) {
		id, err = t.beginEpoch(ctx, b, subscription.ID, current, set.fresh(t, current))
	} else {
		id, err = current.ID, t.amend(ctx, b, current, set)
	}
	if err != nil {
		return BudgetChange{}, err
	}
	return t.concludeChange(ctx, id, version, change, "budget.set")
}

// concludeChange judges the waiting work against the changed window and tells about both.
func (t *transaction) concludeChange(ctx context.Context, id, version int64, change BudgetChange, event string) (BudgetChange, error) {
	b, err := t.openBook(ctx)
	if err != nil {
		return BudgetChange{}, err
	}
	if change.Replanned, err = t.replanLine(ctx, b); err != nil {
		return BudgetChange{}, err
	}
	if err := t.closeBook(ctx, b); err != nil {
		return BudgetChange{}, err
	}
	change.After = b.show(id)
	change.After.Version = version
	return change, t.tell(ctx, Event{Type: event, Window: &change.After})
}

// subscription takes the set of windows and creates the subscription if it is new.
func (t *transaction) subscription(ctx context.Context, provider, name string) (query.Subscription, error) {
	if err := t.lockWindowSet(ctx); err != nil {
		return query.Subscription{}, err
	}
	err := t.EnsureSubscription(ctx, query.EnsureSubscriptionParams{
		TenantID: t.Tenant, Host: t.Host, Provider: provider, Name: name, CreatedAt: t.now,
	})
	if err != nil {
		return query.Subscription{}, fmt.Errorf("creating the subscription: %w", err)
	}
	subscription, err := t.GetSubscription(ctx, query.GetSubscriptionParams{TenantID: t.Tenant, Provider: provider, Name: name})
	if err != nil {
		return query.Subscription{}, fmt.Errorf("reading the subscription: %w", err)
	}
	return subscription, nil
}

func (t *transaction) lockWindowSet(ctx context.Context) error {
	if err := t.SharePause(ctx, t.Tenant); err != nil { // before the windows, as everywhere
		return fmt.Errorf("sharing the pause: %w", err)
	}
	if err := t.LockWindowSet(ctx, t.Tenant); err != nil {
		return fmt.Errorf("locking the set of windows: %w", err)
	}
	return t.readClock(ctx)
}

// check refuses what no window can be.
func (set BudgetSet) check(current *budget.Window, now time.Time) error {
	live := current != nil && !current.Lapsed(now)
	since, floor := now, int64(0)
	if live {
		since, floor = current.Since, current.Floor
	}
	if !set.Since.IsZero() {
		since = set.Since
	}
	if set.FloorMicros != nil {
		floor = *set.FloorMicros
	}
	switch {
	case set.LimitMicros <= 0:
		return &Error{
			Code: CodeLimitNotPositive, Field: "limit_micros",
			Detail:   fmt.Sprintf("The limit %s is not above zero.", budget.Format(set.LimitMicros, set.Unit)),
			Example:  "500000000",
			NextStep: "Give a limit above zero; to stop all work, cancel it instead.",
		}
	case live && current.Unit != set.Unit:
		return &Error{
			Code: CodeUnitMismatch, Field: "unit",
			Detail:   fmt.Sprintf("The window %s counts %s, not %s.", current.Name, current.Unit, set.Unit),
			Example:  current.Unit,
			NextStep: "Keep the unit, or give the new window another name.",
		}
	case floor < 0 || floor >= set.LimitMicros:
		return &Error{
			Code: CodeInvalid, Field: "floor_micros",
			Detail:   fmt.Sprintf("The floor %s leaves nothing of the limit %s.", budget.Format(floor, set.Unit), budget.Format(set.LimitMicros, set.Unit)),
			Example:  "0",
			NextStep: "Give a floor from 0 up to below the limit.",
		}
	case set.UsedMicros != nil && *set.UsedMicros < 0:
		return &Error{Code: CodeInvalid, Field: "used_micros", Detail: "What is already used cannot be below zero.", Example: "0"}
	case since.After(now):
		return &Error{
			Code: CodeInvalid, Field: "since",
			Detail:  fmt.Sprintf("The window's start %s is still to come.", since.Format(time.RFC3339)),
			Example: now.Format(time.RFC3339), NextStep: "Give a start that is not in the future.",
		}
	}
	return checkReset(set.ResetAt, now)
}

func checkReset(reset, now time.Time) error {
	if reset.After(now) {
		return nil
	}
	return &Error{
		Code: CodeResetInPast, Field: "reset_at",
		Detail:   fmt.Sprintf("The reset %s is in the past; it is now %s.", reset.Format(time.RFC3339), now.Format(time.RFC3339)),
		Example:  now.Add(5 * time.Hour).Truncate(time.Minute).Format(time.RFC3339),
		NextStep: "Give a reset in the future.",
	}
}

// fresh is the first epoch of a window, or the next one after it lapsed.
func (set BudgetSet) fresh(t *transaction, lapsed *budget.Window) query.InsertWindowParams {
	params := query.InsertWindowParams{
		TenantID: t.Tenant, Host: t.Host, Name: set.Window, Unit: set.Unit, LimitMicros: set.LimitMicros,
		BurstPpm: t.BurstPPM, Since: t.now, ResetAt: set.ResetAt, Source: "user-entered", CheckedAt: t.now,
		Step: budget.StepNormal.String(), StepHeldAt: t.now,
	}
	if lapsed != nil && set.FloorMicros == nil && lapsed.Floor < set.LimitMicros {
		params.FloorMicros = lapsed.Floor
	}
	if set.FloorMicros != nil {
		params.FloorMicros = *set.FloorMicros
	}
	if set.UsedMicros != nil {
		params.CommittedMicros = *set.UsedMicros
	}
	if !set.Since.IsZero() {
		params.Since = set.Since
	}
	return params
}

// beginEpoch ends the window that was, if there was one, moves what is still held into the new one and books what the new one begins with.
func (t *transaction) beginEpoch(ctx context.Context, b *book, subscriptionID int64, was *budget.Window, params query.InsertWindowParams) (int64, error) {
	epoch, err := t.LastEpoch(ctx, query.LastEpochParams{TenantID: t.Tenant, SubscriptionID: subscriptionID, Name: params.Name})
	if err != nil {
		return 0, fmt.Errorf("reading the window's last epoch: %w", err)
	}
	params.SubscriptionID, params.Epoch = subscriptionID, epoch+1
	if was != nil {
		params.ReservedMicros, params.MarginMicros = was.Reserved, was.Margin
		row := b.rows[was.ID]
		row.ReservedMicros, row.MarginMicros, row.EndedAt = 0, 0, new(t.now)
		if err := t.putWindow(ctx, row); err != nil {
			return 0, err
		}
	}
	id, err := t.InsertWindow(ctx, params)
	if err != nil {
		return 0, fmt.Errorf("writing the new window: %w", err)
	}
	if was != nil {
		err := t.MoveReservations(ctx, query.MoveReservationsParams{TenantID: t.Tenant, FromWindow: was.ID, IntoWindow: id})
		if err != nil {
			return 0, fmt.Errorf("moving the holds into the new window: %w", err)
		}
	}
	return id, t.enter(ctx, id, params.Unit, params.CommittedMicros)
}

// amend changes a live window and keeps its use, unless the use is given.
func (t *transaction) amend(ctx context.Context, b *book, window *budget.Window, set BudgetSet) error {
	row := b.rows[window.ID]
	row.LimitMicros, row.ResetAt, row.CheckedAt = set.LimitMicros, set.ResetAt, t.now
	if set.FloorMicros != nil {
		row.FloorMicros = *set.FloorMicros
	}
	if !set.Since.IsZero() {
		row.Since = set.Since
	}
	if set.UsedMicros != nil {
		if err := t.enter(ctx, row.ID, row.Unit, *set.UsedMicros-row.CommittedMicros); err != nil {
			return err
		}
		row.CommittedMicros = *set.UsedMicros
	}
	return t.putWindow(ctx, row)
}

// enter books use that was entered by hand.
func (t *transaction) enter(ctx context.Context, window int64, unit string, micros int64) error {
	if micros == 0 {
		return nil
	}
	err := t.InsertLedger(ctx, query.InsertLedgerParams{
		TenantID: t.Tenant, Host: t.Host, WindowID: &window, Unit: unit, Micros: micros, Kind: kindEntered, Actor: t.actor, At: t.now,
	})
	if err != nil {
		return fmt.Errorf("booking the entered use: %w", err)
	}
	return nil
}
