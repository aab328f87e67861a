package simulate

import (
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// Policy decides what starts, where and when.
type Policy interface {
	Name() string
	// Steps says whether its windows have steps that people are told of.
	Steps() bool
	// Judge decides on one request and makes it so in the fleet's windows: an admitted one is reserved.
	Judge(request *budget.Request, fleet *budget.Fleet, now time.Time) (Ruling, error)
}

// Ruling is what a policy decided.
type Ruling struct {
	Outcome budget.Outcome
	Tier    budget.Tier // that it runs on
	Lowered bool
	Holds   []budget.Hold
	Start   time.Time // of waiting work: when to judge it again, and what it is promised; zero: when something ends
}

// Governor is this project's policy: the rules themselves, asked as the register asks them.
type Governor struct {
	decision budget.Decision
}

// Name is what the report calls it.
func (g *Governor) Name() string { return "governor" }

// Steps says that it has them.
func (g *Governor) Steps() bool { return true }

// Judge asks the rules.
func (g *Governor) Judge(request *budget.Request, fleet *budget.Fleet, now time.Time) (Ruling, error) {
	d := &g.decision
	if err := fleet.DecideInto(d, request, now); err != nil {
		return Ruling{}, err
	}
	d.Apply(fleet)
	return Ruling{
		Outcome: d.Outcome, Tier: d.Tier, Lowered: d.Lowered, Holds: append([]budget.Hold(nil), d.Holds...), Start: d.Start,
	}, nil
}
