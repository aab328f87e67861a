package budget

import (
	"math"
	"slices"
	"time"
)

// Newcomer is the place of work that is not in any line yet: behind everything of its priority.
const Newcomer = math.MaxInt64

// Place is where a dispatch stands in a line: lifted work first, then priority, then age.
type Place struct {
	ID       int64 // older work has the lower ID
	Priority int
	Lifted   bool
}

// Before says whether p is served before other.
func (p Place) Before(other Place) bool {
	switch {
	case p.Lifted != other.Lifted:
		return p.Lifted
	case p.Priority != other.Priority:
		return p.Priority > other.Priority
	}
	return p.ID < other.ID
}

// Waiting is one dispatch in a window's line.
type Waiting struct {
	Place
	Need  int64     // what it will take from this window
	Start time.Time // what it was promised
}

// queue is what stands in a line ahead of a place.
type queue struct {
	count  int
	amount int64
	start  time.Time // the latest promise among them
}

func (w *Window) ahead(place Place) queue {
	var q queue
	for _, waiting := range w.Line {
		if !waiting.Before(place) || waiting.ID == place.ID {
			continue
		}
		q.count++
		q.amount = add(q.amount, waiting.Need)
		q.start = latest(q.start, waiting.Start)
	}
	return q
}

// join puts waiting work into its place in the line.
func (w *Window) join(waiting Waiting) {
	at, _ := slices.BinarySearchFunc(w.Line, waiting, func(a, b Waiting) int {
		if a.Before(b.Place) {
			return -1
		}
		return 1
	})
	w.Line = slices.Insert(w.Line, at, waiting)
}

// Leave takes a dispatch out of the line.
func (w *Window) Leave(id int64) {
	w.Line = slices.DeleteFunc(w.Line, func(waiting Waiting) bool { return waiting.ID == id })
}
