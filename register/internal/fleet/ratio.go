package fleet

import (
	"context"
	"fmt"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// The units between which readings teach a ratio.
const (
	unitPercent = "percent"
	unitTokens  = "tokens"
)

// pairedReadings is how many readings of a window a ratio is learned from at most.
const pairedReadings = 64

// TokenRatio is how much of a window of percent tokens were seen to take. What is booked by it is an estimate until the next reading.
type TokenRatio struct {
	PointsMicros int64 `json:"points_micros"`
	TokensMicros int64 `json:"tokens_micros"`
	Readings     int   `json:"readings"`
}

// learnRatio learns anew, from the readings of a window of percent, what tokens take of it.
func (t *transaction) learnRatio(ctx context.Context, window int64, unit string) error {
	if unit != unitPercent {
		return nil
	}
	rows, err := t.RatioPairs(ctx, query.RatioPairsParams{TenantID: t.Tenant, WindowID: window, Readings: pairedReadings})
	if err != nil {
		return fmt.Errorf("reading what tokens took of a window: %w", err)
	}
	pairs := make([]budget.Pair, len(rows))
	for i, row := range rows {
		pairs[i] = budget.Pair{Points: row.PointsMicros, Tokens: row.TokensMicros, Busy: row.Busy}
	}
	learned := budget.LearnRatio(pairs)
	if learned.Pairs == 0 {
		return nil // what was learned before is better than nothing
	}
	err = t.PutRatio(ctx, query.PutRatioParams{
		TenantID: t.Tenant, WindowID: window, Points: learned.Points, Tokens: learned.Tokens, Pairs: int32(learned.Pairs), Host: t.Host,
	})
	if err != nil {
		return fmt.Errorf("keeping what tokens take of a window: %w", err)
	}
	return nil
}

// ratioOf is what tokens take of an epoch of a definition.
func ratioOf(row *query.Window, d *query.Definition) budget.Ratio {
	if row.Unit != unitPercent {
		return budget.Ratio{}
	}
	return budget.Ratio{Points: d.RatioPoints, Tokens: d.RatioTokens, Pairs: int(d.RatioPairs)}
}

// shownRatio is a ratio as people see it; nil until it is known.
func shownRatio(r budget.Ratio) *TokenRatio {
	if !r.Known() {
		return nil
	}
	return &TokenRatio{PointsMicros: r.Points, TokensMicros: r.Tokens, Readings: r.Pairs}
}

// pointsOf is what a run that metered tokens and no percent took of a window of percent, by its ratio.
func pointsOf(window *budget.Window, spent []Amount) (int64, bool) {
	tokens, metered := amountIn(spent, unitTokens)
	if _, said := amountIn(spent, unitPercent); said || !metered || !window.Ratio.Known() {
		return 0, false
	}
	return window.Ratio.Mean(tokens), true
}

// commitPoints books what tokens took of the windows of percent that held nothing for it.
func (t *transaction) commitPoints(ctx context.Context, b *book, row *query.Dispatch, spent []Amount, booked map[int64]bool) error {
	for _, window := range b.counting(row, unitPercent) {
		micros, known := pointsOf(window, spent)
		if !known || micros == 0 || booked[window.ID] {
			continue
		}
		if err := t.commit(ctx, b, row, window, Amount{unitPercent, micros}, kindEstimate); err != nil {
			return err
		}
	}
	return nil
}

// gauged says whether every window of percent has a ratio, so that tokens say what they take of each.
func (b *book) gauged() bool {
	for _, id := range b.order {
		if window, _ := b.window(id); window.Unit == unitPercent && !window.Ratio.Known() {
			return false
		}
	}
	return true
}
