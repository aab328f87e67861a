package budget

import (
	"slices"
	"time"
)

const (
	// burstSlots is how many slots make the span that the burst rule looks at, once admissions share them.
	burstSlots = 48
	// burstAlone is how many admissions have a slot of their own.
	burstAlone = 64
)

// Slot is the mean of one admission of late; where they are many, of those within a short part of the span that the burst rule
// looks at.
type Slot struct {
	Since, Until time.Time // of the first and the last of them
	Micros       int64
}

// Recall forgets what was admitted before RecentSince and counts the rest as Recent: call it when the window is loaded. A slot
// counts until the last of it is past, so that Recent is never too small and reaches back at most h/48 too far. It is no more than all
// that counts as used: whoever corrects the use to less corrects it too.
func (w *Window) Recall(now time.Time) {
	since := w.RecentSince(now)
	w.Lately = slices.DeleteFunc(w.Lately, func(slot Slot) bool { return slot.Until.Before(since) })
	w.Recent = 0
	for _, slot := range w.Lately {
		w.Recent = add(w.Recent, slot.Micros)
	}
	w.Recent = min(w.Recent, max(0, w.Expected()))
}

// admitted counts a mean that is admitted now in a new slot, or in the newest one if all of that stays short enough.
func (w *Window) admitted(mean int64, now time.Time) {
	w.Recent = add(w.Recent, mean)
	last := len(w.Lately) - 1
	if last+1 < burstAlone || !w.together(w.Lately[last].Since, now) {
		w.Lately = append(w.Lately, Slot{Since: now})
		last++
	}
	w.Lately[last].Until, w.Lately[last].Micros = now, add(w.Lately[last].Micros, mean)
}

// together says whether two instants may share a slot.
func (w *Window) together(first, second time.Time) bool {
	from, length := w.progress(first.UnixMicro())
	to, _ := w.progress(second.UnixMicro())
	return to-from <= length/(burstSpans*burstSlots)
}

// turnedOut corrects what was admitted at an instant by how it turned out. What is taken back beyond its own slot had been added to
// the hold later. What is forgotten, or was admitted before this epoch, is not corrected.
func (w *Window) turnedOut(held time.Time, by int64) {
	own, _ := slices.BinarySearchFunc(w.Lately, held, func(slot Slot, at time.Time) int { return slot.Until.Compare(at) })
	if own == len(w.Lately) || held.Before(w.Since) || held.Before(w.Lately[own].Since) {
		return
	}
	for i := own; i < len(w.Lately) && by != 0; i++ {
		part := max(by, -w.Lately[i].Micros)
		w.Lately[i].Micros = add(w.Lately[i].Micros, part)
		w.Recent = max(0, add(w.Recent, part))
		by -= part
	}
}
