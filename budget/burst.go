package budget

import "time"

// burstSpans is how many of the spans that the burst rule looks at make a window: h = D/24.
const burstSpans = 24

// RecentSince is the instant from which Recent counts: h = D/24 of (working) time before now, at most the window's start.
func (w *Window) RecentSince(now time.Time) time.Time {
	if w.Closed() {
		return now
	}
	elapsed, length := w.progress(now.UnixMicro())
	if elapsed <= length/burstSpans {
		return w.Since
	}
	return w.reaches(elapsed - length/burstSpans)
}

// burst is the most that may be admitted within any h = D/24: twice the even rate that remained at its beginning,
// 2 h (L' - used then) / (time left then), and never less than the slack b.
func (f *figure) burst() int64 {
	span := f.length / burstSpans
	begun := max(0, f.elapsed-span)
	left := max(0, f.capacity-max(0, f.expected-f.window.Recent))
	if begun >= f.length {
		return f.capacity
	}
	return max(f.slack, scale(left, 2*span, f.length-begun))
}

// bursts says whether the need is too much within h. What is larger than the burst by itself starts alone.
func (f *figure) bursts(mean int64) bool {
	return f.recent > 0 && add(f.recent, mean) > f.most
}

// calm is when the burst will probably admit the need behind what is ahead, given that it drains evenly over h.
func (f *figure) calm(now, mean int64) int64 {
	recent := add(f.recent, f.ahead.mean)
	excess := min(add(recent, mean)-f.most, recent)
	if excess <= 0 {
		return now
	}
	span := f.length / burstSpans
	return add(now, max(span/60, scaleUp(span, excess, max(1, f.most))))
}
