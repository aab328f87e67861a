package budget

import "time"

// Step is the rung of the ladder a window stands on, from Normal up to StepRefuse.
type Step int

// The steps, lowest first.
const (
	StepNormal Step = iota
	StepDowngrade
	StepQueue
	StepRefuse
)

var stepNames = [...]string{"normal", "downgrade", "queue", "refuse"}

func (s Step) String() string { return stepNames[s] }

// ParseStep reads the name of a step; an unknown name is StepNormal.
func ParseStep(name string) Step {
	for i, known := range stepNames {
		if name == known {
			return Step(i)
		}
	}
	return StepNormal
}

// StandsOn is the step the window's numbers alone call for: refuse when used >= L', queue while work waits on it, downgrade while
// used - a > b/2 or its last admission was lowered, else normal.
func (w *Window) StandsOn(lowered bool, now time.Time) Step {
	switch {
	case w.Used() >= w.Capacity():
		return StepRefuse
	case len(w.Line) > 0:
		return StepQueue
	case lowered || w.Expected()-w.Allowance(now) > w.Burst()/2:
		return StepDowngrade
	}
	return StepNormal
}

// Dwell is how long a lower step must be called for before the window goes down to it: max(5 min, D/60).
func (w *Window) Dwell() time.Duration {
	return max(5*time.Minute, time.Duration(w.length()/60)*time.Microsecond)
}

// Stance is a window's step as the register keeps it.
type Stance struct {
	Step Step
	Held time.Time // when the numbers last called for this step or a higher one
}

// Next is the stance after the numbers called for step: up at once, down only after the dwell.
func (s Stance) Next(called Step, dwell time.Duration, now time.Time) Stance {
	switch {
	case called >= s.Step:
		return Stance{Step: called, Held: now}
	case now.Sub(s.Held) >= dwell:
		return Stance{Step: called, Held: now}
	}
	return s
}
