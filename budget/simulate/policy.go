package simulate

import (
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// Policy decides what starts, where and when.
type Policy interface {
	Name() string
	// Judge decides on one request and makes it so in the fleet's windows: an admitted one is reserved.
	Judge(request budget.Request, fleet []budget.Subscription, now time.Time) (Ruling, error)
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
	Ladder budget.Ladder
}

// Name is what the report calls it.
func (g Governor) Name() string { return "governor" }

// Judge asks the rules.
func (g Governor) Judge(request budget.Request, fleet []budget.Subscription, now time.Time) (Ruling, error) {
	decision, err := budget.Decide(g.Ladder, request, fleet, now)
	if err != nil {
		return Ruling{}, err
	}
	decision.Apply(fleet)
	return Ruling{
		Outcome: decision.Outcome, Tier: decision.Tier, Lowered: decision.Lowered,
		Holds: decision.Holds, Start: decision.Start,
	}, nil
}
