package budget

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// remembered is how many runs of a key are kept.
const remembered = 256

// halfLife is the age at which a run counts half as much as one that has just ended.
const halfLife = 14 * 24 * time.Hour

// adaptation is how far one hit or miss moves the level of a bound.
const adaptation = 0.02

// Actual is what one finished run cost in one unit.
type Actual struct {
	At     time.Time `json:"at"`
	Micros int64     `json:"micros"`
	Cut    bool      `json:"cut,omitempty"` // stopped at its reservation: it would have cost more, nobody knows how much
}

// Actuals is what the runs of one key cost in one unit. Its JSON is how it is stored; the zero value has seen nothing.
type Actuals struct {
	Runs []Actual `json:"runs"` // as they ended, at most the last 256
	// Shift is by how much the level of the bound was moved from 0.1 to keep one miss in ten.
	Shift float64 `json:"shift"`

	seen *belief // what the runs say, until another joins them
}

// adapt moves the level after a hit or a miss, so that in the long run one run in ten misses, however costs drift (Gibbs
// and Candès, Adaptive Conformal Inference, arXiv 2106.00170). It moves by the share that these actuals had in the bound:
// what the prior or a wider key missed is no fault of theirs.
func (a *Actuals) adapt(missed bool, share float64) {
	step := missTarget
	if missed {
		step -= 1
	}
	a.Shift = min(1, max(-1, a.Shift+adaptation*share*step))
}

func (a *Actuals) remember(run Actual) {
	run.At, run.Micros = run.At.UTC(), max(0, run.Micros)
	if len(a.Runs) >= remembered {
		a.Runs = slices.Delete(a.Runs, 0, len(a.Runs)-remembered+1)
	}
	a.Runs = append(a.Runs, run)
	a.seen = nil
}

// look is what the runs say by themselves. Only how their weights compare matters, and that stays the same while all of them
// grow older together.
func (a *Actuals) look() belief {
	if a.seen == nil {
		seen := a.work()
		a.seen = &seen
	}
	return *a.seen
}

func (a *Actuals) work() belief {
	runs := a.weigh()
	var total, squares float64
	for _, run := range runs {
		total += run.weight
		squares += run.weight * run.weight
	}
	effective := total * total / squares
	redistribute(runs, total)
	var mean, square float64
	for _, run := range runs {
		share, cost := run.weight/total, max(1, float64(run.micros))
		mean += share * cost
		square += share * cost * cost
	}
	return belief{
		mean: math.Log(mean), spread: max(0, math.Log(square/(mean*mean))),
		bound: a.bound(runs, total, effective), runs: effective, own: effective,
	}
}

type weighted struct {
	micros int64
	weight float64
	cut    bool
}

// weigh is the runs by rising cost, each with the weight of its age beside the newest. At the same cost the cut ones come last.
func (a *Actuals) weigh() []weighted {
	var newest time.Time
	for i := range a.Runs {
		newest = latest(newest, a.Runs[i].At)
	}
	runs := make([]weighted, len(a.Runs))
	for i, run := range a.Runs {
		age := newest.Sub(run.At)
		runs[i] = weighted{micros: run.Micros, weight: max(1e-150, math.Exp2(-float64(age)/float64(halfLife))), cut: run.Cut}
	}
	slices.SortFunc(runs, func(a, b weighted) int {
		if order := cmp.Compare(a.micros, b.micros); order != 0 || a.cut == b.cut {
			return order
		}
		if a.cut {
			return 1
		}
		return -1
	})
	return runs
}

// redistribute hands the weight of each cut run to the dearer ones, one of which it would have been like (Efron's reading
// of Kaplan and Meier). A cut run that nothing dearer follows keeps it.
func redistribute(runs []weighted, total float64) {
	inherited, left := 1.0, total
	for i := range runs {
		own := runs[i].weight
		left -= own
		runs[i].weight = own * inherited
		if runs[i].cut && i < len(runs)-1 && left > total*1e-12 {
			runs[i].weight = 0
			inherited *= (left + own) / left
		}
	}
}

// bound is the logarithm of the cost at rank ceil((n+1)(1-level)) of n runs (split conformal prediction). Where the level
// asks for more than the dearest run it doubles for each 0.1 that is missing, so that it is finite and grows until it covers.
func (a *Actuals) bound(runs []weighted, total, effective float64) float64 {
	level := missTarget + a.Shift
	dearest := logarithm(float64(runs[len(runs)-1].micros))
	if lowest := 1 / (effective + 1); level < lowest {
		return dearest + math.Ln2*(lowest-level)/missTarget
	}
	wanted := (effective + 1) * (1 - level) / effective * total
	var covered float64
	for _, run := range runs {
		covered += run.weight
		if covered >= wanted-total*1e-9 {
			return logarithm(float64(run.micros))
		}
	}
	return dearest
}
