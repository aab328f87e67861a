package fleet

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// plan is a window as it will be. Nothing of it is recorded yet.
type plan struct {
	definition query.Definition // without an ID it is new
	row        query.Window
	fresh      bool      // a new epoch begins
	ends       time.Time // when the epoch before it ended
	beganNow   bool      // it begins now, since nobody said when it began
}

// planWindow works out what a window will be, or says what no window can be.
func (t *transaction) planWindow(ctx context.Context, b *book, set BudgetSet, current *budget.Window) (plan, error) {
	p := plan{fresh: current == nil || current.Lapsed(b.now)}
	if current != nil {
		p.definition, p.row = *b.definitions[current.ID], *b.rows[current.ID]
	} else {
		p.definition = query.Definition{
			TenantID: t.Tenant, Provider: set.Provider, Name: set.Window, Recurrence: budget.Recurrence{}.String(), Mine: true,
			ScopeKind: budget.OfSubscription.String(),
		}
		p.row = query.Window{FloorMicros: 0, BurstPpm: t.BurstPPM, Source: budget.UserEntered.String(), Confidence: 1}
	}
	if p.fresh {
		p.begin(b.now)
	}
	for _, step := range []func() error{
		func() error { return p.define(set, current == nil) },
		func() error { return p.measure(set, current, b.now) },
		func() error { return p.date(set, current, b.now) },
	} {
		if err := step(); err != nil {
			return p, err
		}
	}
	return p, t.apart(ctx, b, &p, set, current)
}

// begin makes the row a new epoch, in which nothing is spent.
func (p *plan) begin(now time.Time) {
	p.row.Epoch++
	p.row.CommittedMicros, p.row.Since, p.row.ResetAt, p.row.EndedAt = 0, nil, nil, nil
	p.row.Step, p.row.StepHeldAt, p.row.Lowered, p.row.Lapsed = cmp.Or(p.row.Step, budget.StepNormal.String()), longHeld(now), false, false
	p.ends = now
}

// define takes over whose work the window meters and how it recurs.
func (p *plan) define(set BudgetSet, isNew bool) error {
	d := &p.definition
	scope, err := budget.ParseScope(set.Scope)
	if err != nil {
		return unreadable("scope", err, "role:coder")
	}
	switch was := scopeOf(d); {
	case isNew:
		d.ScopeKind, d.ScopeName, d.Model = scope.Kind.String(), scope.Name, set.Model
	case set.Scope != "" && scope != was:
		return fixed("scope", d.Name, "meters "+wording(was), wording(scope))
	case set.Model != "" && set.Model != d.Model:
		return fixed("model", d.Name, "meters "+cmp.Or(d.Model, "every model"), set.Model)
	}
	if set.Recurrence != "" {
		r, err := budget.ParseRecurrence(inZone(set.Recurrence, set.Zone))
		if err != nil {
			return unreadable("recurrence", err, "every week on mon at 09:00 in Europe/Berlin")
		}
		d.Recurrence = r.String()
	}
	switch set.Hours {
	case "":
	case NoHours:
		d.Hours = ""
	default:
		hours, err := budget.ParseWorkingHours(inZone(set.Hours, set.Zone))
		if err != nil {
			return unreadable("hours", err, "mon-fri 09:00-18:00 in Europe/Berlin")
		}
		d.Hours = hours.String()
	}
	if set.Mine != nil {
		d.Mine = *set.Mine
	}
	return nil
}

func wording(scope budget.Scope) string {
	if scope.Kind == budget.OfSubscription {
		return "all work"
	}
	return scope.String()
}

// inZone writes the zone into a text that names none and has a place for one.
func inZone(text, zone string) string {
	switch head, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(text)), " "); {
	case zone == "", strings.Contains(strings.ToLower(text), " in "), head == "once", head == "provider", head == "rolling":
		return text
	}
	return text + " in " + zone
}

// unreadable is a text that the rules cannot read, in their own sentence.
func unreadable(field string, err error, example string) error {
	return &Error{Code: CodeInvalid, Field: field, Detail: stopped(err.Error()), Example: example}
}

// fixed is a change of what a window is.
func fixed(field, name, is, wanted string) error {
	return &Error{
		Code: CodeInvalid, Field: field, Detail: fmt.Sprintf("The window %s %s, not %s.", name, is, wanted),
		Example: name + "-2", NextStep: "Leave it out to amend the window, or give the new window another name.",
	}
}

// measure takes over the amounts.
func (p *plan) measure(set BudgetSet, current *budget.Window, now time.Time) error {
	floor := p.row.FloorMicros
	if set.FloorMicros != nil {
		floor = *set.FloorMicros
	} else if p.fresh && floor >= set.LimitMicros {
		floor = 0
	}
	switch {
	case set.LimitMicros <= 0:
		return &Error{
			Code: CodeLimitNotPositive, Field: "limit_micros",
			Detail:   fmt.Sprintf("The limit %s is not above zero.", budget.Format(set.LimitMicros, set.Unit)),
			Example:  "500000000",
			NextStep: "Give a limit above zero; to stop all work, cancel it instead.",
		}
	case current != nil && !current.Lapsed(now) && current.Unit != set.Unit:
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
	}
	p.row.Unit, p.row.LimitMicros, p.row.FloorMicros, p.row.CheckedAt = set.Unit, set.LimitMicros, floor, now
	if set.UsedMicros != nil {
		p.row.CommittedMicros = *set.UsedMicros
	}
	return p.believe(set)
}

// believe takes over where the numbers come from; what a person enters is believed whole.
func (p *plan) believe(set BudgetSet) error {
	source := set.Source
	if source == "" && set.UsedMicros != nil {
		source = budget.UserEntered.String()
	}
	if source != "" && source != p.row.Source {
		p.row.Source, p.row.Confidence = source, confidenceIn(budget.ParseSource(source))
	}
	if set.Confidence != nil {
		if *set.Confidence < 0 || *set.Confidence > 1 {
			return &Error{Code: CodeInvalid, Field: "confidence", Detail: fmt.Sprintf("The confidence %g is not from 0 to 1.", *set.Confidence), Example: "0.9"}
		}
		p.row.Confidence = *set.Confidence
	}
	return nil
}

func confidenceIn(source budget.Source) float64 {
	return [...]float64{budget.UserEntered: 1, budget.ProviderDetected: 1, budget.Estimated: 0.5, budget.SourceUnknown: 0}[source]
}

// apart keeps the epochs of a window from overlapping: a new one may cut short the one that ended without anybody to say when, but
// nothing may begin before the end of an epoch that is over.
func (t *transaction) apart(ctx context.Context, b *book, p *plan, set BudgetSet, current *budget.Window) error {
	if current == nil || p.row.Since == nil {
		return nil
	}
	if p.fresh && !current.Since.IsZero() {
		p.ends = latest(current.Since, earliest(current.Reset, *p.row.Since))
	}
	over, err := t.EpochBefore(ctx, query.EpochBeforeParams{TenantID: t.Tenant, DefinitionID: p.definition.ID})
	switch {
	case none(err) && !p.fresh:
		return nil
	case none(err):
		over = current.Since
	case err != nil:
		return fmt.Errorf("reading the end of the epoch before: %w", err)
	}
	if p.fresh {
		over = latest(over.UTC(), current.Since)
	}
	if since := p.row.Since.UTC(); !since.Before(over.UTC()) {
		return nil
	}
	if set.Since.IsZero() && over.Before(b.now) { // its recurrence says so, but the epoch before it ended late
		p.row.Since = pointer(over.UTC())
		return nil
	}
	over = over.Add(time.Second - 1).Truncate(time.Second) // said in whole seconds, it must not lie before the end
	return &Error{
		Code: CodeInvalid, Field: "since", Example: over.UTC().Format(time.RFC3339),
		Detail: fmt.Sprintf("The epoch before ended at %s, so this one cannot begin at %s.", over.UTC().Format(time.RFC3339), p.row.Since.UTC().Format(time.RFC3339)),
	}
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
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
