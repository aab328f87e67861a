package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// Shape is what a generated plan looks like.
type Shape struct {
	Seed       uint64
	Fleet      budget.Fleet
	Cycles     int     // how many times the shortest window is played
	Demand     float64 // what arrives, as a multiple of what the subscriptions can spend; above 1 saturates them
	Mean       float64 // mean cost of a job, as a share of the smallest capacity
	Largest    float64 // the largest cost, likewise
	Sigma      float64 // of the logarithm of costs: 0.5 is calm, 1 wild
	Longest    float64 // the longest a job lasts, as a share of the shortest window
	Backlog    float64 // what waits at the beginning already, as a share of what the subscriptions can spend in the shortest window
	Burst      float64 // the share of arrivals that bring a burst of about eight at once
	Exact      float64 // the share of jobs that may not be lowered
	Patience   float64 // how long a job may wait, as a share of the shortest window; 0: as long as it takes
	Priorities int     // jobs have one of so many priorities; 0: all the same
}

// Generate is the plan of a shape and its seed: arrivals come at random and in bursts, costs are lognormal with a median of
// each role's own.
func Generate(shape Shape) (*Plan, error) {
	if err := shape.check(); err != nil {
		return nil, err
	}
	g := generator{Shape: shape, random: rand.New(rand.NewPCG(shape.Seed, 0x6d6f736169632d6d))}
	return g.plan(), nil
}

func (s *Shape) check() error {
	switch {
	case len(s.Fleet.Subscriptions) == 0:
		return fmt.Errorf("there is no subscription to simulate, name at least one with a window, such as claude with 500 credits in 5h")
	case s.Cycles < 1:
		return fmt.Errorf("%d windows cannot be played, play at least 1, such as 3", s.Cycles)
	case !(s.Demand > 0):
		return fmt.Errorf("the demand %v is not above zero, such as 1.3 for more than the subscriptions can take", s.Demand)
	case !(s.Mean > 0) || !(s.Largest >= s.Mean):
		return fmt.Errorf("the mean cost %v and the largest %v are not a range above zero, such as 0.005 and 0.01", s.Mean, s.Largest)
	case s.Sigma < 0 || s.Longest < 0 || s.Backlog < 0 || s.Burst < 0 || s.Burst > 1 || s.Exact < 0 || s.Exact > 1 || s.Patience < 0 || s.Priorities < 0:
		return fmt.Errorf("a share is below 0 or above 1, such as 0.2")
	}
	return s.Fleet.Ladder.Validate()
}

type generator struct {
	Shape
	random *rand.Rand
}

// burstOf is how many jobs a burst brings on average.
const burstOf = 8

func (g *generator) plan() *Plan {
	begin, window := g.shortest()
	length := window.Reset.Sub(window.Since)
	plan := &Plan{Fleet: g.Fleet, Begin: begin, End: begin.Add(time.Duration(g.Cycles) * length)}
	perArrival := 1 + g.Burst*(burstOf-1)
	between := g.Mean * float64(window.Capacity()) * perArrival / (g.Demand * g.rate())
	for waiting := g.Backlog * g.rate() * length.Seconds(); waiting > 0; {
		job := g.job(begin, window, length)
		plan.Jobs = append(plan.Jobs, job)
		waiting -= float64(job.Costs[0].Micros)
	}
	for at := g.after(begin, between); at.Before(plan.End); at = g.after(at, between) {
		jobs := 1
		if g.random.Float64() < g.Burst {
			jobs = 1 + g.random.IntN(2*burstOf-1)
		}
		for range jobs {
			plan.Jobs = append(plan.Jobs, g.job(at, window, length))
		}
	}
	return plan
}

func (g *generator) after(at time.Time, seconds float64) time.Time {
	return at.Add(time.Duration(g.random.ExpFloat64() * seconds * float64(time.Second))).Truncate(time.Microsecond)
}

// roles are generated roles with their share of the mean cost.
var roles = []struct {
	name  string
	share float64
}{{"coder", 1.3}, {"reviewer", 0.7}, {"scribe", 1}}

func (g *generator) job(at time.Time, window *budget.Window, length time.Duration) Job {
	role := roles[g.random.IntN(len(roles))]
	top := 0
	for top < len(g.Fleet.Ladder)-1 && g.Fleet.Ladder[top].Provider != g.Fleet.Subscriptions[0].Provider {
		top++
	}
	cost := g.Mean * role.share * math.Exp(g.Sigma*g.random.NormFloat64()-g.Sigma*g.Sigma/2)
	cost = min(g.Largest, cost) * float64(window.Capacity())
	job := Job{
		Arrives: at, Role: role.name, Model: g.Fleet.Ladder[top].Model, Exact: g.random.Float64() < g.Exact,
		Costs: []budget.Amount{{Unit: window.Unit, Micros: max(1, int64(cost))}},
		Lasts: time.Duration((0.1 + 0.9*g.random.Float64()) * g.Longest * float64(length)).Truncate(time.Microsecond),
	}
	if g.Patience > 0 {
		job.Patience = time.Duration(g.Patience * float64(length)).Truncate(time.Microsecond)
	}
	if g.Priorities > 0 {
		job.Priority = g.random.IntN(g.Priorities)
	}
	return job
}

// shortest is the window with the shortest length; the plan begins with it.
func (g *generator) shortest() (begin time.Time, shortest *budget.Window) {
	for s := range g.Fleet.Subscriptions {
		for w := range g.Fleet.Subscriptions[s].Windows {
			window := &g.Fleet.Subscriptions[s].Windows[w]
			if shortest == nil || window.Reset.Sub(window.Since) < shortest.Reset.Sub(shortest.Since) {
				shortest = window
			}
		}
	}
	return shortest.Since, shortest
}

// rate is what all subscriptions can spend in a second: of each the slowest of its windows.
func (g *generator) rate() float64 {
	var sum float64
	for s := range g.Fleet.Subscriptions {
		slowest := math.Inf(1)
		for w := range g.Fleet.Subscriptions[s].Windows {
			window := &g.Fleet.Subscriptions[s].Windows[w]
			slowest = min(slowest, float64(window.Capacity())/window.Reset.Sub(window.Since).Seconds())
		}
		if !math.IsInf(slowest, 1) {
			sum += slowest
		}
	}
	return sum
}
