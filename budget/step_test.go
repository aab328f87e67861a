package budget

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheStepFollowsTheNumbers(t *testing.T) {
	t.Parallel()
	w := credits(1)
	require.Equal(t, StepNormal, w.StandsOn(false, start))
	require.Equal(t, StepDowngrade, w.StandsOn(true, start), "its last admission was lowered")
	w.Committed = w.Burst()/2 + 1
	require.Equal(t, StepDowngrade, w.StandsOn(false, start))
	require.Equal(t, StepNormal, w.StandsOn(false, start.Add(time.Second)), "even spread has caught up")
	w.join(Waiting{Place: Place{ID: 1}})
	require.Equal(t, StepQueue, w.StandsOn(false, start))
	w.Reserved = w.Capacity()
	require.Equal(t, StepRefuse, w.StandsOn(false, start))
	require.Equal(t, w.Reset, w.EasesAt(start))
}

func TestAStepGoesUpAtOnceAndDownOnlyAfterTheDwell(t *testing.T) {
	t.Parallel()
	w := credits(1)
	require.Equal(t, 5*time.Minute, w.Dwell())
	w.Reset = start.Add(7 * 24 * time.Hour)
	require.Equal(t, 168*time.Minute, w.Dwell())

	dwell := 5 * time.Minute
	stance := Stance{Held: start}.Next(StepQueue, dwell, start)
	require.Equal(t, StepQueue, stance.Step)
	stance = stance.Next(StepNormal, dwell, start.Add(4*time.Minute))
	require.Equal(t, StepQueue, stance.Step)
	stance = stance.Next(StepQueue, dwell, start.Add(4*time.Minute))
	stance = stance.Next(StepNormal, dwell, start.Add(8*time.Minute))
	require.Equal(t, StepQueue, stance.Step, "the dwell counts from when the numbers last called for it")
	stance = stance.Next(StepDowngrade, dwell, start.Add(9*time.Minute))
	require.Equal(t, StepDowngrade, stance.Step)
}

func TestStepsKeepTheirNames(t *testing.T) {
	t.Parallel()
	for _, step := range []Step{StepNormal, StepDowngrade, StepQueue, StepRefuse} {
		require.Equal(t, step, ParseStep(step.String()))
	}
}

func TestALadderThatCannotWorkIsNamed(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultLadder().Validate())
	for _, wrong := range []Ladder{
		nil,
		{{Provider: "claude", Model: "", Cost: 1}},
		{{Provider: "claude", Model: "opus", Cost: 0}},
		{{Provider: "claude", Model: "opus", Cost: 1}, {Provider: "codex", Model: "Opus", Cost: 1}},
	} {
		require.Error(t, wrong.Validate())
	}
}
