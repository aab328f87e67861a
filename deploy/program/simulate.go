package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget/simulate"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/chart"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

type simulateCommand struct {
	Subscription []string `help:"A subscription with its windows and their limits; may be repeated." default:"claude/team-a 5h=500 7d=20000,claude/team-b 5h=500" placeholder:"'PROVIDER/NAME 5h=500 7d=6000'"`
	Unit         string   `help:"The unit of the limits." default:"credits"`
	Slack        float64  `help:"The slack b above the even spread, in percent of a window." default:"5"`
	Drain        bool     `help:"Spend first what expires first, instead of keeping every subscription on its even spread."`
	Ledger       string   `help:"Play this ledger: what GET /api/fleet/dispatches answers, or a CSV; - is standard input, and gateway reads the newest 5000 dispatches, the windows, the ladder and the policy from the gateway." placeholder:"FILE"`
	Client       client   `embed:""`

	Seed     uint64  `help:"The first seed; the same seed gives the same report." default:"1"`
	Seeds    int     `help:"How many plans are played, one a seed." default:"5"`
	Windows  int     `help:"How many times the shortest window is played in each." default:"2"`
	Demand   float64 `help:"What arrives, as a multiple of what the subscriptions can spend." default:"2.5"`
	Mean     float64 `help:"Mean cost of a job, in percent of the shortest window." default:"0.8"`
	Largest  float64 `help:"Largest cost of a job, likewise." default:"1"`
	Sigma    float64 `help:"How widely costs vary: 0.5 is calm, 1 is wild." default:"0.5"`
	Longest  float64 `help:"The longest a job lasts, in percent of the shortest window." default:"2"`
	Burst    float64 `help:"Share of arrivals that bring about eight jobs at once, in percent." default:"10"`
	Exact    float64 `help:"Share of jobs that may not be lowered, in percent." default:"50"`
	Patience float64 `help:"How long a job may wait for its start, in percent of the shortest window; 0 is as long as it takes." default:"20"`
	Backlog  float64 `help:"What waits at the beginning already, in percent of what the shortest window can spend." default:"30"`
	Larger   bool    `help:"Play jobs of four times that size too, each up to 5 % of the window long." default:"true" negatable:""`

	Plot string `help:"Draw the first plan's first window into this PNG." type:"path" placeholder:"FILE"`
	Dark bool   `help:"Draw for a dark background."`
	JSON bool   `help:"Print the reports as JSON."`
}

// Run plays the plans and prints what came of them under each policy.
func (c *simulateCommand) Run(ctx context.Context) error {
	shape, err := c.shape()
	if err != nil {
		return err
	}
	switch c.Ledger {
	case "":
	case "gateway":
		return c.replayRegister(ctx)
	default:
		return c.replay(shape.Fleet)
	}
	reports, err := c.play(shape)
	if err != nil {
		return err
	}
	heading := fmt.Sprintf("%d plans of %d windows; jobs of %g %% of the shortest window, at most %g %%, up to %g %% of it long; demand %g times what fits.",
		c.Seeds, c.Windows, c.Mean, c.Largest, c.Longest, c.Demand)
	if err := c.show(os.Stdout, heading, reports); err != nil || c.JSON || !c.Larger {
		return err
	}
	shape.Mean, shape.Largest, shape.Longest = 4*shape.Mean, 4*shape.Largest, max(0.05, shape.Longest)
	larger, err := c.play(shape)
	if err != nil {
		return err
	}
	_, err = fmt.Printf("\nThe same with jobs four times as large, up to %g %% of the window long:\n\n%s", 100*shape.Longest, simulate.Table(larger))
	return err
}

func (c *simulateCommand) play(shape simulate.Shape) ([]*simulate.Report, error) {
	if c.Seeds < 1 {
		return nil, fmt.Errorf("%d seeds play nothing, give at least 1, such as --seeds 20", c.Seeds)
	}
	var plans []*simulate.Plan
	for i := range c.Seeds {
		shape.Seed = c.Seed + uint64(i)
		plan, err := simulate.Generate(shape)
		if err != nil {
			return nil, err
		}
		plans = append(plans, plan)
	}
	return simulate.Compare(plans...)
}

func (c *simulateCommand) replay(fleet budget.Fleet) error {
	from := os.Stdin
	if c.Ledger != "-" {
		file, err := os.Open(c.Ledger)
		if err != nil {
			return fmt.Errorf("opening the ledger: %w", err)
		}
		defer func() { _ = file.Close() }()
		from = file
	}
	ledger, err := simulate.ReadLedger(from, fleet.Ladder)
	if err != nil {
		return err
	}
	if fleet, err = c.fleet(ledger.Jobs[0].Arrives.Truncate(time.Hour)); err != nil {
		return err
	}
	return c.compare(ledger, fleet)
}

// ledgerOfRegister is how many dispatches are read from a gateway at most.
const ledgerOfRegister = 5000

// replayRegister plays what the register knows: its dispatches on its own windows, from empty.
func (c *simulateCommand) replayRegister(ctx context.Context) error {
	api, err := c.Client.api()
	if err != nil {
		return err
	}
	windows, err := api.Budgets(ctx, register.By{}, "")
	if err != nil {
		return err
	}
	ladder, err := api.Ladder(ctx, register.By{})
	if err != nil {
		return err
	}
	policy, err := api.Policy(ctx, register.By{})
	if err != nil {
		return err
	}
	fleet, err := commands.SimulatedFleet(windows.Windows, ladder, policy, windows.Now)
	if err != nil {
		return err
	}
	if len(fleet.Subscriptions) == 0 {
		return errors.New("the register has no window to play on; set one, such as mosaic-matrix exec budget set --provider claude --limit 500 --unit credits --reset-at +5h")
	}
	if c.Drain {
		fleet.Policy = budget.PolicyDrain
	}
	ledger, err := commands.SimulatedLedger(ctx, api, register.By{}, fleet.Ladder, policy, ledgerOfRegister)
	switch {
	case err != nil:
		return err
	case ledger == nil:
		return errors.New("no dispatch of the register says what it cost, so there is nothing to play; leave --ledger out to play generated work")
	}
	simulate.Begin(&fleet, ledger.Jobs[0].Arrives)
	return c.compare(ledger, fleet)
}

func (c *simulateCommand) compare(ledger *simulate.Ledger, fleet budget.Fleet) error {
	reports, err := simulate.Compare(ledger.Replay(fleet))
	if err != nil {
		return err
	}
	heading := fmt.Sprintf("%d dispatches of the ledger", len(ledger.Jobs))
	if ledger.Skipped > 0 {
		heading += fmt.Sprintf("; %d more say neither what they cost nor what was estimated", ledger.Skipped)
	}
	return c.show(os.Stdout, heading+".", reports)
}

// show prints the reports and draws the plot.
func (c *simulateCommand) show(out io.Writer, heading string, reports []*simulate.Report) error {
	if c.Plot != "" {
		theme := chart.Light
		if c.Dark {
			theme = chart.Dark
		}
		picture, err := chart.Simulation(reports, theme)
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.Plot, picture, 0o644); err != nil { //nolint:gosec // a picture to be shown around
			return fmt.Errorf("writing the plot: %w", err)
		}
	}
	if c.JSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(reports)
	}
	_, err := fmt.Fprintf(out, "%s\n\n%s", heading, simulate.Table(reports))
	return err
}

// simulated is when generated plans begin: a Monday.
var simulated = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

func (c *simulateCommand) shape() (simulate.Shape, error) {
	fleet, err := c.fleet(simulated)
	return simulate.Shape{
		Fleet: fleet, Cycles: c.Windows, Demand: c.Demand, Mean: c.Mean / 100, Largest: c.Largest / 100, Sigma: c.Sigma, Longest: c.Longest / 100,
		Burst: c.Burst / 100, Exact: c.Exact / 100, Patience: c.Patience / 100, Backlog: c.Backlog / 100,
	}, err
}

func (c *simulateCommand) fleet(begin time.Time) (budget.Fleet, error) {
	fleet := budget.Fleet{Ladder: budget.DefaultLadder(), LimitBursts: true}
	if c.Drain {
		fleet.Policy = budget.PolicyDrain
	}
	if c.Slack < 0 || c.Slack > 100 {
		return fleet, fmt.Errorf("a slack of %g %% is not a share of a window, such as 5", c.Slack)
	}
	window := int64(0)
	for i, text := range c.Subscription {
		words := strings.Fields(text)
		if len(words) < 2 {
			return fleet, fmt.Errorf("%q has no window, write a subscription such as 'claude/team-a 5h=500 7d=6000'", text)
		}
		provider, name, named := strings.Cut(words[0], "/")
		if !named {
			name = provider
		}
		subscription := budget.Subscription{ID: int64(i + 1), Provider: provider, Name: name}
		if !budgeted(fleet.Ladder, provider) {
			return fleet, fmt.Errorf("%q is not a provider of the ladder; known are claude and codex, such as 'claude/team-a 5h=500'", provider)
		}
		for _, word := range words[1:] {
			window++
			w, err := c.window(window, word, begin)
			if err != nil {
				return fleet, err
			}
			subscription.Windows = append(subscription.Windows, w)
		}
		fleet.Subscriptions = append(fleet.Subscriptions, subscription)
	}
	return fleet, nil
}

func budgeted(ladder budget.Ladder, provider string) bool {
	for _, tier := range ladder {
		if tier.Provider == provider {
			return true
		}
	}
	return false
}

// window reads a window such as 5h=500, which recurs back to back from the beginning.
func (c *simulateCommand) window(id int64, text string, begin time.Time) (budget.Window, error) {
	length, limit, _ := strings.Cut(text, "=")
	hours, err := strconv.Atoi(strings.TrimRight(length, "hdw"))
	switch {
	case strings.HasSuffix(length, "h"):
	case strings.HasSuffix(length, "d"):
		hours *= 24
	case strings.HasSuffix(length, "w"):
		hours *= 7 * 24
	default:
		hours = 0
	}
	if err != nil || hours < 1 || hours > 1000 {
		return budget.Window{}, fmt.Errorf("%q is not a window, write whole hours, days or weeks up to 1000 hours and a limit, such as 5h=500 or 7d=40k", text)
	}
	micros, err := budget.ParseAmount(limit)
	if err != nil {
		return budget.Window{}, fmt.Errorf("the limit of the window %s: %w", text, err)
	}
	if micros == 0 {
		return budget.Window{}, fmt.Errorf("the window %s has no limit above zero, such as 5h=500", text)
	}
	return budget.Window{
		ID: id, Name: length, Unit: c.Unit, Limit: micros, BurstPPM: int64(c.Slack * 10_000), Since: begin,
		Reset: begin.Add(time.Duration(hours) * time.Hour), Recurrence: budget.Repeats(hours, budget.Hours, begin, time.UTC),
	}, nil
}
