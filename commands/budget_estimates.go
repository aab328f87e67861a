package commands

import (
	"context"
	"fmt"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func budgetEstimatesCommand() *command {
	return &command{
		name:     "budget estimates",
		summary:  "What earlier runs say work will spend: the mean, what 9 of 10 stay within, and how many runs say so.",
		examples: []string{"budget estimates", "budget estimates coder"},
		grammar:  func() grammar { return new(budgetEstimatesGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			role, err := argumentsOf[string](call)
			if err != nil {
				return Reply{}, err
			}
			list, err := s.api.Estimates(ctx, s.by, role, "")
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: list, Mood: MoodDone, Markdown: estimatesText(list, role)}, nil
		},
	}
}

type budgetEstimatesGrammar struct {
	Role string `arg:"" optional:"" help:"Only those of this role, such as coder."`
}

func (g *budgetEstimatesGrammar) request(r *reader) request {
	return request{arguments: r.name("The role", g.Role, "coder")}
}

func estimatesText(list register.EstimateList, role string) string {
	if len(list.Estimates) == 0 {
		of := ""
		if role != "" {
			of = " of " + escape(role)
		}
		return "**No run" + of + " was learned from yet.** Until then a dispatch without --estimate holds 1 % of each window."
	}
	items := make([]string, len(list.Estimates))
	for i, e := range list.Estimates {
		items[i] = "**" + whoseRuns(e.Role, e.BriefClass, e.Model) + "** " + expected(e.MeanMicros, e.UpperMicros, e.Unit) +
			" · " + count(e.Runs, "run", "runs") + ", " + sureness(string(e.Confidence))
	}
	return bullets("**What runs spend**", items...)
}

// whoseRuns names the runs an estimate rests on.
func whoseRuns(role, class, model string) string {
	text := "any role"
	if role != "" {
		text = escape(role)
	}
	if class != "" {
		text += " " + escape(class)
	}
	return text + " on " + escape(model)
}

// expected is a mean and a bound: "≈ 4 credits, 9 in 10 under 6.2".
func expected(mean, upper int64, unit register.Unit) string {
	return "≈ " + budget.Short(mean, string(unit)) + ", 9 in 10 under " + budget.Short(upper, "")
}

// sureness is how far an estimate can be relied on, and why not further.
func sureness(confidence string) string {
	switch budget.Confidence(confidence) {
	case budget.NoConfidence:
		return "a guess: no run was seen yet"
	case budget.LowConfidence:
		return "low confidence: few or old runs"
	}
	return confidence + " confidence"
}

// learnedLine says what earlier runs say of a dispatch on the model it runs on, or was asked for.
func learnedLine(d register.Dispatch) string {
	model := d.Model
	if model == "" {
		model = d.ModelRequested
	}
	var says []string
	for _, e := range d.Learned {
		if e.Model == model {
			says = append(says, fmt.Sprintf("%s, from %s (%s)", expected(e.MeanMicros, e.UpperMicros, e.Unit), runsOf(d, e), sureness(string(e.Confidence))))
		}
	}
	switch {
	case len(says) == 0:
		return ""
	case len(d.Estimate) > 0:
		return "Earlier runs took " + listing(says, "and")
	}
	return "Estimate: " + listing(says, "and")
}

func runsOf(d register.Dispatch, e register.Expectation) string {
	runs := count(e.Runs, "run", "runs")
	switch e.From {
	case register.ExpectationFromRole:
		return runs + " of " + escape(d.Role) + " on " + escape(e.Model)
	case register.ExpectationFromKind:
		return runs + " of " + escape(d.BriefClass) + " work on " + escape(e.Model)
	}
	return runs + " on " + escape(e.Model)
}
