package budget

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestWhatWasAdmittedOfLateIsForgottenAfterTheSpanOfABurst(t *testing.T) {
	t.Parallel()
	w := credits(1)
	h := w.Reset.Sub(w.Since) / 24
	w.reserve(Hold{Micros: 5 * Micro, Margin: Micro}, start.Add(10*time.Minute))
	w.Recall(start.Add(10*time.Minute + h))
	require.Equal(t, int64(4*Micro), w.Recent, "on the mean")
	w.Recall(start.Add(10*time.Minute + h + time.Microsecond))
	require.Zero(t, w.Recent)
	require.Empty(t, w.Lately)
}

func TestARunThatTurnsOutOtherwiseCorrectsWhatWasAdmittedWithIt(t *testing.T) {
	t.Parallel()
	w := credits(1)
	first, second := start.Add(time.Minute), start.Add(3*time.Minute)
	holds := []Hold{{Micros: 10 * Micro, Held: first}, {Micros: 20 * Micro, Held: second}}
	for _, hold := range holds {
		w.reserve(hold, hold.Held)
	}
	w.Settle(holds[0], 13*Micro)
	require.Equal(t, int64(33*Micro), w.Recent, "it cost more")
	w.Release(holds[1])
	require.Equal(t, int64(13*Micro), w.Recent, "nothing was spent of it")
	w.Recall(start.Add(6 * time.Minute))
	require.Zero(t, w.Recent, "each in its own time")
	w.Settle(Hold{Micros: 0, Held: first}, 50*Micro)
	require.Zero(t, w.Recent, "what it spent long ago is not spent of late")
}

func TestWhatIsAddedToAHoldIsOfLateUntilItIsGivenBack(t *testing.T) {
	t.Parallel()
	fleet := claude()
	w := fleet.Window(10)
	held := start.Add(time.Minute)
	hold := Hold{Window: 10, Micros: 5 * Micro, Held: held}
	w.reserve(hold, held)
	require.True(t, fleet.Extend([]Hold{{Window: 10, Micros: 7 * Micro, Held: held.Add(2 * time.Minute)}}))
	require.Equal(t, int64(12*Micro), w.Recent)
	hold.Micros = 12 * Micro
	w.Release(hold)
	require.Zero(t, w.Recent)
}

// TestWhatIsOfLateIsNeverCountedTooLow compares the slots with every admission of the span, and keeps them few.
func TestWhatIsOfLateIsNeverCountedTooLow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := credits(1)
		w.Limit, w.Reset = 1_000_000*Micro, w.Since.Add(day)
		h := w.Reset.Sub(w.Since) / 24
		type admission struct {
			Hold
			ended bool
			cost  int64
		}
		var admissions []admission
		now, often := start, rapid.SampledFrom([]time.Duration{8, 300}).Draw(t, "often")
		for range 400 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(h/often)).Draw(t, "pause"))).Truncate(time.Microsecond)
			w.Recall(now)
			if open := rapid.IntRange(-3, len(admissions)-1).Draw(t, "which"); open >= 0 && !admissions[open].ended {
				admissions[open].ended, admissions[open].cost = true, rapid.Int64Range(0, 9*Micro).Draw(t, "cost")
				w.Settle(admissions[open].Hold, admissions[open].cost)
			} else {
				hold := Hold{Micros: rapid.Int64Range(1, 9*Micro).Draw(t, "need"), Held: now}
				w.reserve(hold, now)
				admissions = append(admissions, admission{Hold: hold})
			}
			least, most := int64(0), int64(0)
			for _, a := range admissions {
				micros := a.Micros
				if a.ended {
					micros = a.cost
				}
				if a.Held.After(w.RecentSince(now)) {
					least += micros
				}
				if !a.Held.Before(now.Add(-h - h/48 - time.Microsecond)) {
					most += micros
				}
			}
			require.GreaterOrEqual(t, w.Recent, least)
			require.LessOrEqual(t, w.Recent, most)
			require.LessOrEqual(t, len(w.Lately), burstAlone+2*burstSlots+2)
		}
	})
}
