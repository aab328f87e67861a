package fleet

import (
	"slices"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// counting is the live windows that meter a run's work and count a unit: those of its subscription, and the shared ones. Every one of
// them is charged for what it spends in it.
func (b *book) counting(row *query.Dispatch, unit string) []*budget.Window {
	request := budget.Request{Role: row.Role, Project: row.Project, Mission: row.Mission}
	var out []*budget.Window
	for _, id := range b.order {
		window, subscription := b.window(id)
		ours := row.SubscriptionID != nil && subscription.ID == *row.SubscriptionID
		if b.definitions[id].SubscriptionID == nil {
			ours = row.Provider != "" && (window.Provider == "" || window.Provider == row.Provider)
		}
		ours = ours && window.Scope.Covers(&request) && (window.Model == "" || window.Model == row.Model)
		if ours && window.Unit == unit && !window.Lapsed(b.now) {
			out = append(out, window)
		}
	}
	return out
}

// grown is the spend of a run after a further report. What is spent is not taken back, and a unit that is left out is still spent.
func grown(before, report []Amount) []Amount {
	out := slices.Clone(before)
	for _, amount := range report {
		at := slices.IndexFunc(out, func(known Amount) bool { return known.Unit == amount.Unit })
		if at < 0 {
			out = append(out, amount)
			continue
		}
		out[at].Micros = max(out[at].Micros, amount.Micros)
	}
	return out
}
