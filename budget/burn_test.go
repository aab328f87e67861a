package budget

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// weekly is 1000 credits over seven days.
func weekly() Window {
	return Window{ID: 1, Name: "weekly", Unit: "credits", Limit: 1000 * Micro, BurstPPM: DefaultBurstPPM, Since: start, Reset: start.Add(7 * 24 * time.Hour)}
}

// spend plays a window that is spent evenly until a share of it has passed and then at a rate, until a warning or the step.
func spend(w *Window, from, rate float64, poll time.Duration) (warned Burn, at, step time.Time) {
	var uses Uses
	turn := w.Since.Add(time.Duration(from * float64(w.Reset.Sub(w.Since))))
	for now := w.Since; now.Before(w.Reset); now = now.Add(poll) {
		w.Committed = w.Allowance(now)
		if now.After(turn) {
			w.Committed = w.Allowance(turn) + int64(rate*float64(w.Allowance(now)-w.Allowance(turn)))
		}
		uses = append(uses, Sample{At: now, Used: w.Used()})
		if w.StandsOn(false, now) != StepNormal {
			return warned, at, now
		}
		if burn, yes := Burns(w, uses, poll, now); yes && at.IsZero() {
			warned, at = burn, now
		}
	}
	return warned, at, time.Time{}
}

func TestAWarningComesAheadOfTheStep(t *testing.T) {
	t.Parallel()
	short := weekly()
	short.Reset = start.Add(5 * time.Hour)
	for _, window := range []struct {
		Window
		poll time.Duration
	}{{weekly(), time.Minute}, {short, 10 * time.Second}} {
		for _, from := range []float64{0, 0.3, 0.6} {
			for _, rate := range []float64{1.5, 2, 4, 8, 20} {
				w := window.Window
				warned, at, step := spend(&w, from, rate, window.poll)
				require.False(t, step.IsZero())
				require.False(t, at.IsZero(), "no warning at %v times from %v of %s", rate, from, w.Reset.Sub(w.Since))
				require.True(t, at.Before(step), "warned at %s of the step at %s", at, step)
				require.Positive(t, warned.Rate)
			}
		}
	}
}

func TestAWarningSaysWhatAndWhen(t *testing.T) {
	t.Parallel()
	w := weekly()
	w.Committed = 100 * Micro
	now := start.Add(42 * time.Hour) // a quarter: the even spread allows 250
	uses := Uses{{At: start, Used: 0}}
	for minutes := 90; minutes >= 0; minutes-- {
		uses = append(uses, Sample{At: now.Add(-time.Duration(minutes) * time.Minute), Used: 100*Micro - int64(minutes)*Micro})
	}
	burn, yes := Burns(&w, uses, time.Minute, now)
	require.True(t, yes)
	require.True(t, burn.Fast)
	require.Equal(t, 84*time.Minute, burn.Long, "D/120")
	require.Equal(t, 7*time.Minute, burn.Short)
	require.InDelta(t, 10.08, burn.Rate, 0.001, "1 credit a minute where even spread has 1000 in 10080")
	require.Equal(t, "Spent 10.1 times as fast as the even spread over the last 1 h 24 min; at this rate work is lowered or waits from "+
		"2026-11-25 06:14:16 UTC, and without that nothing would be left at 2026-11-25 18:00:00 UTC.", burn.Says())

	uses = append(uses, Sample{At: now.Add(10 * time.Minute), Used: 100 * Micro})
	_, yes = Burns(&w, uses, time.Minute, now.Add(10*time.Minute))
	require.False(t, yes, "what has stopped over the short span is no longer warned of")
}

func TestTheTiersAreTheKnownOnesOfThirtyDays(t *testing.T) {
	t.Parallel()
	w := weekly()
	w.Reset = start.Add(30 * 24 * time.Hour)
	require.Equal(t, time.Hour, w.Reset.Sub(w.Since)/time.Duration(burnTiers[0].share))
	require.Equal(t, 6*time.Hour, w.Reset.Sub(w.Since)/time.Duration(burnTiers[1].share))
	require.Equal(t, 72*time.Hour, w.Reset.Sub(w.Since)/time.Duration(burnTiers[2].share))
	require.Equal(t, 5*time.Minute, time.Hour/burnShort)
}

func TestSpansShorterThanThePollAreLeftOut(t *testing.T) {
	t.Parallel()
	w := weekly()
	w.Reset = start.Add(5 * time.Hour)
	now := start.Add(2 * time.Hour)
	w.Committed = 300 * Micro
	uses := Uses{{At: start}, {At: now.Add(-time.Second), Used: 300 * Micro}}
	for poll, long := range map[time.Duration]time.Duration{time.Second: 25 * time.Second, 10 * time.Second: 150 * time.Second, time.Minute: 30 * time.Minute} {
		burn, yes := Burns(&w, uses, poll, now)
		require.True(t, yes)
		require.Equal(t, long, burn.Long)
		require.Equal(t, long < 30*time.Minute, burn.Fast)
	}
	_, yes := Burns(&w, uses, 3*time.Minute, now)
	require.False(t, yes)
}

func TestEvenSpendingIsNoWarning(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.5, 1, 1.02} {
		w := weekly()
		_, at, _ := spend(&w, 0, rate, 5*time.Minute)
		require.True(t, at.IsZero(), "warned at %v times", rate)
	}
}

func TestOneRunAtTheBeginningIsNoWarning(t *testing.T) {
	t.Parallel()
	w := weekly()
	w.Committed = 10 * Micro
	uses := Uses{{At: start, Used: 10 * Micro}}
	for minute := range 24 * 60 {
		_, yes := Burns(&w, uses, time.Minute, start.Add(time.Duration(minute)*time.Minute))
		require.False(t, yes, "after %d minutes", minute)
	}
}

func TestAWarningNamesInstantsBetweenNowAndTheReset(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w, now, uses := anyUses(t)
		burn, yes := Burns(&w, uses, time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "poll")), now)
		if !yes {
			return
		}
		require.Equal(t, StepNormal, w.StandsOn(false, now))
		require.True(t, !burn.Downgrade.Before(now) && burn.Downgrade.Before(w.Reset), "%s", burn.Downgrade)
		require.True(t, burn.RunsDry.IsZero() || burn.Downgrade.Before(burn.RunsDry) && burn.RunsDry.Before(w.Reset))
	})
}

// anyUses is a window, an instant and what it had used up to then.
func anyUses(t *rapid.T) (Window, time.Time, Uses) {
	w := anyWindow(t)
	now := anyMoment(t, w, "now")
	var uses Uses
	for range rapid.IntRange(0, 20).Draw(t, "samples") {
		used := rapid.Int64Range(0, w.Limit).Draw(t, "used")
		at := anyMoment(t, w, "at")
		if len(uses) == 0 || at.After(uses[len(uses)-1].At) {
			uses = append(uses, Sample{At: at, Used: used})
		}
	}
	return w, now, uses
}

func TestBurnRatesAndForecastsCountWorkingTime(t *testing.T) {
	t.Parallel()
	hours, err := ParseWorkingHours("mon-fri 09:00-17:00")
	require.NoError(t, err)
	w := weekly() // from Monday 09:00: 40 hours of work, 25 credits each
	w.Spread = hours.Spread(Epoch{w.Since, w.Reset})
	var uses Uses
	for at := w.Since; !at.After(start.Add(20 * time.Hour)); at = at.Add(time.Minute) {
		w.Committed = w.Allowance(at)
		uses = append(uses, Sample{At: at, Used: w.Committed})
	}
	night := start.Add(20 * time.Hour)
	_, yes := Burns(&w, uses, time.Minute, night)
	require.False(t, yes, "the even spread of a working day is no warning at night")
	f := Foresee(&w, uses, nil, night)
	require.InDelta(t, 1000*Micro, float64(f.AtReset), 10*Micro, "a fifth of the working time took a fifth")

	monday := weekly()
	monday.Spread = w.Spread
	warned, at, step := spend(&monday, 0, 4, time.Minute)
	require.False(t, at.IsZero())
	require.True(t, at.Before(step))
	require.Greater(t, warned.Rate, 1.0)
}
