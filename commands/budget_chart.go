package commands

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/chart"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// Picture is drawn for a reply: whoever shows the reply posts it, or writes it to a file.
type Picture struct {
	Name   string
	PNG    []byte
	Width  int
	Height int
	Alt    string // says in words what it shows
	Out    string // the file it was asked for in; empty in a room
}

func budgetChartCommand() *command {
	return &command{
		name:    "budget chart",
		summary: "A picture of a window: spend, even spread, where work is lowered and waits, what is held, what is expected until the reset.",
		about: "In a room the picture is posted; in a terminal --out writes it to a file. Its words are the reply. Of several windows it draws the one " +
			"that runs dry first, or else the fullest.",
		examples: []string{"budget chart claude", "budget chart weekly"},
		grammar:  func() grammar { return new(budgetChartGrammar) },
		run:      runChart,
	}
}

type budgetChartGrammar struct {
	windowsGrammar
	Out string `placeholder:"FILE" help:"In a terminal: the file to write, such as claude.png."`
}

type chartArguments struct {
	Window string `json:"window"`
	Out    string `json:"out,omitempty"`
}

func (g *budgetChartGrammar) request(r *reader) request {
	out := r.text("--out", g.Out, 4096)
	if out != "" && r.origin.Transport == register.OriginTransportMatrix {
		r.refuse(problem("--out is for a terminal; in a room the picture is posted."))
	}
	return request{arguments: chartArguments{r.windowWord(g.Window), out}}
}

func runChart(ctx context.Context, s *session, call Call) (Reply, error) {
	asked, err := argumentsOf[chartArguments](call)
	if err != nil {
		return Reply{}, err
	}
	windows, none, err := s.pickWindows(ctx, asked.Window)
	if err != nil || none != nil {
		return replyOf(none), err
	}
	forecasts := make([]register.Forecast, len(windows))
	for i, w := range windows {
		if forecasts[i], err = s.api.BudgetForecast(ctx, s.by, w.Provider, w.Subscription, w.Window); err != nil {
			return Reply{}, err
		}
	}
	shown := slices.MinFunc(forecasts, urgency)
	png, err := chart.Draw(shown, s.zone)
	if err != nil {
		return Reply{Mood: MoodRefused, Data: shown, Markdown: paragraph("**Nothing to draw yet**: "+escape(windowOf(shown.Window))+" opens with its first work.",
			"How it stands: "+say("budget status"))}, nil
	}
	alt := Plain(chartWords(shown, s.zone))
	name := strings.Map(fileLetter, "budget-"+windowOf(shown.Window)) + ".png"
	return Reply{
		Data: shown, Mood: MoodDone, Markdown: chartText(shown, forecasts, s.zone),
		Picture: &Picture{Name: name, PNG: png, Width: chart.Width, Height: chart.Height, Alt: alt, Out: asked.Out},
	}, nil
}

func fileLetter(r rune) rune {
	if r == ' ' || r == '/' || r == '@' || r == ':' {
		return '-'
	}
	return r
}

// urgency orders windows: what runs dry first, then the fullest; what has not begun comes last.
func urgency(a, b register.Forecast) int {
	key := func(f register.Forecast) (int, int64, float64) {
		switch {
		case f.Window.Closed || f.Window.Lapsed:
			return 2, 0, 0
		case !f.RunsDryAt.IsZero():
			return 0, f.RunsDryAt.Unix(), 0
		}
		return 1, 0, -float64(f.Window.UsedMicros) / float64(max(1, f.Window.LimitMicros))
	}
	kindA, atA, shareA := key(a)
	kindB, atB, shareB := key(b)
	return cmp.Or(cmp.Compare(kindA, kindB), cmp.Compare(atA, atB), cmp.Compare(shareA, shareB))
}

// chartWords says in words what the picture shows.
func chartWords(f register.Forecast, zone *time.Location) string {
	w := f.Window
	capacity := w.LimitMicros - w.FloorMicros
	lines := []string{
		fmt.Sprintf("**%s**: %s of %s used, allowance now %s, step %s", windowOf(w), bare(w.UsedMicros, w.Unit), amount(w.LimitMicros, w.Unit), allowance(w), w.Step),
	}
	if w.ReservedMicros > 0 {
		held := "Held for work in flight: " + amount(w.ReservedMicros, w.Unit)
		if w.MarginMicros > 0 {
			held += ", of which " + amount(w.ReservedMicros-w.MarginMicros, w.Unit) + " will probably be spent"
		}
		lines = append(lines, held)
	}
	if w.FloorMicros > 0 {
		lines = append(lines, "Kept back: "+amount(w.FloorMicros, w.Unit)+", so that "+amount(capacity, w.Unit)+" may be used")
	}
	lines = append(lines, explained(f.Text, f.Now, zone))
	if last := len(f.Path) - 1; last >= 0 && f.Path[last].HighMicros > f.Path[last].LowMicros {
		lines = append(lines, fmt.Sprintf("At the reset between %s and %s will be used", bare(f.Path[last].LowMicros, w.Unit), amount(f.Path[last].HighMicros, w.Unit)))
	}
	return paragraph(append(lines, "Began "+instant(w.Since, f.Now, zone)+", resets "+ahead(w.ResetAt, f.Now, zone))...)
}

func chartText(shown register.Forecast, all []register.Forecast, zone *time.Location) string {
	var others []string
	for _, f := range all {
		if name := f.Window.Provider + "/" + f.Window.Subscription + "/" + f.Window.Window; f.Window.Window != shown.Window.Window || f.Window.Subscription != shown.Window.Subscription || f.Window.Provider != shown.Window.Provider {
			others = append(others, say("budget chart "+name))
		}
	}
	if len(others) == 0 {
		return chartWords(shown, zone)
	}
	return paragraph(chartWords(shown, zone), "Others: "+strings.Join(others[:min(4, len(others))], ", "))
}
