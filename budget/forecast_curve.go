package budget

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"
)

// curvePoints is how many points a curve has: a week has one every 105 minutes, five hours one every 3.
const curvePoints = 97

// Sample is what a window had used at an instant, on means (see Window.Expected), in micro-units.
type Sample struct {
	At   time.Time
	Used int64
}

// Uses is what a window has used since it began, in the order of time: each sample holds until the next.
type Uses []Sample

// At is the use at an instant; zero before the first sample.
func (u Uses) At(at time.Time) int64 {
	i := sort.Search(len(u), func(i int) bool { return u[i].At.After(at) })
	if i == 0 {
		return 0
	}
	return u[i-1].Used
}

// Curve is the use of a complete window at evenly spaced instants, from its beginning to its reset, in micro-units. A
// window leaves one behind at its reset; it is stored as it is.
type Curve []int64

// NewCurve is the curve of a window that has reached its reset.
func NewCurve(w *Window, uses Uses) Curve {
	curve := make(Curve, curvePoints)
	for i := range curve {
		curve[i] = uses.At(w.pointAt(i))
	}
	return curve
}

// pointAt is the instant of a curve's point.
func (w *Window) pointAt(i int) time.Time {
	return time.UnixMicro(w.Since.UnixMicro() + scale(max(0, w.length()), int64(i), curvePoints-1)).UTC()
}

// at is the use after a share of the window, between 0 and 1, on straight lines between points.
func (c Curve) at(share float64) float64 {
	place := min(1, max(0, share)) * float64(len(c)-1)
	i := min(int(place), len(c)-2)
	return blend(place-float64(i), float64(c[i+1]), float64(c[i]))
}

// rates is micro-units a (working) microsecond: the least-squares slope over the last hour (or D/24, if longer), and the
// average since the window began.
func (u Uses) rates(w *Window, now time.Time) (recent, average float64) {
	elapsed, length := w.progress(now.UnixMicro())
	if elapsed <= 0 || w.Closed() {
		return 0, 0
	}
	span := min(elapsed, max(time.Hour.Microseconds(), length/24))
	const points = 60
	var top, bottom float64
	for i := range int64(points + 1) {
		used := float64(w.Expected())
		if i < points {
			used = float64(u.At(w.reaches(elapsed - scale(span, points-i, points))))
		}
		offset := float64(i)/points - 0.5
		top += offset * used
		bottom += offset * offset
	}
	return max(0, top/(bottom*float64(span))), float64(w.Expected()) / float64(elapsed)
}

// history is the past windows of one, each with what it still grew by from where today's window stands.
type history struct {
	curves    []Curve
	weights   []float64
	windows   int
	total     float64
	effective float64
	share     float64 // of the window that has passed
}

// recall weighs the past by e^(-age/3), age in windows.
func recall(past []Curve, w *Window, now time.Time) history {
	var h history
	var squares float64
	for age, curve := range past {
		if len(curve) < 2 {
			continue
		}
		weight := math.Exp(-float64(age) / 3)
		h.curves, h.weights = append(h.curves, curve), append(h.weights, weight)
		h.total += weight
		squares += weight * weight
	}
	h.windows = len(h.curves)
	if h.windows > 0 {
		h.effective = h.total * h.total / squares
	}
	h.share = w.share(now)
	return h
}

// share is how much of the window's time, by the clock, has passed: that is what curves count in.
func (w *Window) share(at time.Time) float64 {
	if w.Closed() || w.length() <= 0 {
		return 0
	}
	return min(1, max(0, float64(at.UnixMicro()-w.Since.UnixMicro())/float64(w.length())))
}

// grows is by how much past windows grew from now to an instant: their weighted quantile.
func (h *history) grows(w *Window, at time.Time, quantile float64) float64 {
	type growth struct{ by, weight float64 }
	all := make([]growth, len(h.curves))
	for i, curve := range h.curves {
		all[i] = growth{max(0, curve.at(w.share(at))-curve.at(h.share)), h.weights[i]}
	}
	slices.SortFunc(all, func(a, b growth) int { return cmp.Compare(a.by, b.by) })
	var passed float64
	for _, g := range all {
		passed += g.weight
		if passed >= quantile*h.total {
			return g.by
		}
	}
	return all[len(all)-1].by
}

// runOut is how likely past windows, shifted to today's use, run dry before the reset, (mass + 0.5) / (total + 1), and when
// the median of those does; zero below even odds.
func (h *history) runOut(w *Window, now time.Time) (probability float64, at time.Time) {
	type end struct{ share, weight float64 }
	var dry []end
	var mass float64
	room := float64(w.Capacity() - w.Expected())
	for i, curve := range h.curves {
		for point := range curvePoints {
			share := float64(point) / (curvePoints - 1)
			if share >= h.share && share < 1 && curve.at(share)-curve.at(h.share) >= room {
				dry = append(dry, end{share, h.weights[i]})
				mass += h.weights[i]
				break
			}
		}
	}
	probability = (mass + 0.5) / (h.total + 1)
	if probability < 0.5 || mass == 0 {
		return probability, time.Time{}
	}
	slices.SortFunc(dry, func(a, b end) int { return cmp.Compare(a.share, b.share) })
	var passed float64
	for _, d := range dry {
		passed += d.weight
		if passed >= mass/2 {
			return probability, latest(now, w.Since.Add(time.Duration(d.share*float64(w.length()))*time.Microsecond))
		}
	}
	return probability, time.Time{}
}
