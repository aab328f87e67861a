package budget

// maxHeadroom is where g is clamped: more than four times the even rate is simply plenty.
const maxHeadroom = 4

// stickiness is how much better another subscription must be before warm context is left behind.
const stickiness = 1.15

// deviations is z: how many standard deviations of a reading count as used, a one-sided 90 % bound.
const deviations = 1.28

// weigh prepares g = [(L' - used - q - z sigma) / L'] / [(T - t) / D], the headroom that is left after a need. 1 is on pace.
// Products are rounded one by one, so that every machine gives the same answer.
func (f *figure) weigh(now int64) {
	f.sure = float64(f.capacity - f.expected)
	if f.window.Source == ProviderDetected {
		f.sure -= float64(deviations * f.deviation(now))
	}
	if f.capacity <= 0 {
		return
	}
	left := max(1, f.length-f.elapsed)
	f.weight = float64(f.length) / float64(float64(f.capacity)*float64(left))
}

// deviation is sigma of a provider's reading: one point of quantisation, and what was probably spent since it was taken.
func (f *figure) deviation(now int64) float64 {
	point := float64(f.window.Limit) / 100
	if f.elapsed <= 0 {
		return point
	}
	age := float64(max(0, now-f.window.Checked.UnixMicro()))
	return point + float64(float64(float64(f.expected)*age)/float64(f.elapsed))
}

// route chooses among the attempts from first on, all of one tier, those that are admitted; -1 if none is.
// A canary goes first, since there is only one at a time.
func (d *Decision) route(first int) int {
	best, stays := -1, -1
	for i := first; i < len(d.Attempts); i++ {
		attempt := &d.Attempts[i]
		if attempt.Verdict != Admitted {
			continue
		}
		if best < 0 || d.better(attempt, &d.Attempts[best]) {
			best = i
		}
		if d.request.Stays != 0 && attempt.on.ID == d.request.Stays {
			stays = i
		}
	}
	if best < 0 {
		return -1
	}
	paced := d.sheet.fleet.Policy == PolicyPace && !d.Attempts[best].canary
	if paced && stays >= 0 && d.Attempts[best].Headroom <= stickiness*d.Attempts[stays].Headroom {
		best = stays
	}
	for i := first; i < len(d.Attempts); i++ {
		if attempt := &d.Attempts[i]; attempt.Verdict == Admitted && i != best {
			attempt.pass(&d.Attempts[best], d.sheet.fleet.Policy)
		}
	}
	return best
}

func (d *Decision) better(a, b *Attempt) bool {
	if a.canary != b.canary {
		return a.canary
	}
	if d.sheet.fleet.Policy == PolicyPace && a.Headroom != b.Headroom {
		return a.Headroom > b.Headroom
	}
	return a.evaporates < b.evaporates
}

// because is why another subscription was taken.
type because uint8

const (
	toPace because = iota
	toDrain
	toStay
	toProbe
)

func (a *Attempt) pass(chosen *Attempt, policy Policy) {
	a.Verdict, a.chosen, a.chosenHeadroom = PassedOver, chosen.on, chosen.Headroom
	switch {
	case chosen.canary:
		a.because = toProbe
	case policy == PolicyDrain:
		a.because = toDrain
	case a.Headroom > chosen.Headroom:
		a.because = toStay
	}
}
