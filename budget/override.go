package budget

import (
	"fmt"
	"time"
)

// Lift is what an override lifts.
type Lift string

// The lifts: the pace of a window, what it keeps back, or a limit that people have set.
const (
	LiftPace  Lift = "pace"
	LiftFloor Lift = "floor"
	LiftLimit Lift = "limit"
)

// Override is an amount granted beyond what a window allows, for so many epochs and no longer than until it expires.
type Override struct {
	Lifts   Lift
	Micros  int64     // in the window's unit, in each epoch
	Cycles  int       // how many epochs it still holds for, this one included
	Expires time.Time // zero means only the cycles end it
}

// Live says whether the override still holds.
func (o Override) Live(now time.Time) bool {
	return o.Cycles > 0 && (o.Expires.IsZero() || now.Before(o.Expires))
}

// Rolled is the override after so many resets.
func (o Override) Rolled(epochs int) Override {
	o.Cycles = max(0, o.Cycles-epochs)
	return o
}

// Permits says whether the window can be overridden so; the error is one sentence for whoever asks.
func (w *Window) Permits(o Override) error {
	switch {
	case o.Micros <= 0:
		return fmt.Errorf("an override of %s lifts nothing, give an amount above zero, such as 40k", Format(o.Micros, w.Unit))
	case o.Cycles < 1:
		return fmt.Errorf("an override for %d cycles never holds, give at least one, such as 1", o.Cycles)
	}
	switch o.Lifts {
	case LiftPace:
		return nil
	case LiftFloor:
		if w.Floor == 0 {
			return fmt.Errorf("the window %s keeps nothing back, so there is no floor to lift; lift its pace or its limit", w.Name)
		}
		return nil
	case LiftLimit:
		if w.Theirs {
			return &ProviderLimitError{Window: w.Name, Limit: Amount{Unit: w.Unit, Micros: w.Limit}}
		}
		return nil
	}
	return fmt.Errorf("%q is not what an override lifts, write pace, floor or limit, such as pace", string(o.Lifts))
}

// Grant makes a live override hold in the window at this moment: pace has so much more slack, the floor keeps so much less
// back, or the limit is so much higher. Grant it each time the window is loaded; it lasts no longer than the epoch.
func (w *Window) Grant(o Override, now time.Time) error {
	if err := w.Permits(o); err != nil || !o.Live(now) {
		return err
	}
	switch o.Lifts {
	case LiftPace:
		w.Extra = add(w.Extra, o.Micros)
	case LiftFloor:
		w.Floor = max(0, w.Floor-o.Micros)
	case LiftLimit:
		w.Limit = add(w.Limit, o.Micros)
	}
	return nil
}

// ProviderLimitError is an override of a limit that is not ours to lift.
type ProviderLimitError struct {
	Window string
	Limit  Amount
}

func (e *ProviderLimitError) Error() string {
	return fmt.Sprintf("The limit %s of the window %s is the provider's: no override lifts it. Lift its pace or its floor, or use another subscription.",
		Format(e.Limit.Micros, e.Limit.Unit), e.Window)
}
