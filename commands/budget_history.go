package commands

import (
	"context"
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func budgetHistoryCommand() *command {
	return &command{
		name:     "budget history",
		summary:  "How the last cycles of a window went: used, left at the reset, over the limit, what no dispatch explains, lowered and refused work.",
		examples: []string{"budget history claude", "budget history weekly --cycles 10"},
		grammar:  func() grammar { return new(budgetHistoryGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			asked, err := argumentsOf[historyArguments](call)
			if err != nil {
				return Reply{}, err
			}
			windows, none, err := s.pickWindows(ctx, asked.Window)
			if err != nil || none != nil {
				return replyOf(none), err
			}
			histories := make([]register.BudgetHistory, len(windows))
			texts := make([]string, len(windows))
			for i, w := range windows {
				if histories[i], err = s.api.BudgetHistory(ctx, s.by, w.Provider, w.Subscription, w.Window, asked.Cycles); err != nil {
					return Reply{}, err
				}
				texts[i] = historyText(histories[i], s.zone)
			}
			return Reply{Data: histories, Mood: MoodDone, Markdown: strings.Join(texts, "\n\n")}, nil
		},
	}
}

type budgetHistoryGrammar struct {
	windowsGrammar
	Cycles string `default:"5" placeholder:"N" help:"How many cycles, the current one included."`
}

type historyArguments struct {
	Window string `json:"window"`
	Cycles int    `json:"cycles"`
}

func (g *budgetHistoryGrammar) request(r *reader) request {
	return request{arguments: historyArguments{r.windowWord(g.Window), r.number("--cycles", g.Cycles, 1, 100, "5")}}
}

func historyText(h register.BudgetHistory, zone *time.Location) string {
	if len(h.Epochs) == 0 {
		return "**" + windowOf(h.Window) + "** has not begun: it opens with its first work."
	}
	items := make([]string, len(h.Epochs))
	for i, e := range h.Epochs {
		items[i] = epochLine(e, zone)
	}
	return bullets("**"+windowOf(h.Window)+"**, newest first", items...)
}

// epochLine is a cycle in one line.
func epochLine(e register.BudgetEpoch, zone *time.Location) string {
	end, left := e.EndedAt, "left at the reset"
	if end.IsZero() {
		end, left = e.ResetAt, "left so far"
	}
	parts := []string{
		fmt.Sprintf("**%s** %s %s of %s", cycle(e.Since, end, zone), bar(e.UsedMicros, e.LimitMicros), bare(e.UsedMicros, e.Unit), amount(e.LimitMicros, e.Unit)),
		bare(e.LeftMicros, e.Unit) + " " + left,
	}
	if e.OvershootMicros > 0 {
		parts = append(parts, bare(e.OvershootMicros, e.Unit)+" over the limit")
	}
	if e.UnattributedMicros != 0 {
		parts = append(parts, bare(e.UnattributedMicros, e.Unit)+" unattributed")
	}
	if e.HighestStep != register.StepNormal {
		parts = append(parts, "came to "+string(e.HighestStep))
	}
	if e.Lowered > 0 {
		parts = append(parts, fmt.Sprintf("%d lowered", e.Lowered))
	}
	if e.Refused > 0 {
		parts = append(parts, fmt.Sprintf("%d refused", e.Refused))
	}
	return strings.Join(parts, " · ")
}

// cycle is from when to when, the day only once if it is one.
func cycle(since, end time.Time, zone *time.Location) string {
	since, end = since.In(zone), end.In(zone)
	if since.Format(time.DateOnly) == end.Format(time.DateOnly) {
		return since.Format("Mon 2 Jan 15:04") + "–" + end.Format("15:04")
	}
	return since.Format("Mon 2 Jan 15:04") + " – " + end.Format("Mon 2 Jan 15:04")
}
