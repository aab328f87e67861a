package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func budgetStatusCommand() *command {
	return &command{
		name:    "budget status",
		summary: "Every window: used, allowed by now, pace, step and time to reset.",
		about: "Pace is what was used against what an even spread allows by now: under 100 % there is room, over 100 % it is spent too fast. Slack is how far work may run ahead of that. " +
			"Unattributed is what no dispatch explains; unsettled is estimated, until a reading tells. Of a window in percent, once readings have shown it, " +
			"how many tokens take 1 % of it.",
		examples: []string{"budget status", "budget status claude", "budget status role:coder"},
		grammar:  func() grammar { return new(budgetStatusGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			of, err := argumentsOf[string](call)
			if err != nil {
				return Reply{}, err
			}
			provider := of
			if strings.Contains(of, ":") {
				provider = ""
			}
			status, err := s.api.Budgets(ctx, s.by, provider)
			if err != nil {
				return Reply{}, err
			}
			status.Windows = scoped(status.Windows, of)
			return Reply{Data: status, Mood: MoodDone, Markdown: budgetText(status, of, s.zone)}, nil
		},
	}
}

// scoped is the windows of a scope such as role:coder; those of a provider were asked for already.
func scoped(windows []register.Window, of string) []register.Window {
	if !strings.Contains(of, ":") {
		return windows
	}
	return slices.DeleteFunc(windows, func(w register.Window) bool { return w.Scope != of })
}

type budgetStatusGrammar struct {
	Scope string `arg:"" optional:"" help:"Only this provider's, such as claude, or only those of a role, project or mission, such as role:coder."`
}

func (g *budgetStatusGrammar) request(r *reader) request {
	if strings.Contains(g.Scope, ":") {
		return request{arguments: r.scope("The scope", g.Scope)}
	}
	return request{arguments: r.provider("The provider", g.Scope)}
}

func budgetText(status register.BudgetStatus, provider string, zone *time.Location) string {
	if len(status.Windows) == 0 {
		of := ""
		if provider != "" {
			of = " for " + escape(provider)
		}
		if strings.Contains(provider, ":") {
			return paragraph("**No budget window meters "+escape(provider)+" by itself.** The windows of the subscriptions count its work.", "All windows: "+say("budget status"))
		}
		return paragraph("**No budget window is set"+of+".** Its work is admitted without a meter.",
			"Set one: "+say("budget set --provider claude --limit 500 --unit credits --reset-at +5h"))
	}
	items := make([]string, len(status.Windows))
	for i, w := range status.Windows {
		items[i] = windowLine(w, status.Now, zone)
	}
	return bullets("**"+headline(status.Windows)+"**", items...)
}

// headline says what matters most about the windows.
func headline(windows []register.Window) string {
	worst := windows[0]
	for _, w := range windows[1:] {
		if budget.ParseStep(string(w.Step)) > budget.ParseStep(string(worst.Step)) {
			worst = w
		}
	}
	text := "Budget: " + windowOf(worst) + " is at step " + string(worst.Step)
	if worst.Step == register.StepNormal {
		text = "Budget: every window is at step normal"
		if len(windows) == 1 {
			text = "Budget: " + windowOf(worst) + " is at step normal"
		}
	}
	return text
}

// windowLine is a window in two lines that fit a phone: what is used, and how that stands.
func windowLine(w register.Window, now time.Time, zone *time.Location) string {
	if w.Lapsed {
		return fmt.Sprintf("**%s** lapsed %s, its use is unknown; set it again: %s", windowOf(w), instant(w.ResetAt, now, zone), setAgain(w))
	}
	if w.Closed {
		return fmt.Sprintf("**%s** %s 0 of %s  \n  closed, its first work opens it for %s · %s", windowOf(w), bar(0, w.LimitMicros), amount(w.LimitMicros, w.Unit),
			escape(strings.TrimPrefix(w.Recurrence, "rolling ")), w.Source)
	}
	parts := []string{"allowed " + allowance(w), "pace " + pace(w), string(w.Step), "resets " + away(w.ResetAt, now), string(w.Source)}
	if w.Waiting > 0 {
		parts = append(parts, fmt.Sprintf("%d waiting", w.Waiting))
	}
	if w.UnattributedMicros > 0 {
		parts = append(parts, bare(w.UnattributedMicros, w.Unit)+" unattributed")
	}
	if w.UnsettledMicros > 0 {
		parts = append(parts, bare(w.UnsettledMicros, w.Unit)+" unsettled")
	}
	if w.Ratio.PointsMicros > 0 {
		parts = append(parts, "1 % ≈ "+budget.Short(perPoint(w.Ratio), string(register.UnitTokens))+" (estimated)")
	}
	return fmt.Sprintf("**%s** %s %s of %s  \n  %s", windowOf(w)+only(w), bar(w.UsedMicros, w.LimitMicros), bare(w.UsedMicros, w.Unit), amount(w.LimitMicros, w.Unit),
		strings.Join(parts, " · "))
}

// perPoint is how many tokens take one percent of a window.
func perPoint(r register.TokenRatio) int64 {
	return int64(float64(r.TokensMicros) / float64(r.PointsMicros) * budget.Micro)
}

// only says whose work a window meters where its name may not.
func only(w register.Window) string {
	text := ""
	if w.Scope != "" && w.Scope != budget.OfSubscription.String() {
		text = " " + escape(w.Scope)
	}
	if w.Model != "" {
		text += " " + escape(w.Model)
	}
	return text
}

// allowance is what an even spread allows by now, and the slack above it that admission may use.
func allowance(w register.Window) string {
	if w.BurstMicros == 0 {
		return bare(w.AllowanceMicros, w.Unit)
	}
	return bare(w.AllowanceMicros, w.Unit) + " (+" + bare(w.BurstMicros, w.Unit) + " slack)"
}

// bar shows a share in ten cells; whatever is more than nothing shows.
func bar(part, whole int64) string {
	const cells = 10
	filled := 0
	if whole > 0 && part > 0 {
		filled = min(cells, max(1, int(float64(part)/float64(whole)*cells)))
	}
	return strings.Repeat("▰", filled) + strings.Repeat("▱", cells-filled)
}

// pace is what was used against what an even spread allows by now.
func pace(w register.Window) string {
	expected := w.UsedMicros - w.MarginMicros
	switch {
	case expected == 0:
		return "0 %"
	case w.AllowanceMicros == 0:
		return "far too fast"
	}
	if percent := float64(expected) / float64(w.AllowanceMicros) * 100; percent < 1000 {
		return fmt.Sprintf("%.0f %%", percent)
	}
	return "far too fast"
}
