package budget

import (
	"slices"
	"time"
)

// sheet is what one decision works out once, however many tiers it tries: what each tier needs in each unit, and the figures
// of each window. Its slices are used again by the next decision.
type sheet struct {
	fleet   *Fleet
	request *Request
	tiers   Ladder // the allowed ones, the requested one first
	now     time.Time
	micros  int64 // now

	units   []string // of the estimates; a window of no such unit cannot be judged
	needs   []need   // per tier, per unit
	sameLow bool     // a lower tier of the requested one's provider is cheaper, for work without an estimate
	anyLow  bool     // a lower tier that is there at all is cheaper, for work without an estimate
	others  bool     // a lower tier of another provider is there and could take the request

	figures []figure
	shared  int   // the first figures are those of the shared windows
	from    []int // where the figures of each subscription begin; 0 means not worked out yet
	upTo    []int
}

// need is what one tier takes in one unit.
type need struct {
	mean, upper int64
	sameLow     bool // of the requested tier: a lower tier of its provider needs less
	anyLow      bool // of the requested tier: a lower tier that is there at all needs less
}

// figure is a window that covers the request, in numbers that do not depend on the tier.
type figure struct {
	window   *Window
	unit     int // in sheet.units; -1 for none of them
	meter    Meter
	lapsed   bool
	closed   bool
	shared   bool
	capacity int64
	left     int64 // L' - C - R90
	expected int64 // C + Rmean
	slack    int64 // b
	recent   int64 // 0 if bursts are not limited
	elapsed  int64
	length   int64
	ahead    queue
}

func (s *sheet) open(fleet *Fleet, request *Request, tiers Ladder, now time.Time) {
	s.fleet, s.request, s.tiers, s.now, s.micros = fleet, request, tiers, now, now.UnixMicro()
	s.figures = s.figures[:0]
	s.from = append(s.from[:0], make([]int, len(fleet.Subscriptions))...)
	s.upTo = append(s.upTo[:0], s.from...)
	s.estimate()
	s.add(fleet.Shared, true)
	s.shared = len(s.figures)
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

// needOf is the tier's own estimate in the unit, or else that of another tier scaled by their costs, rounded up.
func (s *sheet) needOf(tier *Tier, unit string) need {
	var from *Estimate
	cost := int64(0)
	for i := range s.request.Estimates {
		estimate := &s.request.Estimates[i]
		if estimate.Unit != unit {
			continue
		}
		model := estimate.Model
		if model == "" {
			model = s.tiers[0].Model
		}
		if model == tier.Model {
			return need{mean: estimate.Mean, upper: max(estimate.Mean, estimate.Upper)}
		}
		if from == nil || estimate.Model == "" {
			from, cost = estimate, s.cost(model)
		}
	}
	return need{
		mean:  scaleUp(from.Mean, tier.Cost, cost),
		upper: scaleUp(max(from.Mean, from.Upper), tier.Cost, cost),
	}
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
		subscription := &s.fleet.Subscriptions[i]
		if subscription.Provider == s.tiers[t].Provider && s.served(t, subscription) && s.holdsEver(t, s.of(i)) {
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
		if n, ok := s.need(t, f); !ok || n.upper > f.capacity {
			return false
		}
	}
	return known
}

// of is the figures of a subscription's own windows, worked out when first asked for.
func (s *sheet) of(subscription int) []figure {
	if s.upTo[subscription] == 0 {
		s.from[subscription] = len(s.figures)
		s.add(s.fleet.Subscriptions[subscription].Windows, false)
		s.upTo[subscription] = len(s.figures)
	}
	return s.figures[s.from[subscription]:s.upTo[subscription]]
}

func (s *sheet) add(windows []Window, shared bool) {
	for i := range windows {
		window := &windows[i]
		if !window.Scope.Covers(s.request) {
			continue
		}
		s.figures = append(s.figures, figure{window: window, shared: shared, closed: window.Closed()})
		f := &s.figures[len(s.figures)-1]
		f.unit = s.unit(window.Unit)
		f.lapsed = !f.closed && s.micros >= window.Reset.UnixMicro()
		if f.lapsed {
			f.meter = MeterUnknown
			continue
		}
		f.meter = window.believed(s.micros)
		f.capacity = window.Capacity()
		f.left = f.capacity - window.Used()
		f.expected, f.slack = window.Expected(), window.Burst()
		if s.fleet.LimitBursts {
			f.recent = window.Recent
		}
		f.elapsed, f.length = window.progress(s.micros)
		if len(window.Line) > 0 && !s.request.Lifted {
			f.ahead = window.ahead(&s.request.Place)
		}
	}
}

// unit is where the estimates speak of a window's unit; an estimate without a unit speaks of any.
func (s *sheet) unit(unit string) int {
	if i := slices.Index(s.units, unit); i >= 0 {
		return i
	}
	return slices.Index(s.units, "")
}

// covers says whether work on the tier draws on the window.
func (f *figure) covers(tier *Tier) bool {
	return (f.window.Model == "" || f.window.Model == tier.Model) && (f.window.Provider == "" || f.window.Provider == tier.Provider)
}

// need is what a tier takes from a window; unknown when the estimates speak of other units only.
func (s *sheet) need(t int, f *figure) (need, bool) {
	if len(s.units) == 0 {
		micros := scaleUp(scale(f.capacity, DefaultEstimatePPM, million), s.tiers[t].Cost, s.tiers[0].Cost)
		return need{mean: micros, upper: micros, sameLow: t == 0 && s.sameLow, anyLow: t == 0 && s.anyLow}, true
	}
	if f.unit < 0 {
		return need{}, false
	}
	return s.needs[t*len(s.units)+f.unit], true
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
	into = s.holdsOf(into, t, s.of(subscription))
	return s.holdsOf(into, t, s.figures[:s.shared])
}

func (s *sheet) holdsOf(into []Hold, t int, figures []figure) []Hold {
	for i := range figures {
		f := &figures[i]
		if f.lapsed || !f.covers(&s.tiers[t]) {
			continue
		}
		if n, ok := s.need(t, f); ok {
			into = append(into, Hold{Window: f.window.ID, Micros: n.upper, Margin: n.upper - n.mean})
		}
	}
	return into
}
