package budget

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnOverrideLiftsPaceFloorOrALimitOfOurOwn(t *testing.T) {
	t.Parallel()
	request := ask(1, 100*Micro)
	request.Exact = true
	for _, c := range []struct {
		lifts    Lift
		micros   int64
		admitted int64
	}{
		{LiftPace, 75, 100}, // 25 of slack and 75 granted
		{LiftPace, 74, 99},
		{LiftFloor, 300, 0},
		{LiftLimit, 300, 0},
	} {
		fleet := claude()
		window := fleet.Window(10)
		window.Floor = 100 * Micro
		window.BurstPPM = 62_500 // 25 of 400
		require.NoError(t, window.Grant(Override{Lifts: c.lifts, Micros: c.micros * Micro, Cycles: 1}, start))
		decision := decide(t, request, fleet, start)
		require.Equal(t, c.admitted >= 100, decision.Outcome == Admit, "%s %d", c.lifts, c.micros)
		switch c.lifts {
		case LiftFloor:
			require.Equal(t, int64(500*Micro), window.Capacity(), "a floor is lifted no further than it goes")
		case LiftLimit:
			require.Equal(t, int64(700*Micro), window.Capacity())
		}
	}
}

func TestAnOverridesAmountIsSpentOnceAnEpoch(t *testing.T) {
	t.Parallel()
	fleet := claude()
	require.NoError(t, fleet.Window(10).Grant(Override{Lifts: LiftPace, Micros: 100 * Micro, Cycles: 2}, start))
	admitted := 0
	for id := range int64(10) {
		request := ask(id+1, 25*Micro)
		request.Exact = true
		decision := decide(t, request, fleet, start)
		decision.Apply(fleet)
		if decision.Outcome == Admit {
			admitted++
		}
	}
	require.Equal(t, 5, admitted, "25 of slack and 100 granted")
}

func TestAProvidersLimitIsNeverLifted(t *testing.T) {
	t.Parallel()
	w := credits(1)
	w.Theirs = true
	err := w.Grant(Override{Lifts: LiftLimit, Micros: Micro, Cycles: 1}, start)
	var provider *ProviderLimitError
	require.ErrorAs(t, err, &provider)
	require.EqualError(t, err, "The limit 500 credits of the window main is the provider's: no override lifts it. Lift its pace or its floor, or use another subscription.")
	require.Equal(t, int64(500*Micro), w.Capacity())
	require.NoError(t, w.Grant(Override{Lifts: LiftPace, Micros: Micro, Cycles: 1}, start))

	ours := credits(1)
	ours.Source = ProviderDetected // its use is read from the provider, its limit we set
	require.NoError(t, ours.Grant(Override{Lifts: LiftLimit, Micros: Micro, Cycles: 1}, start))
	require.Equal(t, int64(501*Micro), ours.Capacity())
}

func TestAnOverrideExpiresByTimeAndByCycles(t *testing.T) {
	t.Parallel()
	o := Override{Lifts: LiftPace, Micros: Micro, Cycles: 2, Expires: start.Add(time.Hour)}
	require.True(t, o.Live(start))
	require.False(t, o.Live(start.Add(time.Hour)))
	require.True(t, o.Rolled(1).Live(start))
	require.False(t, o.Rolled(2).Live(start))
	require.False(t, o.Rolled(9).Live(start))
	w := credits(1)
	require.NoError(t, w.Grant(o, start.Add(time.Hour)), "an expired one is no error")
	require.Zero(t, w.Extra)
}

func TestAnOverrideThatLiftsNothingSaysSo(t *testing.T) {
	t.Parallel()
	w := credits(1)
	for _, o := range []Override{
		{Lifts: LiftPace, Micros: 0, Cycles: 1},
		{Lifts: LiftPace, Micros: -1, Cycles: 1},
		{Lifts: LiftPace, Micros: 1},
		{Lifts: "all", Micros: 1, Cycles: 1},
		{Lifts: LiftFloor, Micros: 1, Cycles: 1},
	} {
		require.Error(t, w.Grant(o, start), "%+v", o)
		require.Equal(t, credits(1), w)
	}
}
