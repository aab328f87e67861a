package budget

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// even is the uses of a window that spends the same every minute up to now, and the window so.
func even(w Window, perMinute int64, now time.Time) (Window, Uses) {
	var uses Uses
	for at := w.Since; !at.After(now); at = at.Add(time.Minute) {
		w.Committed = int64(at.Sub(w.Since)/time.Minute) * perMinute
		uses = append(uses, Sample{At: at, Used: w.Committed})
	}
	return w, uses
}

func TestByItsRateAWindowRunsDryOrSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	now := start.Add(40 * time.Minute)
	w, uses := even(credits(1), 10*Micro, now)
	f := Foresee(&w, uses, nil, now)
	require.WithinDuration(t, start.Add(50*time.Minute), f.RunsDry, time.Second, "400 of 500 after 40 minutes")
	require.True(t, f.Likely())
	require.False(t, f.RunOutKnown)
	require.Zero(t, f.Left)
	require.InDelta(t, 10*Micro, f.Rate*60, Micro/10)
	require.Equal(t, "Runs dry at 2026-11-23 09:50:00 UTC, 50 min before the reset, by its rate.", f.Says(&w))

	w, uses = even(credits(1), 4*Micro, now)
	f = Foresee(&w, uses, nil, now)
	require.True(t, f.RunsDry.IsZero())
	require.False(t, f.Likely())
	require.InDelta(t, 100*Micro, float64(f.Left), 3*Micro, "4 a minute leave 100 of 500")
	require.Equal(t, now, f.Path[0].At)
	require.Equal(t, w.Reset, f.Path[len(f.Path)-1].At)
}

func TestTheFasterOfTheLastHourAndTheAverageCounts(t *testing.T) {
	t.Parallel()
	w := weekly()
	now := start.Add(48 * time.Hour)
	uses := Uses{{At: start}}
	for minutes := 7 * 60; minutes >= 0; minutes-- { // D/24 is seven hours
		w.Committed = int64(7*60-minutes) * Micro / 2
		uses = append(uses, Sample{At: now.Add(-time.Duration(minutes) * time.Minute), Used: w.Committed})
	}
	f := Foresee(&w, uses, nil, now)
	require.InDelta(t, Micro/2, f.Rate*60, Micro/50, "half a credit a minute, not the average since the beginning")
	require.WithinDuration(t, now.Add(1580*time.Minute), f.RunsDry, 40*time.Minute, "790 are left")

	idle := now.Add(24 * time.Hour)
	f = Foresee(&w, uses, nil, idle)
	require.InDelta(t, 210*Micro/72., f.Rate*3600, Micro/100, "idle of late: the average")
	require.True(t, f.RunsDry.IsZero())
}

// shaped is the curve of a past window that used so much by its half and so much by its end.
func shaped(half, end int64) Curve {
	w := credits(1)
	var uses Uses
	for minute := range int64(101) {
		used := minute * half / 50
		if minute > 50 {
			used = half + (minute-50)*(end-half)/50
		}
		uses = append(uses, Sample{At: start.Add(time.Duration(minute) * time.Minute), Used: used})
	}
	return NewCurve(&w, uses)
}

func TestHistoryCorrectsTheRateFromThreeWindowsOn(t *testing.T) {
	t.Parallel()
	now := start.Add(50 * time.Minute)
	w, uses := even(credits(1), 6*Micro, now)
	calm := shaped(300*Micro, 340*Micro) // busy in the first half only
	byRate := Foresee(&w, uses, []Curve{calm, calm}, now)
	require.Zero(t, byRate.Windows)
	require.False(t, byRate.RunsDry.IsZero())

	three := Foresee(&w, uses, []Curve{calm, calm, calm}, now)
	require.Equal(t, 3, three.Windows)
	require.False(t, three.RunOutKnown)
	require.Less(t, three.Path[10].Expected, byRate.Path[10].Expected)

	five := Foresee(&w, uses, []Curve{calm, calm, calm, calm, calm}, now)
	require.True(t, five.RunOutKnown)
	require.Less(t, five.RunOut, 0.2)
	require.True(t, five.RunsDry.IsZero(), "the rate alone would have cried wolf")
	require.Contains(t, five.Says(&w), "by 5 past windows")
}

func TestFivePastWindowsGiveAProbability(t *testing.T) {
	t.Parallel()
	now := start.Add(50 * time.Minute)
	w, uses := even(credits(1), 4*Micro, now)
	calm, busy := shaped(200*Micro, 300*Micro), shaped(200*Micro, 600*Micro)
	none := Foresee(&w, uses, []Curve{calm, calm, calm, calm, calm}, now)
	some := Foresee(&w, uses, []Curve{calm, busy, calm, busy, calm}, now)
	all := Foresee(&w, uses, []Curve{busy, busy, busy, busy, busy}, now)
	require.InDelta(t, 0.5/3.863, none.RunOut, 0.005)
	require.Greater(t, some.RunOut, none.RunOut)
	require.InDelta(t, (2.863+0.5)/3.863, all.RunOut, 0.005)
	require.WithinDuration(t, start.Add(88*time.Minute), all.RunsDry, 2*time.Minute, "400 more from minute 50 to 100, of which 300 are there")
}

// TestAProbabilityIsWorthItsName plays windows whose second half is as busy as a coin says and asks at half time.
func TestAProbabilityIsWorthItsName(t *testing.T) {
	t.Parallel()
	for _, busyShare := range []float64{0.15, 0.85} {
		random := rand.New(rand.NewPCG(5, 5))
		var past []Curve
		var loss, foreseen, ranDry float64
		const windows = 300
		for range windows {
			end := 350*Micro + int64(random.Float64()*100*Micro)
			if random.Float64() < busyShare {
				end = 550 * Micro
			}
			curve := shaped(200*Micro+int64(random.Float64()*40*Micro), end)
			now := start.Add(50 * time.Minute)
			w, uses := even(credits(1), 4*Micro, now)
			w.Committed = curve[48]
			outcome := 0.0
			if curve[96] >= w.Capacity() {
				outcome = 1
			}
			if f := Foresee(&w, uses, past[:min(len(past), 12)], now); f.RunOutKnown {
				loss += (f.RunOut - outcome) * (f.RunOut - outcome) / windows
				foreseen += f.RunOut / windows
				ranDry += outcome / windows
			}
			past = append([]Curve{curve}, past...)
		}
		require.Less(t, loss, 0.22, "Brier score; a coin has 0.25")
		require.InDelta(t, ranDry, foreseen, 0.12)
	}
}

func TestAForecastStaysWithinTheWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w, now, uses := anyUses(t)
		var past []Curve
		for range rapid.IntRange(0, 7).Draw(t, "windows") {
			curve := make(Curve, curvePoints)
			for i := range curve[1:] {
				curve[i+1] = curve[i] + rapid.Int64Range(0, w.Limit/curvePoints).Draw(t, "growth")
			}
			past = append(past, curve)
		}
		f := Foresee(&w, uses, past, now)
		require.True(t, f.RunsDry.IsZero() || !f.RunsDry.Before(now) && !f.RunsDry.After(w.Reset), "%s", f.RunsDry)
		require.Equal(t, w.Capacity(), f.AtReset+f.Left)
		require.GreaterOrEqual(t, f.Left, int64(0))
		require.True(t, f.RunOut >= 0 && f.RunOut <= 1)
		for i, point := range f.Path {
			require.LessOrEqual(t, point.Low, point.Expected)
			require.LessOrEqual(t, point.Expected, point.High)
			require.LessOrEqual(t, point.High, w.Capacity())
			require.GreaterOrEqual(t, point.Low, int64(0))
			require.True(t, i == 0 || point.At.After(f.Path[i-1].At))
		}
		require.NotEmpty(t, f.Says(&w))
	})
}

func TestAForecastOfTheLargestWindowIsFullNotNegative(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	w := Window{Unit: "tokens", Limit: math.MaxInt64, Since: now.Add(-time.Hour), Reset: now.Add(time.Hour), Reserved: math.MaxInt64}
	f := Foresee(&w, Uses{}, nil, now)
	require.Equal(t, int64(math.MaxInt64), f.AtReset)
	require.Zero(t, f.Left)
	for _, point := range f.Path {
		require.Equal(t, Outlook{At: point.At, Low: math.MaxInt64, Expected: math.MaxInt64, High: math.MaxInt64}, point)
	}
}

func TestACurveSurvivesStorage(t *testing.T) {
	t.Parallel()
	curve := shaped(200*Micro, 300*Micro)
	require.Len(t, curve, 97)
	require.Equal(t, int64(300*Micro), curve[96])
	stored, err := json.Marshal(curve)
	require.NoError(t, err)
	var read Curve
	require.NoError(t, json.Unmarshal(stored, &read))
	require.Equal(t, curve, read)
}
