package simulate

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// again is how soon work that was not admitted at its promised start is judged anew.
const again = time.Second

// looks is how often within a window its step is looked at without anything happening.
const looks = 300

// Play plays a plan against a policy to its end.
func Play(plan *Plan, policy Policy) (*Report, error) {
	return PlayWithin(context.Background(), plan, policy)
}

// PlayWithin is Play for who cannot wait as long as that takes: past the end of ctx it gives up with the context's error.
func PlayWithin(ctx context.Context, plan *Plan, policy Policy) (*Report, error) {
	p := &player{
		plan: plan, policy: policy, fleet: Copy(&plan.Fleet), now: plan.Begin,
		running: map[*run]bool{}, memory: memory{},
	}
	p.report.Policy, p.report.Steps = policy.Name(), policy.Steps()
	p.report.Length = plan.End.Sub(plan.Begin)
	for i := range plan.Jobs {
		p.schedule(plan.Jobs[i].Arrives, arrival, i, nil)
	}
	for window, subscription := range Windows(p.fleet) {
		watch := &watch{subscription: subscription, window: window, begin: latest(plan.Begin, window.Since)}
		p.watches = append(p.watches, watch)
		every := watch.length() / looks
		for at := plan.Begin.Add(every); at.Before(plan.End); at = at.Add(every) {
			p.schedule(at, look, 0, nil)
		}
	}
	p.expectResets()
	for len(p.events) > 0 && !p.events[0].at.After(plan.End) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("playing until %s of %s: %w", p.now.Format(time.RFC3339), plan.End.Format(time.RFC3339), err)
		}
		if err := p.step(); err != nil {
			return nil, err
		}
	}
	p.advance(plan.End)
	p.finish()
	return &p.report, nil
}

type player struct {
	plan    *Plan
	policy  Policy
	fleet   *budget.Fleet
	now     time.Time
	events  events
	seq     int
	waiting []*ticket // in the order of the line
	running map[*run]bool
	memory  memory
	watches []*watch
	woken   time.Time // when waiting work is judged anew next
	report  Report
}

// ticket is a job that came.
type ticket struct {
	job      *Job
	request  budget.Request
	start    time.Time // when to judge it again
	promised time.Time // what it was first told
}

// run is a job that was started.
type run struct {
	ticket  *ticket
	tier    budget.Tier
	charges []charge
	ends    time.Time
}

// charge is what a run still reserves of a window, and what it will still spend there, evenly until it ends.
type charge struct {
	budget.Hold
	cost  int64
	since time.Time
}

// over is by how much a run will exceed what it reserves.
func (c *charge) over() int64 { return max(0, c.cost-c.Micros) }

// step takes the next event and everything it brings about.
func (p *player) step() error {
	next := heap.Pop(&p.events).(event)
	p.advance(next.at)
	if p.fleet.LimitBursts && next.what != look {
		for _, watch := range p.watches {
			watch.window.Recall(p.now)
		}
	}
	freed := false
	switch next.what {
	case arrival:
		if err := p.arrive(next.job); err != nil {
			return err
		}
	case end:
		freed = p.complete(next.run)
	case reset:
		freed = p.roll()
	case wake:
		if freed = next.at.Equal(p.woken); freed { // else an earlier one has taken its place
			p.woken = time.Time{}
		}
	}
	if freed {
		if err := p.replan(); err != nil {
			return err
		}
	}
	for _, watch := range p.watches {
		watch.look(p.now)
	}
	p.expectResets()
	p.expectWake()
	return nil
}

// expectWake schedules the next promised start.
func (p *player) expectWake() {
	var next time.Time
	for _, t := range p.waiting {
		next = earlier(next, t.start)
	}
	if next.IsZero() {
		return
	}
	if next = latest(next, p.now.Add(again)); p.woken.IsZero() || next.Before(p.woken) {
		p.woken = next
		p.schedule(next, wake, 0, nil)
	}
}

// expectResets schedules the reset of every window that has begun since.
func (p *player) expectResets() {
	for _, watch := range p.watches {
		if window := watch.window; !window.Closed() && !window.Reset.Equal(watch.expected) {
			watch.expected = window.Reset
			p.schedule(window.Reset, reset, 0, nil)
		}
	}
}

func (p *player) arrive(index int) error {
	job := &p.plan.Jobs[index]
	requested, err := p.fleet.Ladder.From(job.Model)
	if err != nil {
		return fmt.Errorf("job %d: %w", index+1, err)
	}
	ticket := &ticket{job: job, request: budget.Request{
		Place: budget.Place{ID: int64(index + 1), Priority: job.Priority, Arrived: job.Arrives},
		Role:  job.Role, Model: job.Model, Exact: job.Exact, Lowest: job.Lowest, Estimates: job.Given,
	}}
	if job.Patience > 0 {
		ticket.request.Deadline = job.Arrives.Add(job.Patience)
	}
	if job.Given == nil {
		ticket.request.Estimates = p.memory.expect(job, requested, p.fleet)
	}
	p.report.Arrived++
	return p.judge(ticket)
}

// judge asks the policy and does what it says.
func (p *player) judge(t *ticket) error {
	ruling, err := p.policy.Judge(&t.request, p.fleet, p.now)
	if err != nil {
		return fmt.Errorf("judging job %d: %w", t.request.ID, err)
	}
	switch ruling.Outcome {
	case budget.Admit:
		p.begin(t, &ruling)
	case budget.Refuse:
		p.report.Refused++
	case budget.Queue:
		t.start = ruling.Start
		if t.promised.IsZero() {
			t.promised = ruling.Start
		}
		at, _ := slices.BinarySearchFunc(p.waiting, t, func(a, b *ticket) int {
			if a.request.Before(&b.request.Place) {
				return -1
			}
			return 1
		})
		p.waiting = slices.Insert(p.waiting, at, t)
	}
	return nil
}

// replan judges all waiting work anew in the order of the line, as the register does when something was freed or is due.
func (p *player) replan() error {
	line := p.waiting
	p.waiting = make([]*ticket, 0, len(line))
	for _, t := range line {
		if err := p.judge(t); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) begin(t *ticket, ruling *Ruling) {
	requested, _ := p.fleet.Ladder.From(t.job.Model)
	r := &run{ticket: t, tier: ruling.Tier, ends: p.now.Add(t.job.Lasts)}
	for _, hold := range ruling.Holds {
		watch := p.watch(hold.Window)
		charge := charge{Hold: hold, cost: hold.Micros, since: p.now}
		if amount := amountIn(t.job.Costs, watch.window); amount > 0 {
			charge.cost = onTier(amount, ruling.Tier, requested[0])
		}
		charge.Held = p.now
		watch.admit(ruling.Lowered, charge.over())
		r.charges = append(r.charges, charge)
	}
	p.running[r] = true
	p.report.start(t, p.now, ruling.Lowered)
	p.schedule(r.ends, end, 0, r)
}

func onTier(micros int64, tier, requested budget.Tier) int64 {
	return int64(float64(micros) * float64(tier.Cost) / float64(requested.Cost))
}

// complete commits what a run cost; it says whether that freed anything.
func (p *player) complete(r *run) (freed bool) {
	delete(p.running, r)
	for i := range r.charges {
		charge := &r.charges[i]
		watch := p.watch(charge.Window)
		watch.over -= charge.over()
		watch.window.Settle(charge.Hold, charge.cost)
		freed = freed || charge.cost < charge.Micros
	}
	p.memory.learn(r, p.fleet, p.now)
	return freed
}

// roll begins every window anew that has reached its reset. What a live run has spent so far stays in the old window, what is
// left of its hold moves into the new one.
func (p *player) roll() (rolled bool) {
	for _, watch := range p.watches {
		window := watch.window
		if !window.Lapsed(p.now) {
			continue
		}
		rolled = true
		used := window.Used()
		var over int64
		for _, r := range p.inFlight() {
			for i := range r.charges {
				charge := &r.charges[i]
				if charge.Window != window.ID {
					continue
				}
				spent := int64(float64(charge.cost) * float64(p.now.Sub(charge.since)) / float64(max(1, r.ends.Sub(charge.since))))
				rest := charge.Meter(spent)
				window.Committed += spent
				window.Reserved -= charge.Micros - rest.Micros
				window.Margin -= charge.Margin - rest.Margin
				charge.Hold, charge.cost, charge.since = rest, charge.cost-spent, p.now
				over += charge.over()
			}
		}
		watch.close(used, over)
		if !window.RollOver(p.now) {
			window.Enter(budget.Epoch{Since: window.Reset, Reset: window.Reset.Add(watch.length())})
		}
	}
	return rolled
}

// inFlight is the runs in the order they were started, so that a plan is played the same every time.
func (p *player) inFlight() []*run {
	runs := make([]*run, 0, len(p.running))
	for r := range p.running {
		runs = append(runs, r)
	}
	slices.SortFunc(runs, func(a, b *run) int { return int(a.ticket.request.ID - b.ticket.request.ID) })
	return runs
}

func (p *player) finish() {
	p.report.Waiting = len(p.waiting)
	for _, t := range p.waiting {
		p.report.stillWaits(t, p.now)
	}
	p.report.sum(p.watches)
}

// advance moves the clock and lets the windows' watches measure the time between.
func (p *player) advance(to time.Time) {
	for _, watch := range p.watches {
		watch.measure(p.now, to)
	}
	p.now = to
}

func (p *player) watch(id int64) *watch {
	for _, watch := range p.watches {
		if watch.window.ID == id {
			return watch
		}
	}
	panic(fmt.Sprintf("a policy reserved in a window %d that is not in the plan", id))
}

func (p *player) schedule(at time.Time, what kind, job int, r *run) {
	p.seq++
	heap.Push(&p.events, event{at: at, what: what, job: job, run: r, seq: p.seq})
}

// kind is what happens; at one instant the lower comes first, so that a reset is judged before what waits for it.
type kind int

const (
	reset kind = iota
	end
	wake
	arrival
	look
)

type event struct {
	at   time.Time
	what kind
	job  int
	run  *run
	seq  int
}

type events []event

func (e events) Len() int      { return len(e) }
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	popped := (*e)[last]
	*e = (*e)[:last]
	return popped
}

func (e events) Less(i, j int) bool {
	switch {
	case !e[i].at.Equal(e[j].at):
		return e[i].at.Before(e[j].at)
	case e[i].what != e[j].what:
		return e[i].what < e[j].what
	}
	return e[i].seq < e[j].seq
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
