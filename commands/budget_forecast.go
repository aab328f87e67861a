package commands

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func budgetForecastCommand() *command {
	return &command{
		name:    "budget forecast",
		summary: "When a window runs dry, or how much will be left at its reset.",
		about: "By the rate of late; with three past cycles also by their shape, and with five it says how likely the window is to run dry. " +
			"Without a word it speaks of every window.",
		examples: []string{"budget forecast", "budget forecast claude", "budget forecast weekly"},
		grammar:  func() grammar { return new(windowsGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			word, err := argumentsOf[string](call)
			if err != nil {
				return Reply{}, err
			}
			windows, none, err := s.pickWindows(ctx, word)
			if err != nil || none != nil {
				return replyOf(none), err
			}
			forecasts := make([]register.Forecast, len(windows))
			for i, w := range windows {
				if forecasts[i], err = s.api.BudgetForecast(ctx, s.by, w.Provider, w.Subscription, w.Window); err != nil {
					return Reply{}, err
				}
			}
			return Reply{Data: forecasts, Mood: MoodDone, Markdown: forecastText(forecasts, s.zone)}, nil
		},
	}
}

// windowsGrammar is a word that names windows, or none for all.
type windowsGrammar struct {
	Window string `arg:"" optional:"" placeholder:"WINDOW" help:"A provider, a subscription, a window's name or a scope; all windows without it."`
}

func (g *windowsGrammar) request(r *reader) request {
	return request{arguments: r.windowWord(g.Window)}
}

var windowWord = regexp.MustCompile(`^[A-Za-z0-9_.@:/-]{1,200}$`)

// windowWord reads a word that names windows.
func (r *reader) windowWord(typed string) string {
	return r.matching("The window", straightDashes(typed), "claude", windowWord, "letters, digits, dots, dashes, underscores, colons and slashes")
}

func replyOf(reply *Reply) Reply {
	if reply == nil {
		return Reply{}
	}
	return *reply
}

func forecastText(forecasts []register.Forecast, zone *time.Location) string {
	items := make([]string, len(forecasts))
	dry, first := 0, ""
	for i, f := range forecasts {
		if !f.RunsDryAt.IsZero() {
			dry++
			if first == "" {
				first = windowOf(f.Window)
			}
		}
		items[i] = forecastLine(f, zone)
	}
	headline := "Forecast: every window lasts until its reset"
	switch {
	case dry == 1:
		headline = "Forecast: " + first + " runs dry before its reset"
	case dry > 1:
		headline = fmt.Sprintf("Forecast: %d windows run dry before their resets", dry)
	}
	return bullets("**"+headline+"**", items...)
}

// forecastLine is a window's forecast in one line.
func forecastLine(f register.Forecast, zone *time.Location) string {
	w := f.Window
	if w.Lapsed {
		return fmt.Sprintf("**%s** lapsed %s; what is used since is unknown", windowOf(w), instant(w.ResetAt, f.Now, zone))
	}
	apart := ""
	if w.UnattributedMicros > 0 {
		apart = " · " + bare(w.UnattributedMicros, w.Unit) + " of it unattributed: what nobody dispatched may go on or not"
	}
	return fmt.Sprintf("**%s** %s %s of %s · %s", windowOf(w), bar(w.UsedMicros, w.LimitMicros), bare(w.UsedMicros, w.Unit), amount(w.LimitMicros, w.Unit),
		explained(f.Text, f.Now, zone)) + apart
}
