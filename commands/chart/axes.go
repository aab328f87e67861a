package chart

import (
	"math"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// grid draws the axes with round amounts and instants.
func (p *picture) grid() {
	step := amountStep(p.top)
	for micros := int64(0); micros <= p.top; micros += step {
		y := p.y(micros)
		p.line(pen{faint, 1.5, nil}, point{p.canvas.Left, y}, point{p.canvas.Right, y})
		label := budget.Short(micros, "")
		p.text(label, p.canvas.Left-16-p.width(label, 20), y+8, 20, ink)
		if micros > math.MaxInt64-step {
			break
		}
	}
	for _, at := range p.instants() {
		x := p.x(at)
		p.line(pen{faint, 1.5, nil}, point{x, p.canvas.Top}, point{x, p.canvas.Bottom})
		label := at.Format(p.layout())
		p.text(label, x-p.width(label, 20)/2, p.canvas.Bottom+34, 20, ink)
	}
}

// marks names now and the reset.
func (p *picture) marks() {
	now, reset := p.x(p.now()), p.x(p.Window.ResetAt)
	p.line(pen{ink, 2, []float64{2, 5}}, point{now, p.canvas.Top}, point{now, p.canvas.Bottom})
	p.line(pen{ink, 4, nil}, point{reset, p.canvas.Top}, point{reset, p.canvas.Bottom})
	label := "reset " + p.Window.ResetAt.In(p.zone).Format("Mon 2 Jan 15:04")
	at := reset - p.width(label, 20)
	p.text(label, at, p.canvas.Top-12, 20, ink)
	if left := min(max(p.canvas.Left, now-p.width("now", 20)/2), reset); left+p.width("now", 20)+20 < at {
		p.text("now", left, p.canvas.Top-12, 20, ink)
	}
}

// amountStep leaves about five marks, at 1, 2 or 5 times a power of ten.
func amountStep(top int64) int64 {
	wanted := math.Max(1, float64(top)/5)
	power := math.Pow(10, math.Floor(math.Log10(wanted)))
	for _, times := range []float64{1, 2, 5, 10} {
		if times*power >= wanted {
			return int64(math.Min(times*power, math.MaxInt64/2))
		}
	}
	return top
}

var timeSteps = []time.Duration{
	time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
}

// instants are round ones on the clock of the zone, five at most.
func (p *picture) instants() []time.Time {
	const most = 5
	length := p.Window.ResetAt.Sub(p.Window.Since)
	since := p.Window.Since.In(p.zone)
	midnight := time.Date(since.Year(), since.Month(), since.Day(), 0, 0, 0, 0, p.zone)
	for _, step := range timeSteps {
		if length/step <= most {
			return p.within(midnight, func(at time.Time) time.Time { return at.Add(step) })
		}
	}
	days := max(1, int(math.Ceil(length.Hours()/24/most)))
	return p.within(midnight, func(at time.Time) time.Time { return at.AddDate(0, 0, days) })
}

func (p *picture) within(from time.Time, next func(time.Time) time.Time) []time.Time {
	var out []time.Time
	for at := from; !at.After(p.Window.ResetAt) && len(out) < 12; at = next(at) {
		if !at.Before(p.Window.Since) {
			out = append(out, at)
		}
	}
	return out
}

func (p *picture) layout() string {
	if p.Window.ResetAt.Sub(p.Window.Since) > 48*time.Hour {
		return "2 Jan"
	}
	return "15:04"
}

// legend names the lines below the picture, two in a row.
func (p *picture) legend() {
	entries := []struct {
		name string
		draw func(x, y int)
	}{
		{"used", p.sample(spentPen)},
		{"held for work in flight", func(x, y int) {
			p.area(held, point{x, y - 11}, point{x + 56, y - 11}, point{x + 56, y + 11}, point{x, y + 11})
		}},
		{"even spread", p.sample(evenPen)},
		{"work is lowered, waits", p.sample(thresholdPen)},
		{"expected, and its range", func(x, y int) {
			p.area(band, point{x, y - 11}, point{x + 56, y - 11}, point{x + 56, y + 11}, point{x, y + 11})
			p.sample(expectedPen)(x, y)
		}},
		{"nothing is left", p.sample(capPen)},
	}
	for i, entry := range entries {
		x, y := 60+(i%2)*500, p.canvas.Bottom+82+(i/2)*42
		entry.draw(x, y)
		p.text(entry.name, x+74, y+8, 21, ink)
	}
}

func (p *picture) sample(with pen) func(x, y int) {
	return func(x, y int) { p.line(with, point{x, y}, point{x + 56, y}) }
}
