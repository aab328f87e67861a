package program

import (
	"fmt"
	"io"
	"os"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget/simulate"
)

// simulateCommand plays generated work against the rules and against simpler ones; it reads and changes nothing of a fleet.
type simulateCommand struct {
	Seeds         int           `help:"How many plans to play, each generated from a seed of its own." default:"5"`
	Days          int           `help:"Days that a plan lasts, on top of its hours." default:"0"`
	Hours         int           `help:"Hours that a plan lasts, rounded up to whole windows." default:"10"`
	Subscriptions int           `help:"How many subscriptions there are, each with one window." default:"2"`
	Window        time.Duration `help:"How long a window lasts." default:"5h"`
	Limit         string        `help:"What a window may spend, in credits." default:"500"`
	Burst         float64       `help:"How far use may run ahead of the even spread, in % of the limit." default:"5"`
	Policy        string        `help:"How the governor chooses between subscriptions." enum:"pace,drain" default:"pace"`
	Load          float64       `help:"What arrives, as a multiple of what the subscriptions can spend; above 1 saturates them." default:"2.5"`
	Job           float64       `help:"What a job costs on average, in % of the limit." default:"0.8"`
	Largest       float64       `help:"What a job costs at most, in % of the limit." default:"1"`
	Lasts         float64       `help:"How long a job lasts at most, in % of the window." default:"2"`
	Exact         float64       `help:"Share of the jobs that may not run on a lower tier, in %." default:"50"`
	Patience      time.Duration `help:"How long a job may wait for its start; 0 waits as long as it takes." default:"75m"`
	Plot          string        `help:"Also draw the first plan into this PNG file." type:"path" placeholder:"FILE"`
}

func (c *simulateCommand) Run() error { return c.play(os.Stdout) }

func (c *simulateCommand) play(output io.Writer) error {
	if err := c.check(); err != nil {
		return err
	}
	fleet, err := c.fleet()
	if err != nil {
		return err
	}
	plans := make([]*simulate.Plan, c.Seeds)
	for seed := range plans {
		if plans[seed], err = simulate.Generate(c.shape(fleet, uint64(seed))); err != nil {
			return err
		}
	}
	reports, err := simulate.Compare(plans...)
	if err != nil {
		return err
	}
	fmt.Fprint(output, simulate.Table(reports))
	if c.Plot == "" {
		return nil
	}
	drawn, err := plot(plans[0].Begin, plans[0].End, reports)
	if err != nil {
		return fmt.Errorf("drawing the plot: %w", err)
	}
	if err := os.WriteFile(c.Plot, drawn, 0o644); err != nil {
		return fmt.Errorf("writing the plot: %w", err)
	}
	return nil
}

func (c *simulateCommand) check() error {
	switch {
	case c.Seeds < 1:
		return fmt.Errorf("%d seeds play nothing, give at least 1, such as --seeds 5", c.Seeds)
	case c.Subscriptions < 1:
		return fmt.Errorf("%d subscriptions can spend nothing, give at least 1, such as --subscriptions 2", c.Subscriptions)
	case c.Window < time.Hour || c.Window%time.Hour != 0:
		return fmt.Errorf("a window of %s does not last whole hours, such as --window 5h or --window 168h", c.Window)
	case c.Days < 0 || c.Hours < 0 || c.lasts() <= 0:
		return fmt.Errorf("%d days and %d hours are no time to play, such as --days 7 or --hours 10", c.Days, c.Hours)
	case !(c.Burst >= 0 && c.Burst <= 100):
		return fmt.Errorf("a burst of %v %% is not between 0 and 100, such as --burst 5", c.Burst)
	}
	return nil
}

func (c *simulateCommand) lasts() time.Duration {
	return time.Duration(c.Days)*24*time.Hour + time.Duration(c.Hours)*time.Hour
}

// simulatedSince is when every plan begins; what is played does not depend on it.
var simulatedSince = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

func (c *simulateCommand) fleet() (budget.Fleet, error) {
	limit, err := budget.ParseAmount(c.Limit)
	if err != nil {
		return budget.Fleet{}, err
	}
	fleet := budget.Fleet{Ladder: budget.DefaultLadder(), LimitBursts: true}
	if c.Policy == "drain" {
		fleet.Policy = budget.PolicyDrain
	}
	for id := range int64(c.Subscriptions) {
		fleet.Subscriptions = append(fleet.Subscriptions, budget.Subscription{
			ID: id + 1, Provider: fleet.Ladder[0].Provider, Name: fmt.Sprintf("%s-%d", fleet.Ladder[0].Provider, id+1),
			Windows: []budget.Window{{
				ID: id + 1, Name: "window", Unit: "credits", Limit: limit, BurstPPM: int64(c.Burst * 1e4),
				Since: simulatedSince, Reset: simulatedSince.Add(c.Window),
				Recurrence: budget.Repeats(int(c.Window/time.Hour), budget.Hours, simulatedSince, time.UTC),
			}},
		})
	}
	return fleet, nil
}

func (c *simulateCommand) shape(fleet budget.Fleet, seed uint64) simulate.Shape {
	return simulate.Shape{
		Seed: seed, Fleet: fleet, Cycles: int((c.lasts() + c.Window - 1) / c.Window), Demand: c.Load, Sigma: 0.5,
		Mean: c.Job / 100, Largest: c.Largest / 100, Longest: c.Lasts / 100, Exact: c.Exact / 100,
		Backlog: 0.3, Burst: 0.1, Patience: float64(c.Patience) / float64(c.Window),
	}
}
