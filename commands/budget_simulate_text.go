package commands

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// simulationText says in short what would have happened, setting by setting.
func simulationText(s Simulation, word string) string {
	head := fmt.Sprintf("**Your last %s, which came within %s, played on empty windows**", count(s.Dispatches, "dispatch", "dispatches"), length(seconds(s.Span)))
	if s.Work != "ledger" {
		head = fmt.Sprintf("**Made-up work, %g times what fits, drawn %s, on your windows**", s.Demand, count(s.Plans, "time", "times"))
		if s.Plans < s.Wanted {
			head += fmt.Sprintf(" (there was time for %d of %d)", s.Plans, s.Wanted)
		}
	}
	items := make([]string, len(s.Outcomes))
	for i, o := range s.Outcomes {
		items[i] = o.text(s.Work == "ledger")
	}
	return bullets(head, items...) + "\n\n" + paragraph("Nothing was changed.", s.next(word))
}

// next is what to play next.
func (s Simulation) next(word string) string {
	command := strings.TrimSpace("budget simulate " + word)
	switch {
	case len(s.Outcomes) == 1:
		return "Try another setting: " + say(command+" --slack 10")
	case s.Work == "ledger":
		return "With more work than fits: " + say(command+" --work made-up --limits 150")
	}
	return "As all is set: " + say(command)
}

// text is an outcome in a few lines that fit a phone.
func (o SimulationOutcome) text(ledger bool) string {
	used := "no window reached its reset"
	switch {
	case o.Resets > 0 && ledger:
		used = "used at reset " + share(o.Used) + " on average"
	case o.Resets > 0:
		used = "used at reset " + share(o.Used) + " (least " + share(o.LeastUsed) + ")"
	}
	waits := "nothing had to wait"
	if o.WaitMost >= 1 {
		waits = "waits: half under " + length(seconds(o.WaitHalf)) + ", 95 of 100 under " + length(seconds(o.WaitMost))
	}
	if o.Promised > 0 {
		waits += " · " + share(o.PromisesKept) + " of promised starts kept"
	}
	lines := []string{
		"**" + strings.ToUpper(o.Setting[:1]) + o.Setting[1:] + "**: " + used + " · over the cap " + share(o.Overshoot),
		share(o.PacingError) + " off the even spread (" + share(o.Slack) + " is allowed) · " + o.steps(),
		waits,
		fmt.Sprintf("%d started, %s of them on a cheaper model · %d refused, %d still waiting at the end", o.Started, share(o.Lowered), o.Refused, o.Waiting),
	}
	return strings.Join(lines, "  \n  ")
}

// steps is how often the step of a window changed.
func (o SimulationOutcome) steps() string {
	if o.MostSteps == 0 && o.StepsPerDay == 0 {
		return "no step changes"
	}
	return count(int(math.Round(o.StepsPerDay)), "step change", "step changes") + fmt.Sprintf(" a day, at most %d until it was normal again", o.MostSteps)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// share is a share in percent; what is not nothing never reads as nothing.
func share(of float64) string {
	percent := 100 * of
	switch {
	case percent == 0:
		return "0 %"
	case percent < 0.1:
		return "under 0.1 %"
	case percent < 10:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", percent), ".0") + " %"
	}
	return fmt.Sprintf("%.0f %%", math.Floor(percent))
}
