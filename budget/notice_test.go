package budget

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheFirstNoticeOfALevelIsPostedAndLaterOnesEditIt(t *testing.T) {
	t.Parallel()
	var posted Posted
	for _, c := range []struct {
		step Step
		post bool
	}{
		{StepNormal, false},
		{StepDowngrade, true},
		{StepNormal, false},
		{StepDowngrade, false},
		{StepQueue, true},
		{StepDowngrade, false},
		{StepRefuse, true},
		{StepQueue, false},
		{StepRefuse, false},
	} {
		require.Equal(t, c.post, posted.Announce(c.step), c.step)
	}
	posted = Posted{}
	require.True(t, posted.Announce(StepDowngrade), "a new epoch begins anew")
}

func TestAnUnacknowledgedRefusalRingsAgainTwice(t *testing.T) {
	t.Parallel()
	var rings []time.Duration
	for rung := 1; ; rung++ {
		at, again := NextRing(start, rung)
		if !again {
			break
		}
		rings = append(rings, at.Sub(start))
	}
	require.Equal(t, []time.Duration{15 * time.Minute, 45 * time.Minute}, rings)
	_, again := NextRing(start, 0)
	require.False(t, again)
}

// TestASaturatedWindowDoesNotFlap offers three times what a window can take, in jobs of 1 % of it that last 2 % of it, and
// reads the step every minute.
func TestASaturatedWindowDoesNotFlap(t *testing.T) {
	t.Parallel()
	fleet := claude()
	window := fleet.Window(10)
	window.Reset = start.Add(5 * time.Hour)
	stance, lowered, changes := Stance{Held: start}, false, 0
	waiting := map[int64]Request{}
	for minute := range 300 {
		now := start.Add(time.Duration(minute) * time.Minute)
		request := ask(int64(minute+1), 5*Micro)
		waiting[request.ID] = request
		window.Line = nil
		for _, request := range inLineOrder(waiting) {
			decision := decide(t, request, fleet, now)
			decision.Apply(fleet)
			if decision.Outcome == Admit {
				delete(waiting, request.ID)
				lowered = decision.Lowered
			}
		}
		next := stance.Next(window.StandsOn(lowered, now), window.Dwell(), now)
		if next.Step != stance.Step {
			changes++
		}
		stance = next
	}
	require.NotEqual(t, StepNormal, stance.Step)
	require.LessOrEqual(t, changes, 2, "step changes in one stay above normal")
	require.GreaterOrEqual(t, window.Expected(), window.Capacity()*97/100)
}
