package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// BudgetSet is a window as somebody wants it. What is left out stays as it is; a new window takes the default that stands beside it.
type BudgetSet struct {
	Provider     string // All is every provider
	Subscription string // All is shared by all of the provider's; empty is All for a scope, else the provider's own name
	Window       string // empty is DefaultWindow
	Unit         string
	LimitMicros  int64
	FloorMicros  *int64    // 0
	Since        time.Time // now, or where its recurrence says
	UsedMicros   *int64    // 0
	ResetAt      time.Time // where its recurrence says; without one it is needed
	Scope        string    // all work
	Model        string    // every model
	Recurrence   string    // once; see budget.ParseRecurrence
	Zone         string    // of the recurrence and the hours, where they name none
	Hours        string    // none; see budget.ParseWorkingHours, and NoHours takes them away
	Source       string    // user-entered
	Confidence   *float64  // by the source
	Mine         *bool     // true: we set the limit ourselves, not the provider
}

// NoHours takes the working hours of a window away.
const NoHours = "none"

// BudgetChange is a window before and after, and the waiting work that was planned anew.
type BudgetChange struct {
	Before    *Window      `json:"before,omitempty"`
	After     Window       `json:"after"`
	BeganNow  bool         `json:"began_now"`
	Replanned []DispatchID `json:"replanned"`
	Now       time.Time    `json:"now"`
}

// named fills in the names that are left out.
func (set *BudgetSet) named() {
	if set.Window == "" {
		set.Window = DefaultWindow
	}
	if set.Subscription == "" {
		set.Subscription = set.Provider
		if set.Scope != "" && set.Scope != budget.OfSubscription.String() {
			set.Subscription = All
		}
	}
}

// SetBudget creates a window, or amends the one of that name and keeps its use. A lapsed window begins a new epoch.
func (s *Store) SetBudget(ctx context.Context, m Mutation, set BudgetSet) (BudgetChange, error) {
	set.named()
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
	current := b.find(set.Provider, set.Subscription, set.Window)
	version, err := t.reviseWindow(ctx, b, windowKey(set.Provider, set.Subscription, set.Window), current)
	if err != nil {
		return BudgetChange{}, err
	}
	p, err := t.planWindow(ctx, b, set, current)
	if err != nil {
		return BudgetChange{}, err
	}
	change := BudgetChange{Now: b.now, BeganNow: p.beganNow}
	if current != nil {
		change.Before = new(b.show(current.ID))
	}
	if p.definition.ID == 0 {
		p.definition.SubscriptionID = subscription
	}
	id, err := t.recordWindow(ctx, b, &p, current)
	if err != nil {
		return BudgetChange{}, err
	}
	return t.concludeChange(ctx, id, version, change, "budget.set")
}

// recordWindow records the definition and the epoch that were planned, and answers the epoch's ID.
func (t *transaction) recordWindow(ctx context.Context, b *book, p *plan, current *budget.Window) (int64, error) {
	if err := t.putDefinition(ctx, &p.definition); err != nil {
		return 0, err
	}
	p.row.DefinitionID = p.definition.ID
	if current != nil && !p.fresh {
		if err := t.enter(ctx, p.row.ID, p.row.Unit, p.row.CommittedMicros-current.Committed); err != nil {
			return 0, err
		}
		return p.row.ID, t.putWindow(ctx, &p.row)
	}
	var was int64
	if current != nil {
		was = current.ID
		ended := b.rows[was]
		ended.ReservedMicros, ended.MarginMicros, ended.EndedAt = 0, 0, &p.ends
		if err := t.putWindow(ctx, ended); err != nil {
			return 0, err
		}
	}
	if err := t.insertEpoch(ctx, &p.row, was); err != nil {
		return 0, err
	}
	return p.row.ID, t.enter(ctx, p.row.ID, p.row.Unit, p.row.CommittedMicros)
}

func (t *transaction) putDefinition(ctx context.Context, d *query.Definition) error {
	if d.ID != 0 {
		err := t.PutDefinition(ctx, query.PutDefinitionParams{
			TenantID: t.Tenant, ID: d.ID, Recurrence: d.Recurrence, Hours: d.Hours, Mine: d.Mine, Host: t.Host,
		})
		if err != nil {
			return fmt.Errorf("writing the window's definition: %w", err)
		}
		return nil
	}
	id, err := t.InsertDefinition(ctx, query.InsertDefinitionParams{
		TenantID: t.Tenant, Host: t.Host, Provider: d.Provider, SubscriptionID: d.SubscriptionID, Name: d.Name, ScopeKind: d.ScopeKind,
		ScopeName: d.ScopeName, Model: d.Model, Recurrence: d.Recurrence, Hours: d.Hours, Mine: d.Mine, CreatedAt: t.now,
	})
	if err != nil {
		return fmt.Errorf("writing the window's definition: %w", err)
	}
	d.ID = id
	return nil
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

// subscription takes the set of windows and creates the subscription if it is new. What is shared belongs to none.
func (t *transaction) subscription(ctx context.Context, provider, name string) (*int64, error) {
	if err := t.lockWindowSet(ctx); err != nil {
		return nil, err
	}
	switch {
	case name == All:
		return nil, nil
	case provider == All:
		return nil, &Error{
			Code: CodeInvalid, Field: "subscription", Example: All,
			Detail: fmt.Sprintf("A window of all providers is shared by all their subscriptions, so it cannot belong to %s.", name),
		}
	}
	err := t.EnsureSubscription(ctx, query.EnsureSubscriptionParams{
		TenantID: t.Tenant, Host: t.Host, Provider: provider, Name: name, CreatedAt: t.now,
	})
	if err != nil {
		return nil, fmt.Errorf("creating the subscription: %w", err)
	}
	subscription, err := t.GetSubscription(ctx, query.GetSubscriptionParams{TenantID: t.Tenant, Provider: provider, Name: name})
	if err != nil {
		return nil, fmt.Errorf("reading the subscription: %w", err)
	}
	return &subscription.ID, nil
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
