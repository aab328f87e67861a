package budget

import (
	"math"
	"slices"
	"time"
)

// Newcomer is the place of work that is not in any line yet: behind everything of its priority.
const Newcomer = math.MaxInt64

// AgeUp is how long work waits for what one level of priority is worth.
const AgeUp = time.Hour

// Place is where a dispatch stands in a line: lifted work first, then priority, then age. Waiting counts like priority, one
// level per AgeUp, so that work is passed only by what comes within (its priority - yours) x AgeUp of you, and never starves.
type Place struct {
	ID       int64 // older work has the lower ID
	Priority int
	Lifted   bool
	Arrived  time.Time // when it began to wait; left out everywhere, priority alone decides before age
}

// Before says whether p is served before other.
func (p *Place) Before(other *Place) bool {
	if p.Lifted != other.Lifted {
		return p.Lifted
	}
	if mine, theirs := p.Rank(), other.Rank(); mine != theirs {
		return mine < theirs
	}
	if p.Priority != other.Priority {
		return p.Priority > other.Priority
	}
	return p.ID < other.ID
}

// Rank is when work of priority 0 would have had to arrive to stand here, in Unix microseconds: it never changes while the work waits.
func (p *Place) Rank() int64 {
	return p.Arrived.UnixMicro() - int64(p.Priority)*AgeUp.Microseconds()
}

// Waiting is one dispatch in a window's line.
type Waiting struct {
	Place
	Need   int64     // what it will take from this window, as an upper bound
	Margin int64     // how far that lies above the mean
	Start  time.Time // what it was promised
}

// queue is what stands in a line ahead of a place.
type queue struct {
	count int
	mean  int64
	start int64 // the latest promise among them, in microseconds
}

func (w *Window) ahead(place *Place) queue {
	q := queue{start: math.MinInt64}
	for i := range w.Line {
		waiting := &w.Line[i]
		if waiting.ID == place.ID || !waiting.Before(place) {
			continue
		}
		q.count++
		q.mean = add(q.mean, waiting.Need-waiting.Margin)
		q.start = max(q.start, waiting.Start.UnixMicro())
	}
	return q
}

// join puts waiting work into its place in the line.
func (w *Window) join(waiting Waiting) {
	at, _ := slices.BinarySearchFunc(w.Line, &waiting, func(a Waiting, b *Waiting) int {
		if a.Before(&b.Place) {
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

// Compare orders places as they are served: below zero if p is before other.
func (p *Place) Compare(other *Place) int {
	switch {
	case p.Before(other):
		return -1
	case other.Before(p):
		return 1
	}
	return 0
}
