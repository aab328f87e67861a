package budget

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestUseNobodyAdmittedIsBookedAsUnattributed(t *testing.T) {
	t.Parallel()
	w := credits(1)
	w.Committed = 30 * Micro
	reading := Reading{Used: 42 * Micro, At: start}
	unattributed := w.Unattributed(reading, 30*Micro)
	require.Equal(t, int64(12*Micro), unattributed)
	w.Committed += unattributed
	w.Committed += 5 * Micro // settled since
	w.Reserved = 7 * Micro
	require.Equal(t, int64(42+5+7)*Micro, w.Used(), "U + (C(now) - C(t_u)) + R")
	require.Equal(t, int64(-10*Micro), w.Unattributed(Reading{Used: 20 * Micro}, 30*Micro), "estimates that were booked too high")
}

func TestRunningWorkExplainsUseFirstAndNothingIsBookedTwice(t *testing.T) {
	t.Parallel()
	w := credits(1)
	reading := Reading{Used: 42 * Micro}
	require.Equal(t, int64(5*Micro), w.Correction(reading, 30*Micro, 7*Micro), "C + R would be below what is used")
	require.Zero(t, w.Correction(reading, 30*Micro, 12*Micro), "C <= U <= C + R says nothing new")
	require.Zero(t, w.Correction(reading, 30*Micro, 50*Micro))
	require.Zero(t, w.Correction(reading, 42*Micro, 50*Micro))
	require.Equal(t, int64(-8*Micro), w.Correction(reading, 50*Micro, 7*Micro), "estimates were booked too high, whatever runs")
	rapid.Check(t, func(t *rapid.T) {
		used, committed := rapid.Int64Range(0, 1000*Micro).Draw(t, "U"), rapid.Int64Range(0, 1000*Micro).Draw(t, "C")
		held := rapid.Int64Range(0, 1000*Micro).Draw(t, "R")
		after := committed + w.Correction(Reading{Used: used}, committed, held)
		require.LessOrEqual(t, after, used)
		require.GreaterOrEqual(t, after+held, used)
		require.GreaterOrEqual(t, after, int64(0))
	})
}

func TestAPointOfAPercentWindowIsRoundingAndNotUse(t *testing.T) {
	t.Parallel()
	w := credits(1)
	w.Unit = "percent"
	require.Zero(t, w.Unattributed(Reading{Used: Micro}, 0), "an idle account shows 1 %")
	require.Equal(t, int64(2*Micro), w.Unattributed(Reading{Used: 2 * Micro}, 0))
	require.Zero(t, w.Unattributed(Reading{Used: 12 * Micro}, 12*Micro+Micro/2))
}

func TestTheSameCycleIsKnownThoughItsResetJitters(t *testing.T) {
	t.Parallel()
	epoch := func(reset time.Time, length time.Duration) Epoch { return Epoch{reset.Add(-length), reset} }
	five := epoch(start, 5*time.Hour)
	for _, c := range []struct {
		name  string
		other Epoch
		same  bool
	}{
		{"a minute later", epoch(start.Add(time.Minute), 5*time.Hour), true},
		{"two hours earlier", epoch(start.Add(-2*time.Hour), 5*time.Hour), true},
		{"half of it", epoch(start.Add(-150*time.Minute), 5*time.Hour), false},
		{"the next one", epoch(start.Add(5*time.Hour), 5*time.Hour), false},
		{"a week is no five hours", epoch(start, 7*24*time.Hour), false},
	} {
		require.Equal(t, c.same, SameEpoch(five, c.other), c.name)
		require.Equal(t, c.same, SameEpoch(c.other, five), c.name)
	}
	short := epoch(start, 5*time.Minute)
	require.False(t, SameEpoch(short, epoch(start.Add(5*time.Minute), 5*time.Minute)))
	require.True(t, SameEpoch(short, epoch(start.Add(2*time.Minute), 5*time.Minute)))
}

func TestAnEarlyResetNeedsASecondReading(t *testing.T) {
	t.Parallel()
	week := 7 * 24 * time.Hour
	known := Watch{Epoch: Epoch{start, start.Add(week)}, Used: 60 * Micro}
	limit := int64(100 * Micro)
	early := Reading{Used: 0, At: start.Add(2 * 24 * time.Hour), Reset: start.Add(9 * 24 * time.Hour), Every: week}

	belief, doubted := known.Believe(early, limit)
	require.Equal(t, Doubtful, belief)
	require.Equal(t, known.Epoch, doubted.Epoch, "nothing has changed yet")

	again := early
	again.At = early.At.Add(5 * time.Minute)
	belief, believed := doubted.Believe(again, limit)
	require.Equal(t, NewEpoch, belief)
	require.Equal(t, early.Reset, believed.Epoch.Reset)

	old := Reading{Used: 61 * Micro, At: early.At.Add(5 * time.Minute), Reset: start.Add(week), Every: week}
	belief, back := doubted.Believe(old, limit)
	require.Equal(t, SameReading, belief, "it was a glitch")
	require.Zero(t, back.Doubted)

	belief, _ = doubted.Believe(early, limit)
	require.Equal(t, Doubtful, belief, "the same reading twice is not a second one")

	early.Redeemed = true
	belief, _ = known.Believe(early, limit)
	require.Equal(t, NewEpoch, belief, "a redeemed reset credit explains it")

	due := Reading{Used: Micro, At: start.Add(week), Reset: start.Add(2 * week), Every: week}
	belief, _ = known.Believe(due, limit)
	require.Equal(t, NewEpoch, belief, "a reset that was due needs no second reading")
	belief, _ = Watch{}.Believe(due, limit)
	require.Equal(t, NewEpoch, belief, "nor does the first one")
}

func TestAReadingThatLeapsNeedsASecondOne(t *testing.T) {
	t.Parallel()
	known := Watch{Epoch: Epoch{start, start.Add(5 * time.Hour)}, Used: 12 * Micro}
	glitch := Reading{Used: 100 * Micro, At: start.Add(time.Hour)}
	belief, doubted := known.Believe(glitch, 100*Micro)
	require.Equal(t, Doubtful, belief)
	require.Equal(t, int64(12*Micro), doubted.Used)

	calm := Reading{Used: 13 * Micro, At: start.Add(61 * time.Minute)}
	belief, after := doubted.Believe(calm, 100*Micro)
	require.Equal(t, SameReading, belief)
	require.Equal(t, int64(13*Micro), after.Used)

	glitch.At = start.Add(62 * time.Minute)
	belief, after = doubted.Believe(glitch, 100*Micro)
	require.Equal(t, SameReading, belief, "twice it is true")
	require.Equal(t, int64(100*Micro), after.Used)

	fell := Reading{Used: 2 * Micro, At: start.Add(time.Hour)}
	belief, doubted = known.Believe(fell, 100*Micro)
	require.Equal(t, Doubtful, belief, "use does not fall within an epoch")
	fell.At = fell.At.Add(time.Minute)
	belief, _ = doubted.Believe(fell, 100*Micro)
	require.Equal(t, NewEpoch, belief)
}
