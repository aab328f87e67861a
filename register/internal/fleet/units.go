package fleet

import (
	"fmt"
	"slices"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// spell says what an estimate without a unit counts: the one unit in which the requested model is metered and of which nothing else
// was said. Where there are several nobody can tell, and none is guessed. Where cheaper models are metered in other units it is left
// open, so that it can be held against those. Nothing is nothing in every unit.
func (b *book) spell(request *budget.Request) error {
	at := slices.IndexFunc(request.Estimates, func(e budget.Estimate) bool { return e.Unit == "" && e.Mean > 0 })
	tiers, err := b.fleet.Ladder.From(request.Model)
	if at < 0 || err != nil || len(tiers) == 0 {
		return nil //nolint:nilerr // the judgement names a model that nobody knows
	}
	var said []string
	for _, estimate := range request.Estimates {
		said = append(said, estimate.Unit)
	}
	own := slices.DeleteFunc(b.unitsOf(request, tiers[:1]), func(unit string) bool { return slices.Contains(said, unit) })
	if len(own) > 1 {
		amount := budget.Format(request.Estimates[at].Mean, "")
		return &Error{
			Code: CodeUnitMismatch, Field: "estimate",
			Detail:   fmt.Sprintf("The estimate %s has no unit, and the work of %s is metered in %s.", amount, tiers[0].Model, listed(own)),
			Example:  fmt.Sprintf(`[{"unit": %q, "micros": %d}]`, own[0], request.Estimates[at].Mean),
			NextStep: fmt.Sprintf("Say which, such as %s%s.", amount, own[0]),
		}
	}
	lower := slices.DeleteFunc(b.unitsOf(request, tiers), func(unit string) bool { return slices.Contains(said, unit) })
	if len(own) == 1 && len(lower) == 1 {
		request.Estimates[at].Unit = own[0]
	}
	return nil
}

// unitsOf is what the windows count that meter a request on these tiers. What only its provider made known asks nobody for an estimate.
func (b *book) unitsOf(request *budget.Request, tiers budget.Ladder) []string {
	var units []string
	for _, id := range b.order {
		window, on := b.window(id)
		meters := slices.ContainsFunc(tiers, func(tier budget.Tier) bool {
			return (on.Provider == tier.Provider || on.Provider == All) && (window.Model == "" || window.Model == tier.Model)
		})
		if meters && window.Scope.Covers(request) && window.Recurrence.Kind != budget.Reported && !window.Lapsed(b.now) && !slices.Contains(units, window.Unit) {
			units = append(units, window.Unit)
		}
	}
	return units
}

// listed names several things in one breath.
func listed(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
