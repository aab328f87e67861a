package simulate

import (
	"fmt"
	"strings"
	"time"
)

// Table writes reports side by side, one column a policy.
func Table(reports []*Report) string {
	rows := []struct {
		name string
		cell func(*Report) string
	}{
		{"", func(r *Report) string { return r.Policy }},
		{"overshoot at admission", func(r *Report) string { return percent(r.OvershootAtAdmission) }},
		{"actual overshoot (its bound)", func(r *Report) string { return percent(r.Overshoot) + " (" + percent(r.OvershootBound) + ")" }},
		{"used at reset (least)", func(r *Report) string { return percent(r.Used) + " (" + percent(r.LeastUsed) + ")" }},
		{"spent at reset", func(r *Report) string { return percent(r.Spent) }},
		{"pacing error (slack)", func(r *Report) string { return percent(r.PacingError) + " (" + percent(r.Slack) + ")" }},
		{"wait, half", func(r *Report) string { return wait(r.Wait(0.5)) }},
		{"wait, 95 in 100", func(r *Report) string { return wait(r.Wait(0.95)) }},
		{"promised starts kept", (*Report).kept},
		{"ran on a lower tier", func(r *Report) string { return percent(r.LoweredShare()) }},
		{"step changes a day", func(r *Report) string { return r.ofSteps("%.1f", r.FlapsPerDay()) }},
		{"most within a stay", func(r *Report) string { return r.ofSteps("%d", r.MostChanges()) }},
		{"started, refused, waiting", func(r *Report) string { return fmt.Sprintf("%d, %d, %d", r.Started, r.Refused, r.Waiting) }},
	}
	var table strings.Builder
	for _, row := range rows {
		line := fmt.Sprintf("%-30s", row.name)
		for _, report := range reports {
			line += fmt.Sprintf(" %17s", row.cell(report))
		}
		table.WriteString(line + "\n")
	}
	return table.String()
}

// kept is the promises of a policy that makes any.
func (r *Report) kept() string {
	if r.Promised == 0 {
		return "–"
	}
	return fmt.Sprintf("%s of %d", percent(r.PromiseKept()), r.Promised)
}

// ofSteps leaves out what says nothing about a policy that knows no steps.
func (r *Report) ofSteps(format string, value any) string {
	if !r.Steps {
		return "–"
	}
	return fmt.Sprintf(format, value)
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

func wait(d time.Duration) string { return d.Round(time.Second).String() }
