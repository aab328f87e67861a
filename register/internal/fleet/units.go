package fleet

import (
	"fmt"
	"slices"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// spell gives an estimate without a unit the one in which the requested model is metered and of which nothing else was said, and says
// whether it did. Where there are several nobody can tell, and none is guessed. A model without a window means what the models below
// it are metered in. Of other units such an estimate says nothing: see expectations. Nothing is nothing in every unit.
func (b *book) spell(request *budget.Request) (bool, error) {
	at := slices.IndexFunc(request.Estimates, func(e budget.Estimate) bool { return e.Unit == "" && e.Mean > 0 })
	tiers, err := b.fleet.Ladder.From(request.Model)
	if at < 0 || err != nil || len(tiers) == 0 {
		return false, nil //nolint:nilerr // the judgement names a model that nobody knows
	}
	meant := b.unsaid(request, tiers[:1])
	if len(meant) == 0 {
		meant = b.unsaid(request, tiers)
	}
	switch len(meant) {
	case 0:
		return false, nil
	case 1:
		request.Estimates[at].Unit = meant[0]
		return true, nil
	}
	amount := budget.Format(request.Estimates[at].Mean, "")
	return false, &Error{
		Code: CodeUnitMismatch, Field: "estimate",
		Detail:   fmt.Sprintf("The estimate %s has no unit, and the work of %s is metered in %s.", amount, tiers[0].Model, listed(meant)),
		Example:  fmt.Sprintf(`[{"unit": %q, "micros": %d}]`, meant[0], request.Estimates[at].Mean),
		NextStep: fmt.Sprintf("Say which, such as %s%s.", amount, meant[0]),
	}
}

// unsaid is the units that meter a request on these tiers and that its estimates do not speak of. What only its provider made known
// asks nobody for an estimate, so that it counts only where nothing else does.
func (b *book) unsaid(request *budget.Request, tiers budget.Ladder) []string {
	set, reported := b.unitsOf(request, tiers)
	if len(set) == 0 {
		set = reported
	}
	return slices.DeleteFunc(set, func(unit string) bool {
		return slices.ContainsFunc(request.Estimates, func(e budget.Estimate) bool { return e.Unit == unit })
	})
}

// unitsOf is what the windows count that meter a request on these tiers: those that people set, and those that providers made known.
func (b *book) unitsOf(request *budget.Request, tiers budget.Ladder) (set, reported []string) {
	for _, id := range b.order {
		window, on := b.window(id)
		meters := slices.ContainsFunc(tiers, func(tier budget.Tier) bool {
			return (on.Provider == tier.Provider || on.Provider == All) && (window.Model == "" || window.Model == tier.Model)
		})
		into := &set
		if window.Recurrence.Kind == budget.Reported {
			into = &reported
		}
		if meters && window.Scope.Covers(request) && !window.Lapsed(b.now) && !slices.Contains(*into, window.Unit) {
			*into = append(*into, window.Unit)
		}
	}
	return set, reported
}

// listed names several things in one breath.
func listed(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
