package fleet

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// book is the tenant's subscriptions, current windows and lines at one instant, in the form the rules judge.
type book struct {
	now       time.Time
	fleet     budget.Fleet
	order     []int64 // window IDs, in the order of their definitions
	rows      map[int64]*query.Window
	movers    map[int64]mover
	pause     *Pause               // nil while the fleet runs
	undone    map[int64]string     // the state of what waiting work depends on and is not done
	cancelled map[int64]struct{}   // what this transaction cancelled for a dependency
	agents    []query.Agent        // the live ones
	overrides map[int64][]Override // of each window, the live ones
	policy    Policy
	learned   map[budget.Key][]Expectation // by role and kind, as far as anybody asked
	numbered  *int64                       // the last dispatch number taken; nil while nobody has asked

	definitions map[int64]*query.Definition // by window ID
	paced       map[int64]*int64            // what pace allowed of each window when the last dispatch was admitted; nil where it did not apply
}

// mover is the dispatch whose decision last touched a window.
type mover struct {
	dispatch DispatchID
	from, to string
	text     string
}

// openBook shares the pause, locks the tenant's windows in the order of their definitions, then reads the clock, the epochs and the
// lines: nobody else can change any of them before this transaction ends. Windows past their reset are rolled over first.
func (t *transaction) openBook(ctx context.Context) (*book, error) {
	pause, err := t.sharePause(ctx)
	if err != nil {
		return nil, err
	}
	if err := t.ShareWindowSet(ctx, t.Tenant); err != nil {
		return nil, fmt.Errorf("sharing the set of windows: %w", err)
	}
	if err := t.LockDefinitions(ctx, t.Tenant); err != nil {
		return nil, fmt.Errorf("locking the windows: %w", err)
	}
	windows, err := t.ListWindows(ctx, t.Tenant)
	if err != nil {
		return nil, fmt.Errorf("locking the windows: %w", err)
	}
	if err := t.readClock(ctx); err != nil {
		return nil, err
	}
	b, err := t.fillBook(ctx, windows)
	if err != nil {
		return nil, err
	}
	b.pause, b.undone, b.cancelled = pause, make(map[int64]string), make(map[int64]struct{})
	if b.agents, err = t.LiveAgents(ctx, query.LiveAgentsParams{TenantID: t.Tenant, Now: b.now}); err != nil {
		return nil, fmt.Errorf("reading the live agents: %w", err)
	}
	if err := t.rollOver(ctx, b); err != nil {
		return nil, err
	}
	return b, t.govern(ctx, b)
}

// readBook is a book to look at, without locks.
func (t *transaction) readBook(ctx context.Context) (*book, error) {
	windows, err := t.ListWindows(ctx, t.Tenant)
	if err != nil {
		return nil, fmt.Errorf("reading the windows: %w", err)
	}
	b, err := t.fillBook(ctx, windows)
	if err != nil {
		return nil, err
	}
	b.foresee()
	return b, t.govern(ctx, b)
}

func (t *transaction) fillBook(ctx context.Context, windows []query.ListWindowsRow) (*book, error) {
	subscriptions, err := t.ListSubscriptions(ctx, t.Tenant)
	if err != nil {
		return nil, fmt.Errorf("reading the subscriptions: %w", err)
	}
	lines, err := t.lines(ctx)
	if err != nil {
		return nil, err
	}
	b := &book{
		now: t.now, fleet: budget.Fleet{Ladder: t.Ladder, LimitBursts: true}, rows: make(map[int64]*query.Window), movers: make(map[int64]mover),
		definitions: make(map[int64]*query.Definition), overrides: make(map[int64][]Override), learned: make(map[budget.Key][]Expectation),
	}
	places := make(map[int64]int, len(subscriptions))
	for i, subscription := range subscriptions {
		places[subscription.ID] = i
		b.fleet.Subscriptions = append(b.fleet.Subscriptions, budget.Subscription{ID: subscription.ID, Provider: subscription.Provider, Name: subscription.Name})
	}
	for i := range windows {
		row, definition := &windows[i].Window, &windows[i].Definition
		window, err := budgetWindow(row, definition)
		if err != nil {
			return nil, err
		}
		window.Line = lines[window.ID]
		recall(&window, row, t.now)
		into := &b.fleet.Shared
		if definition.SubscriptionID != nil {
			into = &b.fleet.Subscriptions[places[*definition.SubscriptionID]].Windows
		}
		*into = append(*into, window)
		b.order = append(b.order, row.ID)
		b.rows[row.ID], b.definitions[row.ID] = row, definition
	}
	b.standIn()
	return b, nil
}

// standIn gives every provider of the ladder that has no subscription one to be judged on, so that a shared window is not passed by.
func (b *book) standIn() {
	if len(b.fleet.Shared) == 0 {
		return
	}
	for _, tier := range b.fleet.Ladder {
		if !slices.ContainsFunc(b.fleet.Subscriptions, func(s budget.Subscription) bool { return s.Provider == tier.Provider }) {
			b.fleet.Subscriptions = append(b.fleet.Subscriptions, budget.Subscription{Provider: tier.Provider, Name: tier.Provider})
		}
	}
}

// lines is the waiting work of every window, in line order.
func (t *transaction) lines(ctx context.Context) (map[int64][]budget.Waiting, error) {
	rows, err := t.Line(ctx, t.Tenant)
	if err != nil {
		return nil, fmt.Errorf("reading the waiting line: %w", err)
	}
	lines := make(map[int64][]budget.Waiting)
	for _, row := range rows {
		place := budget.Place{ID: row.ID, Priority: int(row.Priority), Lifted: row.Lifted, Arrived: row.CreatedAt.UTC()}
		for i, window := range row.WaitsOn {
			lines[window] = append(lines[window], budget.Waiting{Place: place, Need: row.WaitsMicros[i], Margin: row.WaitsMargins[i], Start: instant(row.PromisedStart)})
		}
	}
	for _, line := range lines {
		slices.SortFunc(line, func(a, b budget.Waiting) int { return a.Compare(&b.Place) })
	}
	return lines, nil
}

// window finds a current window by its ID, with its subscription; nil if it is not current. A shared window's subscription is All.
func (b *book) window(id int64) (*budget.Window, *budget.Subscription) {
	for s := range b.fleet.Subscriptions {
		for w := range b.fleet.Subscriptions[s].Windows {
			if b.fleet.Subscriptions[s].Windows[w].ID == id {
				return &b.fleet.Subscriptions[s].Windows[w], &b.fleet.Subscriptions[s]
			}
		}
	}
	for w := range b.fleet.Shared {
		if b.fleet.Shared[w].ID == id {
			return &b.fleet.Shared[w], &budget.Subscription{Provider: b.definitions[id].Provider, Name: All}
		}
	}
	return nil, nil
}

// find finds a current window by its names; nil if there is none.
func (b *book) find(provider, subscription, name string) *budget.Window {
	for _, id := range b.order {
		if window, on := b.window(id); window.Name == name && on.Provider == provider && on.Name == subscription {
			return window
		}
	}
	return nil
}

func (b *book) hold(id, micros int64) Hold {
	window, subscription := b.window(id)
	return Hold{Provider: subscription.Provider, Subscription: subscription.Name, Window: window.Name, Unit: window.Unit, Micros: micros}
}

func (b *book) holds(holds []budget.Hold) []Hold {
	out := make([]Hold, 0, len(holds))
	for _, hold := range holds {
		out = append(out, b.hold(hold.Window, hold.Micros))
	}
	return out
}

// show is a window as people see it now.
func (b *book) show(id int64) Window {
	window, subscription := b.window(id)
	row, definition := b.rows[id], b.definitions[id]
	shown := Window{
		Provider: subscription.Provider, Subscription: subscription.Name, Window: window.Name, Unit: window.Unit,
		LimitMicros: window.Limit, FloorMicros: window.Floor, CommittedMicros: window.Committed,
		ReservedMicros: window.Reserved, MarginMicros: window.Margin, UsedMicros: window.Used(), AllowanceMicros: window.Allowance(b.now),
		BurstMicros: window.Burst() + window.Extra, Step: row.Step, Since: window.Since, ResetAt: window.Reset, Source: row.Source,
		CheckedAt: row.CheckedAt.UTC(), Lapsed: window.Lapsed(b.now), Waiting: len(window.Line), Overrides: b.overrides[id],
		Scope: window.Scope.String(), Model: window.Model, Recurrence: definition.Recurrence, Hours: definition.Hours,
		Confidence: row.Confidence, Mine: definition.Mine, Closed: window.Closed(),
		Ratio: shownRatio(window.Ratio),
	}
	if window.Recurrence.Kind == budget.Calendar {
		shown.Zone = window.Recurrence.Zone.String()
	}
	return shown
}

// closeBook writes every window and the numbers back, moves windows whose step changed and tells so.
func (t *transaction) closeBook(ctx context.Context, b *book) error {
	if err := t.keepNumbers(ctx, b); err != nil {
		return err
	}
	for _, id := range b.order {
		window, _ := b.window(id)
		row := b.rows[id]
		before := *row
		row.CommittedMicros, row.ReservedMicros, row.MarginMicros = window.Committed, window.Reserved, window.Margin
		keepLately(row, window)
		if !instant(row.Since).Equal(window.Since) { // it was opened
			row.Since, row.ResetAt = pointer(window.Since), pointer(window.Reset)
		}
		from := budget.ParseStep(row.Step)
		to := b.stand(row, window)
		if reflect.DeepEqual(*row, before) {
			continue
		}
		if err := t.putWindow(ctx, row); err != nil {
			return err
		}
		if to == from {
			continue
		}
		change := b.change(id, from, to)
		if err := t.announce(ctx, id, &change); err != nil {
			return err
		}
		if err := t.tell(ctx, Event{Type: "budget.step", Cause: change.Text, Step: &change}); err != nil {
			return err
		}
	}
	return nil
}

// stand moves a row to the step its window calls for. A lapsed window keeps its step: its use is unknown.
func (b *book) stand(row *query.Window, window *budget.Window) budget.Step {
	held := budget.Stance{Step: budget.ParseStep(row.Step), Held: row.StepHeldAt.UTC()}
	if window.Lapsed(b.now) {
		return held.Step
	}
	next := held.Next(window.StandsOn(row.Lowered, b.now), window.Dwell(), b.now)
	if next.Step != held.Step || next.Step != budget.StepNormal {
		row.Step, row.StepHeldAt = next.Step.String(), next.Held
	}
	return next.Step
}

func (t *transaction) putWindow(ctx context.Context, row *query.Window) error {
	err := t.PutWindow(ctx, query.PutWindowParams{
		TenantID: t.Tenant, ID: row.ID, Unit: row.Unit, LimitMicros: row.LimitMicros, FloorMicros: row.FloorMicros,
		CommittedMicros: row.CommittedMicros, ReservedMicros: row.ReservedMicros, Since: row.Since, ResetAt: row.ResetAt,
		CheckedAt: row.CheckedAt, Step: row.Step, StepHeldAt: row.StepHeldAt, Lowered: row.Lowered, EndedAt: row.EndedAt, Host: t.Host, MarginMicros: row.MarginMicros,
		Source: row.Source, Confidence: row.Confidence, Lapsed: row.Lapsed, LateSince: row.LateSince, LateUntil: row.LateUntil, LateMicros: row.LateMicros,
	})
	if err != nil {
		return fmt.Errorf("writing the window: %w", err)
	}
	return nil
}

// change is a step change in words.
func (b *book) change(id int64, from, to budget.Step) StepChange {
	window, _ := b.window(id)
	change := StepChange{Window: b.show(id), From: from.String(), To: to.String()}
	if to != budget.StepNormal {
		change.EasesAt = window.EasesAt(b.now)
		for _, waiting := range window.Line {
			if waiting.Start.After(change.EasesAt) {
				change.EasesAt = waiting.Start
			}
		}
	}
	if moved, ok := b.movers[id]; ok && to > from {
		change.Dispatch, change.ModelFrom, change.ModelTo = &moved.dispatch, moved.from, moved.to
	}
	change.Text = b.explain(window, to, b.movers[id])
	return change
}

func (b *book) explain(window *budget.Window, to budget.Step, moved mover) string {
	switch to {
	case budget.StepRefuse:
		return fmt.Sprintf("All %s are used; nothing more is admitted until the reset.", budget.Format(window.Capacity(), window.Unit))
	case budget.StepQueue:
		if moved.text != "" && len(window.Line) == 1 {
			return moved.dispatch.String() + " w" + strings.TrimPrefix(moved.text, "W") // its reason begins with "Waits for"
		}
		return fmt.Sprintf("%d dispatches wait on this window.", len(window.Line))
	case budget.StepDowngrade:
		if moved.from != moved.to {
			return fmt.Sprintf("%s was lowered from %s to %s.", moved.dispatch, moved.from, moved.to)
		}
		return fmt.Sprintf("%s used; even spread allows %s by now.", budget.Format(window.Used(), window.Unit), budget.Short(window.Allowance(b.now), window.Unit))
	}
	return fmt.Sprintf("Back within even spread: %s used, %s allowed by now.", budget.Format(window.Used(), window.Unit), budget.Short(window.Allowance(b.now), window.Unit))
}
