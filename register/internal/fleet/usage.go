package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// UsageRun is whose use was seen: one attempt at a dispatch.
type UsageRun struct {
	Dispatch DispatchID
	Attempt  int32
	Claim    string
}

// SeenUse is what was seen to be used: of a run all of it so far, else what came on top.
type SeenUse struct {
	Model string // as the provider calls it
	Amount
	Until time.Time
	Run   *UsageRun
}

// UsageReport is use of one subscription. An empty subscription is the provider's own.
type UsageReport struct {
	Provider, Subscription string
	Reporter               string
	Uses                   []SeenUse
}

// Booking is what became of use.
type Booking struct {
	Kind     string      `json:"kind"`
	Unit     string      `json:"unit"`
	Micros   int64       `json:"micros"`
	Window   string      `json:"window,omitempty"`
	Dispatch *DispatchID `json:"dispatch,omitempty"`
}

// UsageAnswer is what was booked.
type UsageAnswer struct {
	Booked []Booking `json:"booked"`
	Now    time.Time `json:"now"`
}

// ReportUsage takes in what agents were seen to use. What a run explains is metered with the run, or corrects what was committed for
// it without a meter; what no dispatch explains is booked as unattributed.
func (s *Store) ReportUsage(ctx context.Context, m Mutation, report UsageReport) (UsageAnswer, error) {
	if report.Subscription == "" {
		report.Subscription = report.Provider
	}
	// Dispatches are locked in the order of their numbers, as everywhere.
	slices.SortStableFunc(report.Uses, func(a, b SeenUse) int { return cmp.Compare(a.dispatch(), b.dispatch()) })
	return once(ctx, s, m, func(t *transaction) (UsageAnswer, error) {
		b, err := t.openBook(ctx)
		if err != nil {
			return UsageAnswer{}, err
		}
		answer := UsageAnswer{Booked: []Booking{}, Now: b.now}
		for _, use := range report.Uses {
			booked, err := t.takeUse(ctx, b, &report, use)
			if err != nil {
				return UsageAnswer{}, err
			}
			answer.Booked = append(answer.Booked, booked...)
		}
		return answer, t.concludeUsage(ctx, b, &report, answer.Booked)
	})
}

// concludeUsage judges the waiting work anew if a window was charged, and tells what was booked.
func (t *transaction) concludeUsage(ctx context.Context, b *book, report *UsageReport, booked []Booking) error {
	charged := slices.ContainsFunc(booked, func(b Booking) bool { return b.Kind != kindMetered })
	if charged {
		t.change.Replan = true
	}
	if err := t.closeBook(ctx, b); err != nil || len(booked) == 0 {
		return err
	}
	return t.tell(ctx, Event{Type: "budget.usage", Cause: usageText(report, booked), Usage: booked})
}

func usageText(report *UsageReport, booked []Booking) string {
	var parts []string
	for _, kind := range []string{kindUnattributed, kindCorrection, kindMetered} {
		for _, booking := range booked {
			if booking.Kind == kind {
				parts = append(parts, booking.text())
			}
		}
	}
	return fmt.Sprintf("%s on %s: %s.", report.Reporter, report.Subscription, strings.Join(parts, ", "))
}

func (b Booking) text() string {
	amount := budget.Format(b.Micros, b.Unit)
	switch {
	case b.Kind == kindMetered:
		return fmt.Sprintf("%s has used %s so far", b.Dispatch, amount)
	case b.Kind == kindCorrection:
		return fmt.Sprintf("%s corrected by %s", b.Dispatch, amount)
	}
	return amount + " used outside of any dispatch"
}

func (u SeenUse) dispatch() DispatchID {
	if u.Run == nil {
		return 0
	}
	return u.Run.Dispatch
}

func (t *transaction) takeUse(ctx context.Context, b *book, report *UsageReport, use SeenUse) ([]Booking, error) {
	if use.Run == nil {
		return t.takeUnattributed(ctx, b, report, use)
	}
	row, err := t.LockDispatch(ctx, query.LockDispatchParams{TenantID: t.Tenant, ID: int64(use.Run.Dispatch)})
	if none(err) || err == nil && !use.Run.known(&row) {
		return t.takeUnattributed(ctx, b, report, use)
	}
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", use.Run.Dispatch, err)
	}
	current := row.Attempt == use.Run.Attempt
	if current {
		if use.Amount, err = t.meterRun(ctx, &row, use.Amount); err != nil || use.Micros == 0 {
			return nil, err
		}
	}
	if current && row.State == StateRunning {
		id := DispatchID(row.ID)
		return []Booking{{Kind: kindMetered, Unit: use.Unit, Micros: use.Micros, Dispatch: &id}}, nil
	}
	return t.correctRun(ctx, b, report, &row, use)
}

// known says whether the register has given out this run. A later attempt has forgotten the claims before it.
func (r *UsageRun) known(row *query.Dispatch) bool {
	return r.Attempt <= row.Attempt && (r.Attempt < row.Attempt || row.Claim == "" || row.Claim == r.Claim)
}

// meterRun adds a unit to what its run is known to have used, and answers all of it; nothing if that is not news.
func (t *transaction) meterRun(ctx context.Context, row *query.Dispatch, used Amount) (Amount, error) {
	before, err := meteredOf(row)
	if err != nil {
		return Amount{}, err
	}
	after := grown(before, []Amount{used})
	if slices.Equal(before, after) {
		return Amount{}, nil
	}
	row.Metered = encode(after)
	used.Micros, _ = amountIn(after, used.Unit)
	return used, t.putDispatch(ctx, row)
}

// correctRun makes what was committed for a run that has ended agree with what it was seen to use, unless it had an actual of its own.
func (t *transaction) correctRun(ctx context.Context, b *book, report *UsageReport, row *query.Dispatch, use SeenUse) ([]Booking, error) {
	var actuals []Amount
	if err := json.Unmarshal(row.Actuals, &actuals); err != nil {
		return nil, fmt.Errorf("reading the actuals of %s: %w", DispatchID(row.ID), err)
	}
	if _, reported := amountIn(actuals, use.Unit); reported && row.Attempt == use.Run.Attempt {
		return nil, nil
	}
	rows, err := t.AttemptLedger(ctx, query.AttemptLedgerParams{TenantID: t.Tenant, DispatchID: &row.ID, Attempt: &use.Run.Attempt, Unit: use.Unit})
	if err != nil {
		return nil, fmt.Errorf("reading what was booked for %s: %w", DispatchID(row.ID), err)
	}
	committed, unmetered := make(map[int64]int64), int64(0)
	for _, booked := range rows {
		if booked.WindowID == nil {
			unmetered = booked.Micros
			continue
		}
		committed[*booked.WindowID] = booked.Micros
	}
	var out []Booking
	windows := b.charged(row, use, committed)
	for _, window := range windows {
		by := max(use.Micros-committed[window.ID], -window.Committed)
		booking, err := t.bookUse(ctx, b, report, window, use, kindCorrection, by)
		if err != nil {
			return nil, err
		}
		out = append(out, booking...)
	}
	if len(windows) > 0 || len(committed) > 0 {
		return out, nil
	}
	return t.bookUse(ctx, b, report, nil, use, kindCorrection, use.Micros-unmetered)
}

// charged is the windows that were charged for a run, or would have been, as far as they still stand.
func (b *book) charged(row *query.Dispatch, use SeenUse, committed map[int64]int64) []*budget.Window {
	var out []*budget.Window
	if row.Attempt == use.Run.Attempt {
		for _, window := range b.counting(row, use.Unit) {
			if !window.Since.After(use.Until) {
				out = append(out, window)
			}
		}
	}
	for _, id := range b.order {
		window, _ := b.window(id)
		if _, was := committed[id]; was && !slices.Contains(out, window) {
			out = append(out, window)
		}
	}
	return out
}

// takeUnattributed charges every window that counts the use, whatever it was for; a window of a role, project or mission does not.
func (t *transaction) takeUnattributed(ctx context.Context, b *book, report *UsageReport, use SeenUse) ([]Booking, error) {
	use.Run = nil
	var out []Booking
	counted := false
	for _, id := range b.order {
		window, subscription := b.window(id)
		ours := subscription.Provider == report.Provider && subscription.Name == report.Subscription ||
			b.definitions[id].SubscriptionID == nil && (window.Provider == "" || window.Provider == report.Provider)
		if !ours || window.Unit != use.Unit || window.Scope != (budget.Scope{}) || window.Lapsed(b.now) || window.Since.After(use.Until) ||
			!strings.Contains(use.Model, window.Model) {
			continue
		}
		counted = true
		booking, err := t.bookUse(ctx, b, report, window, use, kindUnattributed, use.Micros)
		if err != nil {
			return nil, err
		}
		out = append(out, booking...)
	}
	if counted {
		return out, nil
	}
	return t.bookUse(ctx, b, report, nil, use, kindUnattributed, use.Micros)
}

// bookUse books use in the ledger and, if it has one, in its window.
func (t *transaction) bookUse(ctx context.Context, b *book, report *UsageReport, window *budget.Window, use SeenUse, kind string, micros int64) ([]Booking, error) {
	if micros == 0 {
		return nil, nil
	}
	params := query.InsertUnexplainedParams{
		TenantID: t.Tenant, Host: t.Host, Reporter: report.Reporter, Unit: use.Unit, Micros: micros, Kind: kind, Actor: t.actor, At: t.now,
	}
	booking := Booking{Kind: kind, Unit: use.Unit, Micros: micros}
	if use.Run != nil {
		id := int64(use.Run.Dispatch)
		params.DispatchID, params.Attempt, booking.Dispatch = &id, &use.Run.Attempt, &use.Run.Dispatch
	}
	if window != nil {
		window = b.opened(window)
		_, subscription := b.window(window.ID)
		window.Committed = min(window.Committed, math.MaxInt64-max(0, micros)) + micros
		params.WindowID, booking.Window = &window.ID, windowKey(subscription.Provider, subscription.Name, window.Name)
	}
	if err := t.InsertUnexplained(ctx, params); err != nil {
		return nil, fmt.Errorf("booking use: %w", err)
	}
	return []Booking{booking}, nil
}
