package budget

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// anyWindow is a window of any size between a microsecond and decades, used up to and past its limit.
func anyWindow(t *rapid.T) Window {
	limit := rapid.Int64Range(1, math.MaxInt64).Draw(t, "limit")
	if rapid.Bool().Draw(t, "everyday") {
		limit = rapid.Int64Range(1, 1000*Micro).Draw(t, "everyday limit")
	}
	length := rapid.Int64Range(1, 20*365*24*3600*Micro).Draw(t, "length")
	return Window{
		Limit:     limit,
		Floor:     rapid.Int64Range(0, limit-1).Draw(t, "floor"),
		Committed: rapid.Int64Range(0, limit).Draw(t, "committed"),
		Reserved:  rapid.Int64Range(0, limit).Draw(t, "reserved"),
		BurstPPM:  rapid.Int64Range(0, million).Draw(t, "burst"),
		Since:     start,
		Reset:     start.Add(time.Duration(length) * time.Microsecond),
	}
}

func anyMoment(t *rapid.T, w Window, label string) time.Time {
	return w.Since.Add(time.Duration(rapid.Int64Range(0, w.length()).Draw(t, label)) * time.Microsecond)
}

func TestTheAllowanceNeverFallsAndSpansTheWholeWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := anyWindow(t)
		earlier, later := anyMoment(t, w, "earlier"), anyMoment(t, w, "later")
		if later.Before(earlier) {
			earlier, later = later, earlier
		}
		require.Zero(t, w.Allowance(w.Since))
		require.Zero(t, w.Allowance(w.Since.Add(-time.Hour)))
		require.Equal(t, w.Capacity(), w.Allowance(w.Reset))
		require.Equal(t, w.Capacity(), w.Allowance(w.Reset.Add(time.Hour)))
		require.LessOrEqual(t, w.Allowance(earlier), w.Allowance(later))
		require.LessOrEqual(t, w.Allowance(later), w.Capacity())
	})
}

func TestTheAllowanceIsExactBeyondSixtyFourBits(t *testing.T) {
	t.Parallel()
	w := Window{Limit: math.MaxInt64, Since: start, Reset: start.Add(3 * time.Hour)}
	require.Equal(t, int64(math.MaxInt64/3), w.Allowance(start.Add(time.Hour)))
	require.Equal(t, int64(math.MaxInt64/3*2), w.Allowance(start.Add(2*time.Hour)))
}

func TestTheWakeIsTheFirstInstantThatPaceAdmits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := anyWindow(t)
		ahead := rapid.Int64Range(0, w.Limit).Draw(t, "ahead")
		need := rapid.Int64Range(0, w.Limit).Draw(t, "need")
		slack := rapid.SampledFrom([]int64{0, w.Burst() / 2, w.Burst()}).Draw(t, "slack")
		now := anyMoment(t, w, "now")
		admits := func(at time.Time) bool { return add(add(w.Used(), ahead), need) <= add(w.Allowance(at), slack) }

		wake := w.WakeAt(ahead, need, slack, now)
		require.False(t, wake.Before(now))
		require.False(t, wake.After(w.Reset))
		if wake.After(now) {
			require.False(t, admits(wake.Add(-time.Microsecond)), "a microsecond earlier pace would have refused")
		}
		if add(add(w.Used(), ahead), need)-slack <= w.Capacity() {
			require.True(t, admits(wake))
		} else {
			require.Equal(t, w.Reset, wake, "what pace never admits waits for the reset")
		}
	})
}

func TestALargeUseNeverWrapsAround(t *testing.T) {
	t.Parallel()
	w := Window{Limit: 10, Committed: math.MaxInt64, Reserved: math.MaxInt64, Since: start, Reset: start.Add(time.Hour)}
	require.Equal(t, int64(math.MaxInt64), w.Used())
	require.Equal(t, w.Reset, w.WakeAt(math.MaxInt64, math.MaxInt64, 0, start))
	require.Equal(t, StepRefuse, w.StandsOn(false, start))
}
