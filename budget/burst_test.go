package budget

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAfterIdlenessABurstIsHeldToTwiceTheRemainingEvenRate(t *testing.T) {
	t.Parallel()
	fleet := claude()
	fleet.LimitBursts = true
	window := &fleet.Subscriptions[0].Windows[0]
	now := start.Add(50 * time.Minute) // idle for half the window: pace alone would admit 275 of 500 credits at once
	admitted := int64(0)
	var last Decision
	for id := int64(1); ; id++ {
		request := ask(id, 5*Micro)
		request.Exact = true
		last = decide(t, request, fleet, now)
		if last.Outcome != Admit {
			break
		}
		last.Apply(fleet)
		admitted += 5 * Micro
	}
	// 2 h 500 / (50 min + h) with h = 100 min / 24, rounded down to whole dispatches.
	require.Equal(t, int64(75*Micro), admitted)
	require.Equal(t, Queue, last.Outcome)
	require.Equal(t, OverBurst, last.Attempts[0].Verdict)
	require.Equal(t, "Needs 5 credits; twice the even rate allows 1.92 now.", last.Attempts[0].Reason())
	require.True(t, last.Start.After(now))
	require.False(t, last.Start.After(now.Add(100*time.Minute/24)))

	later := now.Add(100 * time.Minute / 24)
	require.Equal(t, now, window.RecentSince(later))
	window.Recent = 0
	require.Equal(t, Admit, decide(t, ask(99, 5*Micro), fleet, later).Outcome)
}

func TestWorkThatIsLargerThanABurstStartsAlone(t *testing.T) {
	t.Parallel()
	fleet := claude()
	fleet.LimitBursts = true
	now := start.Add(50 * time.Minute)
	large := ask(1, 100*Micro)
	large.Exact = true
	first := decide(t, large, fleet, now)
	require.Equal(t, Admit, first.Outcome)
	first.Apply(fleet)
	large.ID = 2
	require.Equal(t, OverBurst, decide(t, large, fleet, now).Attempts[0].Verdict)
	fleet.LimitBursts = false
	require.Equal(t, Admit, decide(t, large, fleet, now).Outcome)
}

func TestWithoutPaceThereIsNoBurstEither(t *testing.T) {
	t.Parallel()
	fleet := claude()
	fleet.LimitBursts = true
	fleet.Subscriptions[0].Windows[0].BurstPPM = million
	for id := range int64(500) {
		request := ask(id+1, Micro)
		request.Exact = true
		decision := decide(t, request, fleet, start)
		require.Equal(t, Admit, decision.Outcome)
		decision.Apply(fleet)
	}
	require.NotEqual(t, Admit, decide(t, ask(501, Micro), fleet, start).Outcome, "exactly the cap")
}

// TestNoSpanHoldsMoreThanABurst plays arrivals over a whole window and looks back from each admission over D/24.
func TestNoSpanHoldsMoreThanABurst(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type admission struct {
			at     time.Time
			micros int64
		}
		fleet := claude()
		fleet.LimitBursts = true
		window := &fleet.Subscriptions[0].Windows[0]
		var admissions []admission
		now := start
		for id := int64(1); now.Before(window.Reset); id++ {
			since := window.RecentSince(now)
			window.Recent = 0
			for _, a := range admissions {
				if a.at.After(since) {
					window.Recent += a.micros
				}
			}
			recent, used := window.Recent, window.Expected()
			request := ask(id, rapid.Int64Range(1, 60*Micro).Draw(t, "estimate"))
			request.Exact = true
			decision, err := fleet.Decide(&request, now)
			require.NoError(t, err)
			if decision.Outcome == Admit {
				decision.Apply(fleet)
				admissions = append(admissions, admission{now, request.Estimates[0].Mean})
				span := window.length() / 24
				begun := max(0, now.Sub(start).Microseconds()-span)
				twice := max(window.Burst(), scale(window.Capacity()-(used-recent), 2*span, window.length()-begun))
				require.True(t, recent == 0 || recent+request.Estimates[0].Mean <= twice, "%d within D/24, twice the even rate is %d", recent+request.Estimates[0].Mean, twice)
			} else if decision.Outcome == Queue {
				require.True(t, decision.Start.After(now), "waiting work is never told to start now")
			}
			window.Leave(id)
			now = now.Add(time.Duration(rapid.IntRange(1, 500).Draw(t, "pause")) * time.Second)
		}
	})
}
