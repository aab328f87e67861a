package commands

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget/simulate"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/chart"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// What a reply plays at most, so that nobody else's command waits for it.
const (
	simulatedBound = 1500 * time.Millisecond
	simulatedMost  = 500 // dispatches
	enoughToReplay = 20
)

// simulatedWithin is the bound, which the race detector's tests do not keep.
var simulatedWithin = simulatedBound

func budgetSimulateCommand() *command {
	return &command{
		name:    "budget simulate",
		summary: "What your windows would have done with your last work, or with more than fits, as they are set or set otherwise.",
		about: "It plays the newest 500 dispatches, or made-up work if there are fewer than 20, on your windows from empty, and changes nothing. " +
			"With --slack, --limits or --route it plays them again so and shows both. It plays for a second and a half at most.",
		examples: []string{"budget simulate", "budget simulate claude --slack 10", "budget simulate --limits 150 --work made-up --demand 1.5", "budget simulate --route drain"},
		grammar:  func() grammar { return new(budgetSimulateGrammar) },
		run:      runSimulate,
	}
}

type budgetSimulateGrammar struct {
	windowsGrammar
	Slack  string `placeholder:"PERCENT" help:"How far use may run ahead of the even spread, in percent of a window; it is 5, and an override lifts it for a time."`
	Limits string `placeholder:"PERCENT" help:"Every limit at so many percent of what it is, such as 150."`
	Route  string `placeholder:"ROUTE" help:"pace or drain."`
	Work   string `placeholder:"WORK" help:"ledger for your newest dispatches, made-up for work of all sizes up to 1 % of the shortest window."`
	Demand string `placeholder:"N" help:"How much made-up work comes, as a multiple of what fits; 1.5 unless given."`
	Seeds  string `placeholder:"N" help:"How many times made-up work is drawn; 3 unless given, 20 at most."`
	Out    string `placeholder:"FILE" help:"In a terminal: the file to write the picture to, such as pace.png."`
}

type simulateArguments struct {
	Window string         `json:"window,omitempty"`
	Slack  *float64       `json:"slack,omitempty"`
	Limits *float64       `json:"limits,omitempty"`
	Route  register.Route `json:"route,omitempty"`
	Work   string         `json:"work,omitempty"`
	Demand float64        `json:"demand"`
	Seeds  int            `json:"seeds"`
	Out    string         `json:"out,omitempty"`
}

func (g *budgetSimulateGrammar) request(r *reader) request {
	asked := simulateArguments{
		Window: r.windowWord(g.Window), Slack: r.share("--slack", g.Slack, 0, 100, "10"), Limits: r.share("--limits", g.Limits, 1, 1000, "150"),
		Route: register.Route(r.choice("--route", g.Route, "pace", "drain")), Work: r.choice("--work", g.Work, "ledger", "made-up"),
		Demand: 1.5, Seeds: 3, Out: r.text("--out", g.Out, 4096),
	}
	if demand := r.share("--demand", g.Demand, 0.1, 5, "1.5"); demand != nil {
		asked.Demand = *demand
	}
	if g.Seeds != "" {
		asked.Seeds = r.number("--seeds", g.Seeds, 1, 20, "5")
	}
	if asked.Out != "" && r.origin.Transport == register.OriginTransportMatrix {
		r.refuse(problem("--out is for a terminal; in a room the picture is posted."))
	}
	return request{arguments: asked}
}

// share reads a number between least and most, with or without a percent sign; nil if none was given.
func (r *reader) share(where, typed string, least, most float64, example string) *float64 {
	if typed == "" {
		return nil
	}
	number, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(typed), "%")), 64)
	if err != nil || !(number >= least && number <= most) {
		r.refuse(problemf("%s: %s is not a number from %g to %g, such as %s.", where, read(typed), least, most, example))
		return nil
	}
	return &number
}

// Simulation is what came of the work under each setting.
type Simulation struct {
	Work       string              `json:"work"` // ledger or made-up
	Dispatches int                 `json:"dispatches"`
	Span       float64             `json:"span_seconds"`
	Plans      int                 `json:"plans"`
	Wanted     int                 `json:"plans_wanted"`
	Demand     float64             `json:"demand,omitempty"`
	Outcomes   []SimulationOutcome `json:"outcomes"`
}

// SimulationOutcome is what came of it under one setting. Shares are of what the binding windows can spend.
type SimulationOutcome struct {
	Setting      string  `json:"setting"`
	Overshoot    float64 `json:"overshoot"`
	Resets       int     `json:"resets"`
	Used         float64 `json:"used_at_reset"`
	LeastUsed    float64 `json:"least_used_at_reset"`
	PacingError  float64 `json:"pacing_error"`
	Slack        float64 `json:"slack"`
	WaitHalf     float64 `json:"wait_half_seconds"`
	WaitMost     float64 `json:"wait_95_seconds"`
	Promised     int     `json:"promised"`
	PromisesKept float64 `json:"promises_kept"`
	Lowered      float64 `json:"lowered"`
	StepsPerDay  float64 `json:"steps_a_day"`
	MostSteps    int     `json:"most_steps_in_a_stay"`
	Started      int     `json:"started"`
	Refused      int     `json:"refused"`
	Waiting      int     `json:"waiting"`
}

func runSimulate(ctx context.Context, s *session, call Call) (Reply, error) {
	asked, err := argumentsOf[simulateArguments](call)
	if err != nil {
		return Reply{}, err
	}
	windows, none, err := s.pickWindows(ctx, asked.Window)
	if err != nil || none != nil {
		return replyOf(none), err
	}
	ladder, err := s.api.Ladder(ctx, s.by)
	if err != nil {
		return Reply{}, err
	}
	policy, err := s.api.Policy(ctx, s.by)
	if err != nil {
		return Reply{}, err
	}
	fleet, err := SimulatedFleet(windows, ladder, policy, s.now())
	if err != nil {
		return Reply{}, err
	}
	if len(fleet.Subscriptions) == 0 {
		return Reply{Mood: MoodRefused, Data: windows, Markdown: paragraph("**Nothing to play on**: every window has lapsed.", "Set one again: "+setAgain(windows[0]))}, nil
	}
	ledger, err := SimulatedLedger(ctx, s.api, s.by, fleet.Ladder, policy, simulatedMost)
	if err != nil {
		return Reply{}, err
	}
	if asked.Work == "ledger" && ledger == nil {
		return Reply{Mood: MoodRefused, Data: windows, Markdown: paragraph("**No dispatch says yet what it cost**, so there is no past work to play.",
			"Play made-up work: "+say("budget simulate --work made-up"))}, nil
	}
	if asked.Work == "made-up" || asked.Work == "" && (ledger == nil || len(ledger.Jobs) < enoughToReplay) {
		ledger = nil
	}
	return asked.play(ctx, fleet, ledger, asked.Window)
}

// settings are the fleet as it is set and, if something is to be tried, as it would be then.
func (a *simulateArguments) settings(fleet budget.Fleet) (names []string, fleets []budget.Fleet) {
	names, fleets = []string{"as set"}, []budget.Fleet{fleet}
	if a.Slack == nil && a.Limits == nil && a.Route == "" {
		return names, fleets
	}
	var tried []string
	other := simulate.Copy(&fleet)
	for window := range simulate.Windows(other) {
		if a.Slack != nil {
			window.BurstPPM = int64(*a.Slack * 10_000)
		}
		if a.Limits != nil {
			window.Limit = int64(float64(window.Limit) * *a.Limits / 100)
		}
	}
	if a.Slack != nil {
		tried = append(tried, fmt.Sprintf("slack %g %%", *a.Slack))
	}
	if a.Limits != nil {
		tried = append(tried, fmt.Sprintf("limits at %g %%", *a.Limits))
	}
	switch a.Route {
	case register.RouteDrain:
		other.Policy = budget.PolicyDrain
		tried = append(tried, "route drain")
	case register.RoutePace:
		other.Policy = budget.PolicyPace
		tried = append(tried, "route pace")
	}
	return append(names, "with "+strings.Join(tried, ", ")), append(fleets, *other)
}

// play plays the work under each setting, a plan after the other as long as there is time.
func (a *simulateArguments) play(ctx context.Context, fleet budget.Fleet, ledger *simulate.Ledger, word string) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, simulatedWithin)
	defer cancel()
	names, fleets := a.settings(fleet)
	done := Simulation{Work: "made-up", Demand: a.Demand, Wanted: a.Seeds}
	if ledger != nil {
		first, last := ledger.Jobs[0].Arrives, ledger.Jobs[len(ledger.Jobs)-1].Arrives
		done = Simulation{Work: "ledger", Wanted: 1, Dispatches: len(ledger.Jobs), Span: last.Sub(first).Seconds()}
	}
	sums := make([]*simulate.Report, len(fleets))
	for seed := range done.Wanted {
		reports := make([]*simulate.Report, len(fleets))
		for i := range fleets {
			plan, err := a.plan(fleet, fleets[i], ledger, uint64(seed+1))
			if err == nil {
				reports[i], err = simulate.PlayWithin(ctx, plan, &simulate.Governor{})
			}
			if errors.Is(err, context.DeadlineExceeded) {
				return a.told(done, names, sums, word)
			}
			if err != nil {
				return Reply{}, err
			}
		}
		done.Plans++
		for i, report := range reports {
			if sums[i] == nil {
				sums[i] = report
			} else {
				sums[i].Add(report)
			}
		}
	}
	return a.told(done, names, sums, word)
}

// plan is the same work for every setting: how much comes is measured by what fits as it is set.
func (a *simulateArguments) plan(set, tried budget.Fleet, ledger *simulate.Ledger, seed uint64) (*simulate.Plan, error) {
	if ledger != nil {
		fleet := simulate.Copy(&tried)
		simulate.Begin(fleet, ledger.Jobs[0].Arrives)
		return ledger.Replay(*fleet), nil
	}
	plan, err := simulate.Generate(simulate.Shape{
		Seed: seed, Fleet: set, Cycles: 2, Demand: a.Demand, Mean: 0.006, Largest: 0.01, Sigma: 0.5, Longest: 0.02, Backlog: 0.1, Burst: 0.1, Exact: 0.5, Patience: 0.15,
	})
	if err != nil {
		return nil, err
	}
	plan.Fleet = tried
	return plan, nil
}

func (a *simulateArguments) told(done Simulation, names []string, sums []*simulate.Report, word string) (Reply, error) {
	if done.Plans == 0 {
		return Reply{Mood: MoodRefused, Data: done, Markdown: paragraph("**That takes longer to play than a reply may.** Nothing was changed.",
			"Play it on a terminal, which may take its time: `mosaic-matrix simulate --ledger gateway`")}, nil
	}
	for i, report := range sums {
		report.Policy = names[i]
		done.Outcomes = append(done.Outcomes, outcomeOf(report))
	}
	reply := Reply{Mood: MoodDone, Data: done, Markdown: simulationText(done, word)}
	if png, err := chart.Simulation(sums, chart.Room); err == nil {
		reply.Picture = &Picture{Name: "budget-simulate.png", PNG: png, Width: chart.Width, Height: chart.Height, Alt: Plain(reply.Markdown), Out: a.Out}
	}
	return reply, nil
}

func outcomeOf(r *simulate.Report) SimulationOutcome {
	return SimulationOutcome{
		Setting: r.Policy, Overshoot: r.Overshoot, Resets: r.Resets(), Used: r.Used, LeastUsed: r.LeastUsed, PacingError: r.PacingError, Slack: r.Slack,
		WaitHalf: r.Wait(0.5).Seconds(), WaitMost: r.Wait(0.95).Seconds(), Promised: r.Promised, PromisesKept: r.PromiseKept(), Lowered: r.LoweredShare(),
		StepsPerDay: r.FlapsPerDay(), MostSteps: r.MostChanges(), Started: r.Started, Refused: r.Refused, Waiting: r.Waiting,
	}
}
