package fleet

import (
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// recall loads what a window admitted of late, and leaves in the row just that.
func recall(window *budget.Window, row *query.Window, now time.Time) {
	for i, micros := range row.LateMicros {
		window.Lately = append(window.Lately, budget.Slot{Since: row.LateSince[i].UTC(), Until: row.LateUntil[i].UTC(), Micros: micros})
	}
	window.Recall(now)
	keepLately(row, window)
}

// keepLately writes what a window admitted of late into its row.
func keepLately(row *query.Window, window *budget.Window) {
	count := len(window.Lately)
	row.LateSince, row.LateUntil, row.LateMicros = make([]time.Time, count), make([]time.Time, count), make([]int64, count)
	for i, slot := range window.Lately {
		row.LateSince[i], row.LateUntil[i], row.LateMicros[i] = slot.Since, slot.Until, slot.Micros
	}
}

// pace notes what pace allows of the windows that a dispatch is about to be admitted on. It does not apply to lifted work, to a
// rolling window before it opens, and to a meter that nobody knows.
func (b *book) pace(row *query.Dispatch, decision *budget.Decision) {
	b.paced = make(map[int64]*int64, len(decision.Holds))
	for _, hold := range heldBy(decision) {
		window, _ := b.window(hold.Window)
		if row.Lifted || window.Closed() || window.Meter(b.now) == budget.MeterUnknown {
			continue
		}
		b.paced[hold.Window] = new(window.Allowance(b.now) + window.Burst() + window.Extra)
	}
}
