package budget

import (
	"slices"
	"time"
)

// sheet is what one decision works out once, however many tiers it tries. Its slices are used again by the next decision.
type sheet struct {
	fleet   *Fleet
	request *Request
	tiers   Ladder // the allowed ones, the requested one first
	now     int64

	units   []string // of the estimates; a window of no such unit cannot be judged
	needs   []need   // per tier, per unit
	sameLow bool     // a lower tier of the requested one's provider is cheaper, for work without an estimate
	anyLow  bool     // a lower tier that is there at all is cheaper, for work without an estimate
	others  bool     // a lower tier of another provider is there and could take the request
}

// need is what one tier takes in one unit.
type need struct {
	mean, upper int64
	sameLow     bool // of the requested tier: a lower tier of its provider needs less
	anyLow      bool // of the requested tier: a lower tier that is there at all needs less
}

func (s *sheet) open(fleet *Fleet, request *Request, tiers Ladder, now time.Time) {
	s.fleet, s.request, s.tiers, s.now = fleet, request, tiers, now.UnixMicro()
	s.estimate()
	fleet.survey(s)
	s.relieve()
}

// estimate works out what each tier needs in each unit.
func (s *sheet) estimate() {
	s.units, s.needs = s.units[:0], s.needs[:0]
	for i := range s.request.Estimates {
		if unit := s.request.Estimates[i].Unit; !slices.Contains(s.units, unit) {
			s.units = append(s.units, unit)
		}
	}
	for t := range s.tiers {
		for _, unit := range s.units {
			s.needs = append(s.needs, s.needOf(&s.tiers[t], unit))
		}
	}
}

// needOf is the tier's own estimate in the unit, or else that of another tier, the requested one first, scaled by their costs
// and rounded up.
func (s *sheet) needOf(tier *Tier, unit string) need {
	var from *Estimate
	cost := s.tiers[0].Cost
	for i := range s.request.Estimates {
		estimate := &s.request.Estimates[i]
		switch {
		case estimate.Unit != unit:
		case estimate.Model == tier.Model:
			return need{mean: max(0, estimate.Mean), upper: max(0, estimate.Mean, estimate.Upper)}
		case estimate.Model == "":
			from, cost = estimate, s.tiers[0].Cost
		case from == nil:
			from, cost = estimate, s.cost(estimate.Model)
		}
	}
	mean := scaleUp(max(0, from.Mean), tier.Cost, cost)
	return need{mean: mean, upper: max(mean, scaleUp(max(0, from.Upper), tier.Cost, cost))}
}

func (s *sheet) cost(model string) int64 {
	for i := range s.fleet.Ladder {
		if s.fleet.Ladder[i].Model == model {
			return s.fleet.Ladder[i].Cost
		}
	}
	return s.tiers[0].Cost
}

// relieve finds out where a lower tier could relieve the requested one, so that half the slack is kept for it.
func (s *sheet) relieve() {
	s.sameLow, s.anyLow, s.others = false, false, false
	for t := 1; t < len(s.tiers); t++ {
		tier, units := &s.tiers[t], len(s.units)
		same := tier.Provider == s.tiers[0].Provider
		if !same && !s.live(t) {
			continue
		}
		s.others = s.others || !same
		if tier.Cost < s.tiers[0].Cost {
			s.sameLow, s.anyLow = s.sameLow || same, true
		}
		for u := range units {
			if s.needs[t*units+u].less(&s.needs[u]) {
				s.needs[u].sameLow, s.needs[u].anyLow = s.needs[u].sameLow || same, true
			}
		}
	}
}

// less says whether a need is smaller: on the mean, or with equal means on the upper bound.
func (n *need) less(than *need) bool {
	return n.mean < than.mean || n.mean == than.mean && n.upper < than.upper
}

// live says whether a tier has a subscription whose windows could take the request at all.
func (s *sheet) live(t int) bool {
	for i := range s.fleet.Subscriptions {
		on := &s.fleet.Subscriptions[i]
		if on.Provider == s.tiers[t].Provider && s.served(t, on) && s.holdsEver(t, s.fleet.of(i)) {
			return true
		}
	}
	return false
}

func (s *sheet) served(t int, on *Subscription) bool {
	return s.request.Crew.serves(s.fleet.Ladder, s.tiers[t].Model, on.Provider, on.Name)
}

func (s *sheet) holdsEver(t int, figures []figure) bool {
	known := false
	for i := range figures {
		f := &figures[i]
		if f.meter == MeterUnknown || !f.covers(&s.tiers[t]) {
			continue
		}
		known = true
		if n := s.need(t, f); n == nil || n.upper > f.capacity {
			return false
		}
	}
	return known
}

// unit is where the estimates speak of a window's unit; an estimate without a unit speaks of any. -1 is nowhere.
func (s *sheet) unit(unit string) int {
	any := -1
	for i, known := range s.units {
		if known == unit {
			return i
		}
		if known == "" {
			any = i
		}
	}
	return any
}

// need is what a tier takes from a window; nil when the estimates speak of other units only. Without an estimate it is a share
// of the window, kept with the window until the next is asked for. Of tokens a window of percent takes its learned ratio. A window that
// its provider made known takes the share too where they speak of other units: nobody who asks needs to have heard of it, and the next
// reading settles what it took.
func (s *sheet) need(t int, f *figure) *need {
	if f.unit >= 0 {
		return &s.needs[t*len(s.units)+f.unit]
	}
	n := &f.share[min(t, 1)]
	if f.window.Ratio.Known() {
		if at := s.unit("tokens"); at >= 0 {
			of := &s.needs[t*len(s.units)+at]
			*n = *of
			n.mean = f.window.Ratio.Mean(of.mean)
			n.upper = max(n.mean, f.window.Ratio.Upper(of.upper))
			return n
		}
	}
	if len(s.units) > 0 && f.window.Recurrence.Kind != Reported {
		return nil
	}
	n.mean = scaleUp(scale(f.capacity, DefaultEstimatePPM, million), s.tiers[t].Cost, s.tiers[0].Cost)
	n.upper, n.sameLow, n.anyLow = n.mean, t == 0 && s.sameLow, t == 0 && s.anyLow
	return n
}

// relieved says whether some lower tier saves on a window of the requested one: it needs less there, or does not draw on it.
func (s *sheet) relieved(f *figure, n *need) bool {
	if len(s.tiers) == 1 {
		return false
	}
	if f.shared && f.window.Provider == "" {
		return n.anyLow || f.window.Model != ""
	}
	return s.others || n.sameLow || f.window.Model != "" && s.tiers[1].Provider == s.tiers[0].Provider
}

// holds is what a tier reserves on a subscription.
func (s *sheet) holds(into []Hold, t, subscription int) []Hold {
	into = s.holdsOf(into, t, s.fleet.of(subscription))
	return s.holdsOf(into, t, s.fleet.shared())
}

func (s *sheet) holdsOf(into []Hold, t int, figures []figure) []Hold {
	for i := range figures {
		f := &figures[i]
		if f.lapsed || !f.covers(&s.tiers[t]) {
			continue
		}
		if n := s.need(t, f); n != nil {
			into = append(into, Hold{Window: f.window.ID, Micros: n.upper, Margin: n.upper - n.mean})
		}
	}
	return into
}
