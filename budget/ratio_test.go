package budget

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestARatioIsLearnedFromWhatReadingsMovedByAndTheTokensBookedBetween(t *testing.T) {
	t.Parallel()
	const thousand = 1000 * Micro
	for name, c := range map[string]struct {
		pairs []Pair // the newest first
		ratio Ratio
		known bool
	}{
		"nothing":      {},
		"two pairs":    {[]Pair{{10 * Micro, thousand, true}, {10 * Micro, thousand, true}}, Ratio{20 * Micro, 2 * thousand, 2}, false},
		"three":        {[]Pair{{2 * Micro, thousand, true}, {2 * Micro, thousand, true}, {Micro, thousand, true}}, Ratio{5 * Micro, 3 * thousand, 3}, true},
		"four points":  {[]Pair{{2 * Micro, thousand, true}, {2 * Micro, thousand, true}, {0, thousand, true}}, Ratio{4 * Micro, 3 * thousand, 3}, false},
		"while it ran": {[]Pair{{Micro, thousand, true}, {2 * Micro, 0, true}, {3 * Micro, 0, true}, {4 * Micro, thousand, true}}, Ratio{10 * Micro, 2 * thousand, 2}, false},
		"somebody else": {
			[]Pair{{Micro, thousand, true}, {9 * Micro, 0, false}, {3 * Micro, 0, true}, {4 * Micro, thousand, true}}, Ratio{5 * Micro, 2 * thousand, 2}, false,
		},
		"still running": {[]Pair{{7 * Micro, 0, true}, {Micro, thousand, true}}, Ratio{Micro, thousand, 1}, false},
		"corrected":     {[]Pair{{Micro, thousand, true}, {-3 * Micro, 0, true}, {5 * Micro, 0, true}}, Ratio{Micro, thousand, 1}, false},
	} {
		learned := LearnRatio(c.pairs)
		require.Equal(t, c.ratio, learned, name)
		require.Equal(t, c.known, learned.Known(), name)
	}
}

// TestALearnedRatioSaysWhatReadingsShowedHoweverTheyRound is about a window of which every token takes the same, read in whole points at
// any instants, while runs book their tokens when they end: over all that was learned from, the ratio is off by at most a point at each end.
func TestALearnedRatioSaysWhatReadingsShowedHoweverTheyRound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		perPoint := rapid.Int64Range(1000, 10_000_000).Draw(t, "tokens for a point")
		var pairs []Pair
		var used, read int64
		for range rapid.IntRange(3, 40).Draw(t, "readings") {
			tokens := rapid.Int64Range(0, 4*perPoint).Draw(t, "tokens")
			used += tokens
			shown := used / perPoint * Micro
			pairs = append([]Pair{{Points: shown - read, Tokens: tokens * Micro, Busy: true}}, pairs...)
			read = shown
		}
		learned := LearnRatio(pairs)
		if !learned.Known() {
			return
		}
		truth := float64(learned.Tokens) / float64(perPoint)
		require.InDelta(t, truth, float64(learned.Points), onePoint+2, "%+v", pairs)
		require.GreaterOrEqual(t, learned.Upper(learned.Tokens), learned.Mean(learned.Tokens))
		require.GreaterOrEqual(t, float64(learned.Upper(learned.Tokens)), truth-2, "the bound covers the point that rounding hides")
	})
}

func TestWhatARatioSaysGrowsWithTheTokensAndNeverOverflows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pair := rapid.Custom(func(t *rapid.T) Pair {
			return Pair{
				Points: rapid.Int64Range(math.MinInt64/2, math.MaxInt64).Draw(t, "points"), Tokens: rapid.Int64().Draw(t, "tokens"), Busy: rapid.Bool().Draw(t, "busy"),
			}
		})
		learned := LearnRatio(rapid.SliceOf(pair).Draw(t, "pairs"))
		require.GreaterOrEqual(t, learned.Points, int64(0))
		require.GreaterOrEqual(t, learned.Tokens, int64(0))
		if !learned.Known() {
			return
		}
		some := rapid.Int64Range(0, math.MaxInt64).Draw(t, "some")
		more := rapid.Int64Range(some, math.MaxInt64).Draw(t, "more")
		require.GreaterOrEqual(t, learned.Mean(some), int64(0))
		require.LessOrEqual(t, learned.Mean(some), learned.Mean(more))
		require.LessOrEqual(t, learned.Mean(some), learned.Upper(some))
		require.Zero(t, learned.Mean(0))
	})
}

func TestARatioFollowsADriftOnceItsReadingsAreReplaced(t *testing.T) {
	t.Parallel()
	var pairs []Pair
	for i := range 40 {
		points := int64(2)
		if i < 25 { // the newest
			points = 6
		}
		pairs = append(pairs, Pair{Points: points * Micro, Tokens: 1000 * Micro, Busy: true})
	}
	require.Equal(t, 6*int64(Micro), LearnRatio(pairs).Mean(1000*Micro))
}

func TestTokensAreHeldOnAWindowOfPercentByItsRatioAloneAndSaidToBeEstimated(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	window := Window{
		ID: 1, Name: "5h", Unit: "percent", Limit: 100 * Micro, BurstPPM: million, Since: begin, Reset: begin.Add(5 * time.Hour),
	}
	fleet := Fleet{Ladder: DefaultLadder(), Subscriptions: []Subscription{{ID: 1, Provider: "claude", Name: "claude", Windows: []Window{window}}}}
	request := Request{Model: "opus", Exact: true, Estimates: []Estimate{{Unit: "tokens", Mean: 20_000 * Micro, Upper: 30_000 * Micro}}}
	decision, err := fleet.Decide(&request, begin.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, Refuse, decision.Outcome, "tokens never enter a window of percent by themselves")
	require.Equal(t, UnitMismatch, decision.Attempts[0].Verdict)

	fleet.Subscriptions[0].Windows[0].Ratio = Ratio{Points: 20 * Micro, Tokens: 200_000 * Micro, Pairs: 12}
	decision, err = fleet.Decide(&request, begin.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, Admit, decision.Outcome)
	require.Equal(t, []Hold{{Window: 1, Micros: 3_150_000, Margin: 1_150_000}}, decision.Holds, "2 % on the mean, 3.15 % at most")
	require.Contains(t, decision.Reason(), "2% (estimated from its tokens)")

	request.Estimates = append(request.Estimates, Estimate{Unit: "percent", Mean: Micro})
	decision, err = fleet.Decide(&request, begin.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, int64(Micro), decision.Holds[0].Micros, "what is said in percent counts")
	require.NotContains(t, decision.Reason(), "estimated")
}
