package chart

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/go-analyze/charts/chartdraw"
	"github.com/go-analyze/charts/chartdraw/drawing"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget/simulate"
)

// Theme is the background and the size that a picture of a simulation is made for.
type Theme struct {
	background, text, grid drawing.Color
	lines                  []drawing.Color
	width, height          int
	scale                  float64 // of letters and lines
}

// The themes: Light and Dark are for a page, Room is for a phone in a client of either kind. Their lines are told apart by people who confuse red and green too (after Okabe and Ito).
var (
	Light = Theme{
		background: drawing.ColorFromHex("ffffff"), text: drawing.ColorFromHex("1f2328"), grid: drawing.ColorFromHex("d8dee4"),
		lines: []drawing.Color{drawing.ColorFromHex("0072b2"), drawing.ColorFromHex("d55e00"), drawing.ColorFromHex("8a8a00"), drawing.ColorFromHex("aa4499")},
		width: 1100, height: 560, scale: 1,
	}
	Dark = Theme{
		background: drawing.ColorFromHex("16191d"), text: drawing.ColorFromHex("e6edf3"), grid: drawing.ColorFromHex("3a4149"),
		lines: []drawing.Color{drawing.ColorFromHex("56b4e9"), drawing.ColorFromHex("ff9955"), drawing.ColorFromHex("e0d84f"), drawing.ColorFromHex("dd88cc")},
		width: 1100, height: 560, scale: 1,
	}
	Room = Theme{background: ground, text: ink, grid: faint, lines: []drawing.Color{spent, expected}, width: Width, height: Height, scale: 1.7}
)

// Simulation is a PNG of one window under each policy: the share of its capacity that is used, over the hours, against the even
// spread. Zero and 100 % are always on it, every reset is marked. It is the first window of the first plan.
func Simulation(reports []*simulate.Report, theme Theme) ([]byte, error) {
	if len(reports) == 0 || len(reports[0].Traces) == 0 || len(reports[0].Traces[0].Points) == 0 {
		return nil, fmt.Errorf("nothing was played, so there is nothing to draw")
	}
	trace := reports[0].Traces[0]
	begin := trace.Begin
	hours := math.Ceil(trace.Points[len(trace.Points)-1].At.Sub(begin).Hours() - 1e-6)
	picture := chartdraw.Chart{
		Title:      fmt.Sprintf("Used of %s (%s), %% of its capacity", trace.Window, trace.Subscription),
		TitleStyle: theme.words(15),
		Width:      theme.width, Height: theme.height, Font: chartdraw.GetDefaultFont(), YAxisSecondary: chartdraw.HideYAxis(),
		Background: chartdraw.Style{FillColor: theme.background, Padding: chartdraw.Box{Top: theme.head(reports), Left: 30, Right: theme.of(20), Bottom: theme.of(10), IsSet: true}},
		Canvas:     chartdraw.Style{FillColor: theme.background},
		XAxis: chartdraw.XAxis{
			Name: "hours", NameStyle: theme.words(12), Style: theme.axis(), Ticks: ticks(hours, hourStep(hours), "%g"),
			Range: &chartdraw.ContinuousRange{Min: 0, Max: hours}, GridMajorStyle: theme.rule(), GridMinorStyle: theme.rule(),
		},
		YAxis: chartdraw.YAxis{
			Style: theme.axis(), AxisType: chartdraw.YAxisPrimary, Ticks: ticks(105, 20, "%g %%"),
			Range: &chartdraw.ContinuousRange{Min: 0, Max: 105}, GridMajorStyle: theme.rule(), GridMinorStyle: theme.rule(),
		},
	}
	picture.Series = append(picture.Series, theme.evenSpread(trace.Length.Hours(), hours))
	for i, report := range reports {
		if len(report.Traces) > 0 {
			picture.Series = append(picture.Series, theme.line(report, begin, i))
		}
	}
	picture.Elements = []chartdraw.Renderable{theme.legend(picture.Series)}
	var out bytes.Buffer
	if err := picture.Render(chartdraw.PNG, &out); err != nil {
		return nil, fmt.Errorf("drawing the simulation: %w", err)
	}
	return out.Bytes(), nil
}

// evenSpread rises from 0 to 100 % in every window; where it drops is the reset.
func (t Theme) evenSpread(window, hours float64) chartdraw.Series {
	series := chartdraw.ContinuousSeries{Name: "even spread", Style: chartdraw.Style{
		StrokeColor: t.text, StrokeWidth: 1.5 * t.scale, StrokeDashArray: []float64{6, 4},
	}}
	for at := 0.0; at < hours-1e-6; at += window {
		end := min(hours, at+window)
		series.XValues = append(series.XValues, at, end)
		series.YValues = append(series.YValues, 0, 100*(end-at)/window)
	}
	return series
}

func (t Theme) line(report *simulate.Report, begin time.Time, i int) chartdraw.Series {
	width := 1.5 * t.scale
	if i == 0 {
		width *= 2
	}
	series := chartdraw.ContinuousSeries{Name: report.Policy, Style: chartdraw.Style{StrokeColor: t.lines[i%len(t.lines)], StrokeWidth: width}}
	before := 0.0
	for _, point := range report.Traces[0].Points {
		at := point.At.Sub(begin).Hours()
		if used := 100 * point.Used; used != before && len(series.XValues) > 0 {
			series.XValues = append(series.XValues, series.XValues[len(series.XValues)-1]) // it changes at once
			series.YValues = append(series.YValues, used)
		}
		before = 100 * point.Used
		series.XValues = append(series.XValues, at)
		series.YValues = append(series.YValues, before)
	}
	return series
}

// legend names the lines between the title and the picture.
func (t Theme) legend(series []chartdraw.Series) chartdraw.Renderable {
	return func(r chartdraw.Renderer, canvas chartdraw.Box, _ chartdraw.Style) {
		sample, gap := t.of(28), t.of(8)
		at, middle := canvas.Left, canvas.Top-t.of(18)-(t.rows(series)-1)*t.of(rowHeight)
		for _, line := range series {
			style := line.GetStyle()
			r.SetFont(chartdraw.GetDefaultFont())
			r.SetFontColor(t.text)
			r.SetFontSize(12 * t.scale)
			width := r.MeasureText(line.GetName()).Width()
			if at > canvas.Left && t.narrow() {
				at, middle = canvas.Left, middle+t.of(rowHeight)
			}
			r.SetStrokeColor(style.StrokeColor)
			r.SetStrokeWidth(style.StrokeWidth)
			r.SetStrokeDashArray(style.StrokeDashArray)
			r.MoveTo(at, middle)
			r.LineTo(at+sample, middle)
			r.Stroke()
			r.Text(line.GetName(), at+sample+gap, middle+t.of(5))
			at += sample + gap + width + 3*gap
		}
		r.SetStrokeDashArray(nil)
	}
}

// rowHeight is how far apart the rows of a legend stand.
const rowHeight = 22

// narrow says that a picture is too narrow for a legend in one row.
func (t Theme) narrow() bool { return t.scale > 1 }

func (t Theme) rows(series []chartdraw.Series) int {
	if t.narrow() {
		return len(series)
	}
	return 1
}

// head is the room above the picture for its title and its legend.
func (t Theme) head(reports []*simulate.Report) int {
	if t.narrow() {
		return t.of(80 + len(reports)*rowHeight)
	}
	return t.of(80)
}

func (t Theme) of(pixels int) int { return int(float64(pixels) * t.scale) }

func (t Theme) words(size float64) chartdraw.Style {
	return chartdraw.Style{FontStyle: chartdraw.FontStyle{FontColor: t.text, FontSize: size * t.scale}}
}

func (t Theme) axis() chartdraw.Style {
	style := t.words(12)
	style.StrokeColor, style.StrokeWidth = t.text, 1
	return style
}

func (t Theme) rule() chartdraw.Style {
	return chartdraw.Style{StrokeColor: t.grid, StrokeWidth: 1}
}

func ticks(upTo, step float64, format string) []chartdraw.Tick {
	var all []chartdraw.Tick
	for at := 0.0; at <= upTo+1e-9; at += step {
		all = append(all, chartdraw.Tick{Value: at, Label: fmt.Sprintf(format, math.Round(at*100)/100)})
	}
	if last := all[len(all)-1].Value; last < upTo { // the axis ends where its last mark is
		all = append(all, chartdraw.Tick{Value: upTo})
	}
	return all
}

// hourStep leaves about a dozen marks.
func hourStep(hours float64) float64 {
	for _, step := range []float64{0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 168} {
		if hours/step <= 14 {
			return step
		}
	}
	return math.Ceil(hours / 14)
}
