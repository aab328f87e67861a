package budget

import "time"

// Posted is which steps of a window have had their notice in this epoch.
type Posted [len(stepNames)]bool

// Announce says whether a step needs a notice of its own: the first of a level in an epoch is posted, later changes edit it.
func (p *Posted) Announce(step Step) (post bool) {
	if step == StepNormal || p[step] {
		return false
	}
	p[step] = true
	return true
}

// ringsAgain is how long after the first ring an unacknowledged one rings again.
var ringsAgain = [...]time.Duration{15 * time.Minute, 45 * time.Minute}

// NextRing is when an unacknowledged notice that first rang at an instant and has rung so many times rings again; false once
// it has rung enough.
func NextRing(first time.Time, rung int) (time.Time, bool) {
	if rung < 1 || rung > len(ringsAgain) {
		return time.Time{}, false
	}
	return first.Add(ringsAgain[rung-1]), true
}
