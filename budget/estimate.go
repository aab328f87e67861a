package budget

import (
	"fmt"
	"math"
	"slices"
)

// missTarget is the share of runs that may cost more than their bound: the bound is one for 9 runs of 10.
const missTarget = 0.1

// shrinkage is how many runs of its own make a key count as much as the wider key above it.
const shrinkage = 8

// Key says which runs an estimate learns from.
type Key struct {
	Role  string
	Kind  string // what kind of work it is, as the fleet names it; may be empty
	Model string
}

// BackOff is the keys from the narrowest to the widest: the key itself, its kind on its model, its model; each once. An empty
// field means any.
func (k Key) BackOff() []Key {
	return slices.Compact([]Key{k, {Kind: k.Kind, Model: k.Model}, {Model: k.Model}})
}

// Prior is what a run is taken to cost before any has been seen.
type Prior struct {
	Mean int64 // micro-units
	// Sigma is the standard deviation of the cost's logarithm; zero means 1, a cost known to about a factor of three.
	Sigma float64
}

// Learned is what one run will cost in one unit.
type Learned struct {
	Mean     int64   // micro-units: what pace counts
	Upper    int64   // micro-units, never below Mean: what the cap counts and a run may spend; 9 runs of 10 stay within
	Variance float64 // micro-units squared
	// Runs is how many independent, recent runs of its own this rests on (Kish); that of wider keys where those decide.
	Runs       float64
	Confidence Confidence
}

// Confidence is how far an estimate can be trusted.
type Confidence string

// The bands: nothing seen; fewer runs than a bound for 9 of 10 needs; some; at least 30, and enough of its own.
const (
	NoConfidence     Confidence = "none"
	LowConfidence    Confidence = "low"
	MediumConfidence Confidence = "medium"
	HighConfidence   Confidence = "high"
)

// Estimate is what the ladder takes of it, for a tier and a unit.
func (l Learned) Estimate(model, unit string) Estimate {
	return Estimate{Model: model, Unit: unit, Mean: l.Mean, Upper: l.Upper}
}

// Describe is the estimate in one sentence, with its confidence.
func (l Learned) Describe(unit string) string {
	says := fmt.Sprintf("about %s, 9 in 10 stay within %s", Short(l.Mean, unit), Short(l.Upper, unit))
	if l.Confidence == NoConfidence {
		return says + " (confidence none: no run seen yet)"
	}
	return fmt.Sprintf("%s (confidence %s: %s)", says, l.Confidence, runsSeen(l.Runs))
}

func runsSeen(runs float64) string {
	if count := math.Round(runs); count > 1 {
		return fmt.Sprintf("%.0f runs", count)
	}
	return "1 run"
}

// Expect estimates a run from the actuals of its keys, narrowest first and the same as in Learn; a nil or empty one is
// skipped. Each key is shrunk towards the wider one by n/(n+8), in the logarithm of the cost. What it works out it keeps in the
// actuals, so that only one goroutine may ask them at a time.
func Expect(prior Prior, keys ...*Actuals) Learned {
	believed := prior.belief()
	for i := len(keys) - 1; i >= 0; i-- {
		believed, _ = believed.narrow(keys[i])
	}
	return believed.learned()
}

// Learn takes a finished run into all its keys, narrowest first: whether it stayed within the bound each of them gave moves
// their level, then it joins their actuals. A run that was cut at its reservation counts as a miss, whatever it had used.
func Learn(run Actual, prior Prior, keys ...*Actuals) {
	believed := prior.belief()
	for i := len(keys) - 1; i >= 0; i-- {
		if keys[i] == nil {
			continue
		}
		narrower, weight := believed.narrow(keys[i])
		believed = narrower
		keys[i].adapt(run.Cut || run.Micros > believed.learned().Upper, weight)
		keys[i].remember(run)
	}
}

// belief is an estimate while keys are blended: logarithms of micro-units.
type belief struct {
	mean, bound float64
	spread      float64 // ln(1 + variance / mean^2)
	runs        float64
	own         float64 // of the narrowest key that has any
}

// narrow is the belief of a wider key, corrected by what a narrower one has seen, and the weight that had.
func (b belief) narrow(key *Actuals) (narrower belief, weight float64) {
	if key == nil || len(key.Runs) == 0 {
		return b, 0
	}
	seen := key.look()
	weight = seen.runs / (seen.runs + shrinkage)
	return belief{
		mean:   blend(weight, seen.mean, b.mean),
		bound:  blend(weight, seen.bound, b.bound),
		spread: blend(weight, seen.spread, b.spread),
		runs:   blend(weight, seen.runs, b.runs),
		own:    seen.runs,
	}, weight
}

func blend(weight, own, wider float64) float64 { return weight*own + (1-weight)*wider }

// normal90 is the point of the standard normal distribution that 9 of 10 stay below.
const normal90 = 1.2815515655446004

func (p Prior) belief() belief {
	sigma := p.Sigma
	if sigma <= 0 {
		sigma = 1
	}
	mean := logarithm(float64(p.Mean))
	return belief{mean: mean, bound: mean - sigma*sigma/2 + normal90*sigma, spread: sigma * sigma}
}

func (b belief) learned() Learned {
	mean := micros(b.mean)
	return Learned{
		Mean: mean, Upper: max(mean, micros(b.bound)),
		Variance: math.Min(math.Exp(2*b.mean)*math.Expm1(b.spread), math.MaxFloat64),
		Runs:     b.runs, Confidence: b.confidence(),
	}
}

func (b belief) confidence() Confidence {
	switch {
	case b.own == 0:
		return NoConfidence
	case b.runs < 1/missTarget-1:
		return LowConfidence
	case b.runs < 30 || b.own < shrinkage:
		return MediumConfidence
	}
	return HighConfidence
}

// logarithm is of at least one micro-unit, so that free runs have one too.
func logarithm(micros float64) float64 { return math.Log(math.Max(1, micros)) }

// micros is the amount of a logarithm, at most the largest one.
func micros(logarithm float64) int64 {
	amount := math.Round(math.Exp(logarithm))
	if amount >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(amount)
}
