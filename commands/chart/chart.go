// Package chart draws a budget window for a phone: what was spent, what an even spread allows, and what is expected until the reset.
package chart

import (
	"bytes"
	"fmt"
	"time"

	"github.com/go-analyze/charts/chartdraw"
	"github.com/go-analyze/charts/chartdraw/drawing"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// The size of a picture: the width of a phone held upright, at twice its pixels.
const (
	Width  = 1080
	Height = 900
)

// The colours stand on a neutral opaque ground, so that a picture reads the same in light and dark clients, and are told apart by people
// who confuse red and green too (after Okabe and Ito).
var (
	ground   = drawing.ColorFromHex("f3f4f6")
	ink      = drawing.ColorFromHex("1f2328")
	faint    = drawing.ColorFromHex("c9ced6")
	spent    = drawing.ColorFromHex("005b96")
	held     = drawing.ColorFromHex("7fb3d5")
	expected = drawing.ColorFromHex("a63d00")
	band     = drawing.ColorFromHex("f0c6a6")
	slack    = drawing.ColorFromHex("6b5d00")
	full     = drawing.ColorFromHex("9b1c4a")
)

// picture is a window's forecast on a canvas.
type picture struct {
	register.Forecast
	zone   *time.Location
	r      chartdraw.Renderer
	canvas chartdraw.Box
	top    int64 // the amount at the upper edge
}

// Draw draws a window's forecast as a PNG; instants are shown in zone.
func Draw(forecast register.Forecast, zone *time.Location) ([]byte, error) {
	w := forecast.Window
	if w.Closed || !w.ResetAt.After(w.Since) {
		return nil, fmt.Errorf("the window %s has not begun, so there is nothing to draw", w.Window)
	}
	if zone == nil {
		zone = time.UTC
	}
	drawn := chartdraw.Chart{
		Width: Width, Height: Height, Font: chartdraw.GetDefaultFont(), XAxis: chartdraw.HideXAxis(), YAxis: chartdraw.HideYAxis(), YAxisSecondary: chartdraw.HideYAxis(),
		Background: chartdraw.Style{FillColor: ground, Padding: chartdraw.Box{Top: 150, Left: 130, Right: 40, Bottom: 190, IsSet: true}},
		Canvas:     chartdraw.Style{FillColor: ground},
		Series:     []chartdraw.Series{chartdraw.ContinuousSeries{XValues: []float64{0, 1}, YValues: []float64{0, 1}, Style: chartdraw.Style{StrokeColor: ground}}},
	}
	drawn.Elements = []chartdraw.Renderable{func(r chartdraw.Renderer, canvas chartdraw.Box, _ chartdraw.Style) {
		p := picture{Forecast: forecast, zone: zone, r: r, canvas: canvas, top: max(w.LimitMicros, w.UsedMicros) / 20 * 21}
		p.draw()
	}}
	var out bytes.Buffer
	if err := drawn.Render(chartdraw.PNG, &out); err != nil {
		return nil, fmt.Errorf("drawing the window %s: %w", w.Window, err)
	}
	return out.Bytes(), nil
}

func (p *picture) draw() {
	p.grid()
	p.outlook()
	p.limits()
	p.evenSpread()
	p.reservations()
	p.spend()
	p.marks()
	p.heading()
	p.legend()
}

// x and y are where an instant and an amount stand.
func (p *picture) x(at time.Time) int {
	share := float64(at.Sub(p.Window.Since)) / float64(p.Window.ResetAt.Sub(p.Window.Since))
	return p.canvas.Left + int(share*float64(p.canvas.Width()))
}

func (p *picture) y(micros int64) int {
	share := float64(min(micros, p.top)) / float64(max(1, p.top))
	return p.canvas.Bottom - int(share*float64(p.canvas.Height()))
}

type pen struct {
	colour drawing.Color
	width  float64
	dashes []float64
}

func (p *picture) take(with pen) {
	p.r.SetStrokeColor(with.colour)
	p.r.SetStrokeWidth(with.width)
	p.r.SetStrokeDashArray(with.dashes)
}

type point struct{ x, y int }

func (p *picture) line(with pen, points ...point) {
	if len(points) < 2 {
		return
	}
	p.take(with)
	p.path(points)
	p.r.Stroke()
	p.r.SetStrokeDashArray(nil)
}

func (p *picture) path(points []point) {
	p.r.MoveTo(points[0].x, points[0].y)
	for _, at := range points[1:] {
		p.r.LineTo(at.x, at.y)
	}
}

func (p *picture) area(colour drawing.Color, points ...point) {
	if len(points) < 3 {
		return
	}
	p.r.SetFillColor(colour)
	p.path(points)
	p.r.Close()
	p.r.Fill()
}

func (p *picture) text(words string, x, y int, size float64, colour drawing.Color) {
	p.r.SetFont(chartdraw.GetDefaultFont())
	p.r.SetFontColor(colour)
	p.r.SetFontSize(size)
	p.r.Text(words, x, y)
}

func (p *picture) width(words string, size float64) int {
	p.r.SetFont(chartdraw.GetDefaultFont())
	p.r.SetFontSize(size)
	return p.r.MeasureText(words).Width()
}

var (
	evenPen      = pen{ink, 3, []float64{14, 9}}
	thresholdPen = pen{slack, 3, []float64{8, 7}}
	capPen       = pen{full, 4, nil}
	spentPen     = pen{spent, 7, nil}
	expectedPen  = pen{expected, 5, []float64{12, 8}}
)

// evenSpread draws what an even spread allows, and above it where work is lowered and where it waits.
func (p *picture) evenSpread() {
	var even, lowers, waits []point
	for _, at := range p.Spread {
		x := p.x(at.At)
		even = append(even, point{x, p.y(at.AllowanceMicros)})
		capacity := p.Window.LimitMicros - p.Window.FloorMicros
		lowers = append(lowers, point{x, p.y(min(capacity, at.AllowanceMicros+p.Window.BurstMicros/2))})
		waits = append(waits, point{x, p.y(min(capacity, at.AllowanceMicros+p.Window.BurstMicros))})
	}
	p.line(thresholdPen, lowers...)
	p.line(thresholdPen, waits...)
	p.line(evenPen, even...)
}

// limits draws the capacity, and the limit above it if a floor is kept back.
func (p *picture) limits() {
	capacity := p.y(p.Window.LimitMicros - p.Window.FloorMicros)
	p.line(capPen, point{p.canvas.Left, capacity}, point{p.canvas.Right, capacity})
	if p.Window.FloorMicros > 0 {
		limit := p.y(p.Window.LimitMicros)
		p.line(pen{full, 2, []float64{6, 6}}, point{p.canvas.Left, limit}, point{p.canvas.Right, limit})
	}
}

// spend draws what was used; it changes at once.
func (p *picture) spend() {
	var used []point
	for _, at := range p.Uses {
		next := point{p.x(at.At), p.y(at.UsedMicros)}
		if len(used) > 0 {
			used = append(used, point{next.x, used[len(used)-1].y})
		}
		used = append(used, next)
	}
	p.line(spentPen, used...)
}

// reservations shows how much of the use is held for work in flight, as a bar beside now.
func (p *picture) reservations() {
	w := p.Window
	if w.ReservedMicros <= 0 {
		return
	}
	x, width := p.x(p.now()), 26
	if x-width < p.canvas.Left {
		x += width
	}
	bottom, top := p.y(w.UsedMicros-w.ReservedMicros), p.y(w.UsedMicros)
	p.area(held, point{x - width, bottom}, point{x, bottom}, point{x, top}, point{x - width, top})
}

// outlook draws what is expected from now on, and between what it may lie.
func (p *picture) outlook() {
	if len(p.Path) < 2 {
		return
	}
	var low, high, middle []point
	for _, at := range p.Path {
		x := p.x(at.At)
		low = append(low, point{x, p.y(at.LowMicros)})
		high = append([]point{{x, p.y(at.HighMicros)}}, high...)
		middle = append(middle, point{x, p.y(at.ExpectedMicros)})
	}
	p.area(band, append(low, high...)...)
	p.line(expectedPen, middle...)
}

func (p *picture) now() time.Time {
	if p.Now.After(p.Window.ResetAt) {
		return p.Window.ResetAt
	}
	return p.Now
}

// heading says what the picture shows.
func (p *picture) heading() {
	w := p.Window
	name := w.Provider
	if w.Subscription != w.Provider && w.Subscription != "" {
		name += " / " + w.Subscription
	}
	if w.Window != "main" {
		name += " / " + w.Window
	}
	p.text(cut(name, 40), 40, 60, 32, ink)
	p.text(fmt.Sprintf("%s of %s used, step %s", budget.Short(w.UsedMicros, ""), budget.Format(w.LimitMicros, string(w.Unit)), w.Step), 40, 108, 25, ink)
}

func cut(text string, most int) string {
	if letters := []rune(text); len(letters) > most {
		return string(letters[:most-1]) + "…"
	}
	return text
}
