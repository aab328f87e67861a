package budget

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestCostAboveTheHoldBecomesVisibleDebt(t *testing.T) {
	t.Parallel()
	w := credits(1)
	hold := Hold{Micros: 400 * Micro, Margin: 100 * Micro}
	w.reserve(hold, start)
	require.Equal(t, int64(350*Micro), w.Settle(hold, 750*Micro), "the overrun")
	require.Equal(t, int64(750*Micro), w.Committed)
	require.Zero(t, w.Reserved+w.Margin)
	require.Equal(t, int64(250*Micro), w.Debt())
	fleet := claude()
	fleet.Subscriptions[0].Windows[0] = w
	require.Equal(t, Queue, decide(t, ask(1, Micro), fleet, start).Outcome, "it blocks until the reset")
}

func TestAHoldThatExpiresCommitsWhatItMeteredAndNotNothing(t *testing.T) {
	t.Parallel()
	hold := Hold{Micros: 40 * Micro, Margin: 10 * Micro}
	for _, c := range []struct {
		metered int64
		known   bool
		want    int64
	}{{12 * Micro, true, 12 * Micro}, {0, true, 0}, {0, false, 30 * Micro}} {
		w := credits(1)
		w.reserve(hold, start)
		require.Zero(t, w.Expire(hold, c.metered, c.known))
		require.Equal(t, c.want, w.Committed)
		require.Zero(t, w.Reserved+w.Margin)
	}
}

func TestWhatARunMeteredBeforeAResetStaysBehind(t *testing.T) {
	t.Parallel()
	hold := Hold{Window: 1, Micros: 40 * Micro, Margin: 10 * Micro}
	require.Equal(t, Hold{Window: 1, Micros: 28 * Micro, Margin: 10 * Micro}, hold.Meter(12*Micro))
	require.Equal(t, Hold{Window: 1, Micros: 5 * Micro, Margin: 5 * Micro}, hold.Meter(35*Micro))
	require.Equal(t, Hold{Window: 1}, hold.Meter(50*Micro))
}

// TestHoldsAlwaysSumUp plays reservations, settlements, releases and expiries against a plain sum of what is held.
func TestHoldsAlwaysSumUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := credits(1)
		var held []Hold
		spent, promised, overruns := int64(0), int64(0), int64(0)
		for range rapid.IntRange(1, 60).Draw(t, "moves") {
			moves := []string{"reserve", "settle", "release", "expire"}
			if len(held) == 0 {
				moves = moves[:1] // what is not held cannot end
			}
			move := rapid.SampledFrom(moves).Draw(t, "move")
			if move == "reserve" {
				micros := rapid.Int64Range(0, 100*Micro).Draw(t, "micros")
				hold := Hold{Micros: micros, Margin: rapid.Int64Range(0, micros).Draw(t, "margin")}
				w.reserve(hold, start)
				held = append(held, hold)
			} else {
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				hold := held[i]
				held = slices.Delete(held, i, i+1)
				promised += hold.Micros
				switch cost := rapid.Int64Range(0, 200*Micro).Draw(t, "cost"); move {
				case "settle":
					overruns += w.Settle(hold, cost)
					spent += cost
				case "release":
					w.Release(hold)
				case "expire":
					known := rapid.Bool().Draw(t, "metered")
					if !known {
						cost = hold.Micros - hold.Margin
					}
					overruns += w.Expire(hold, cost, known)
					spent += cost
				}
			}
			reserved, means := int64(0), int64(0)
			for _, hold := range held {
				reserved += hold.Micros
				means += hold.Micros - hold.Margin
			}
			require.Equal(t, reserved, w.Reserved)
			require.Equal(t, spent, w.Committed)
			require.Equal(t, spent+means, w.Expected())
			require.GreaterOrEqual(t, w.Recent, int64(0))
			require.LessOrEqual(t, w.Committed-overruns, promised, "actual spend passes what was held by the overruns alone")
		}
	})
}
