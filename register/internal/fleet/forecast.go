package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// epochsBehind is how many past epochs a forecast looks at; older ones weigh next to nothing.
const epochsBehind = 12

// Forecast is how a window will end if work goes on as it does, and how it came here.
type Forecast struct {
	Window        Window    `json:"window"`
	Now           time.Time `json:"now"`
	Text          string    `json:"text"`
	RunsDryAt     time.Time `json:"runs_dry_at,omitzero"`
	AtResetMicros int64     `json:"at_reset_micros"`
	LeftMicros    int64     `json:"left_micros"`
	Windows       int       `json:"windows"`           // past epochs it rests on
	RunOut        *float64  `json:"run_out,omitempty"` // the probability that it runs dry
	Uses          []Use     `json:"uses"`
	Path          []Outlook `json:"path"`
	Spread        []Spread  `json:"spread"`
}

// Spread is what an even spread allows by an instant.
type Spread struct {
	At              time.Time `json:"at"`
	AllowanceMicros int64     `json:"allowance_micros"`
}

// Use is what a window had used at an instant.
type Use struct {
	At         time.Time `json:"at"`
	UsedMicros int64     `json:"used_micros"`
}

// Outlook is the use a forecast expects at an instant, and between what it may lie.
type Outlook struct {
	At             time.Time `json:"at"`
	LowMicros      int64     `json:"low_micros"`
	ExpectedMicros int64     `json:"expected_micros"`
	HighMicros     int64     `json:"high_micros"`
}

// Forecast foresees how one window ends, by its ledger and those of its past epochs.
func (s *Store) Forecast(ctx context.Context, provider, subscription, name string) (Forecast, error) {
	var forecast Forecast
	err := s.read(ctx, func(t *transaction) error {
		b, id, err := t.findWindow(ctx, provider, subscription, name)
		if err != nil {
			return err
		}
		forecast, err = t.foresee(ctx, b, id)
		return err
	})
	return forecast, err
}

// findWindow finds a current window by its names.
func (t *transaction) findWindow(ctx context.Context, provider, subscription, name string) (*book, int64, error) {
	b, err := t.readBook(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, id := range b.order {
		if b.show(id).key() == windowKey(provider, subscription, name) {
			return b, id, nil
		}
	}
	return nil, 0, noWindow(subscription, name)
}

func (t *transaction) foresee(ctx context.Context, b *book, id int64) (Forecast, error) {
	window, _ := b.window(id)
	uses, err := t.uses(ctx, b, id)
	if err != nil {
		return Forecast{}, err
	}
	past, err := t.curves(ctx, id, window)
	if err != nil {
		return Forecast{}, err
	}
	f := budget.Foresee(window, uses, past, b.now)
	out := Forecast{
		Window: b.show(id), Now: b.now, Text: f.Says(window), RunsDryAt: f.RunsDry, AtResetMicros: f.AtReset, LeftMicros: f.Left,
		Windows: f.Windows, Uses: thinned(uses, window, b.now), Path: make([]Outlook, len(f.Path)), Spread: evenSpread(window),
	}
	unexplained, err := t.unexplained(ctx)
	if err != nil {
		return Forecast{}, err
	}
	out.Window.UnattributedMicros, out.Window.UnsettledMicros = unexplained[id].UnattributedMicros, unexplained[id].UnsettledMicros
	if f.RunOutKnown {
		out.RunOut = &f.RunOut
	}
	for i, point := range f.Path {
		out.Path[i] = Outlook{point.At.UTC(), point.Low, point.Expected, point.High}
	}
	return out, nil
}

// curves is how the complete epochs of a window before this one were used, newest first.
func (t *transaction) curves(ctx context.Context, id int64, window *budget.Window) ([]budget.Curve, error) {
	rows, err := t.epochs(ctx, id, "", epochsBehind+1)
	if err != nil {
		return nil, err
	}
	var curves []budget.Curve
	for _, row := range rows {
		if w := row.Window; w.EndedAt == nil || w.EndedAt.Before(instant(w.ResetAt)) || w.Unit != window.Unit {
			continue // it goes on, or was cut short
		}
		since, reset := instant(row.Window.Since), instant(row.Window.ResetAt)
		uses, err := t.usesOf(ctx, row.Window.ID, since, reset)
		if err != nil {
			return nil, err
		}
		curves = append(curves, budget.NewCurve(&budget.Window{Since: since, Reset: reset}, uses))
	}
	return curves, nil
}

func (t *transaction) epochs(ctx context.Context, id int64, provider string, cycles int) ([]query.ListEpochsRow, error) {
	rows, err := t.ListEpochs(ctx, query.ListEpochsParams{TenantID: t.Tenant, ID: id, Provider: provider, Cycles: int32(cycles)})
	if err != nil {
		return nil, fmt.Errorf("reading the epochs of a window: %w", err)
	}
	return rows, nil
}

// drawn is how many points of use a forecast shows at most.
const drawn = 240

// thinned is the use at evenly spaced instants, and now.
func thinned(uses budget.Uses, window *budget.Window, now time.Time) []Use {
	out := []Use{}
	if window.Closed() {
		return out
	}
	end := now
	if end.After(window.Reset) {
		end = window.Reset
	}
	span := end.Sub(window.Since)
	for i := range drawn {
		at := window.Since.Add(time.Duration(float64(span) * float64(i) / drawn)).Truncate(time.Microsecond)
		if used := max(0, uses.At(at)); len(out) == 0 || used != out[len(out)-1].UsedMicros {
			out = append(out, Use{at.UTC(), used})
		}
	}
	return append(out, Use{end.UTC(), window.Expected()})
}

// evenSpread is a window's even spread from its beginning to its reset.
func evenSpread(window *budget.Window) []Spread {
	out := []Spread{}
	if window.Closed() {
		return out
	}
	const points = 48
	length := window.Reset.Sub(window.Since)
	for i := range points + 1 {
		at := window.Since.Add(time.Duration(float64(length) * float64(i) / points)).Truncate(time.Microsecond)
		out = append(out, Spread{at.UTC(), window.Allowance(at)})
	}
	return out
}
