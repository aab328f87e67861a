package budget

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestEstimatesArePerTierAndUnit(t *testing.T) {
	t.Parallel()
	fleet := claude()
	tokens := credits(11)
	tokens.Name, tokens.Unit = "tokens", "tokens"
	fleet.Subscriptions[0].Windows = append(fleet.Subscriptions[0].Windows, tokens)
	request := ask(1, 0)
	request.Estimates = []Estimate{
		{Unit: "credits", Mean: 10 * Micro},
		{Model: "sonnet", Unit: "credits", Mean: 4 * Micro, Upper: 7 * Micro},
		{Model: "haiku", Unit: "tokens", Mean: 2 * Micro},
	}
	holds := func(model string) []Hold {
		request.Model = model
		return decide(t, request, fleet, start).Holds
	}
	require.Equal(t, []Hold{{Window: 10, Micros: 10 * Micro}, {Window: 11, Micros: 10 * Micro}}, holds("opus"), "tokens are haiku's 2, at five times the cost")
	require.Equal(t, []Hold{{Window: 10, Micros: 7 * Micro, Margin: 3 * Micro}, {Window: 11, Micros: 6 * Micro}}, holds("sonnet"))
	require.Equal(t, []Hold{{Window: 10, Micros: 10 * Micro}, {Window: 11, Micros: 2 * Micro}}, holds("haiku"), "an estimate without a model is for the requested one")
}

func TestHalfTheSlackIsKeptForATierThatSaves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		opus, sonnet int64
		used         int64
		verdicts     []Verdict
	}{
		{"up to a + b/2 the requested tier", 12, 6, 0, []Verdict{Admitted}},
		{"above it the saving one", 13, 6, 0, []Verdict{OverPace, Admitted}},
		{"the saving one up to a + b", 13, 6, 19, []Verdict{OverPace, Admitted}},
		{"and no further", 13, 6, 20, []Verdict{OverPace, OverPace}},
		{"with none that saves, all of b", 13, 13, 12, []Verdict{Admitted}},
		{"which is then skipped", 13, 13, 13, []Verdict{OverPace, SavesNothing}},
		{"a dearer one saves nothing either", 13, 14, 13, []Verdict{OverPace, SavesNothing}},
	} {
		fleet := claude()
		fleet.Ladder = fleet.Ladder[:2]
		fleet.Window(10).Committed = c.used * Micro
		request := ask(1, 0)
		request.Estimates = []Estimate{{Model: "opus", Mean: c.opus * Micro}, {Model: "sonnet", Mean: c.sonnet * Micro}}
		require.Equal(t, c.verdicts, verdicts(decide(t, request, fleet, start)), c.name)
	}
}

func TestARolesLowestTierForbidsLowerOnes(t *testing.T) {
	t.Parallel()
	request := ask(1, 50*Micro)
	request.Lowest = "Sonnet"
	decision := decide(t, request, claude(), start)
	require.Equal(t, Queue, decision.Outcome)
	require.Equal(t, []Verdict{OverPace, OverPace, NotAllowed, NotAllowed}, verdicts(decision))
	require.Equal(t, "Its role allows nothing below Sonnet.", decision.Attempts[2].Reason())

	request.Model = "haiku"
	decision = decide(t, request, claude(), start)
	require.Equal(t, "haiku", decision.Tier.Model, "a request below it is what was asked for")
	require.Equal(t, []Verdict{OverPace, NotAllowed}, verdicts(decision))
}

func TestALowerTierThatFitsIsTriedBeforeWaitingOnAHigherOne(t *testing.T) {
	t.Parallel()
	fleet := claude()
	fleet.Window(10).Committed = 15 * Micro
	decision := decide(t, ask(1, 50*Micro), fleet, start)
	require.Equal(t, Admit, decision.Outcome)
	require.Equal(t, []Verdict{OverPace, OverPace, Admitted}, verdicts(decision))
	require.Equal(t, "haiku", decision.Tier.Model)
}

func TestOneAbsurdEstimateRefusesThatDispatchOnly(t *testing.T) {
	t.Parallel()
	fleet := claude()
	absurd := ask(1, 1_000_000*Micro)
	decision := decide(t, absurd, fleet, start)
	decision.Apply(fleet)
	require.Equal(t, Refuse, decision.Outcome)
	require.Equal(t, StepNormal, fleet.Window(10).StandsOn(false, start))
	require.Empty(t, fleet.Window(10).Line)
	require.Equal(t, Admit, decide(t, ask(2, 5*Micro), fleet, start).Outcome)
}

func TestThePromiseCountsEverythingAhead(t *testing.T) {
	t.Parallel()
	fleet := claude()
	want := start
	for id := int64(1); id <= 5; id++ {
		request := ask(id, 50*Micro)
		request.Exact = true
		decision := decide(t, request, fleet, start)
		require.Equal(t, Queue, decision.Outcome)
		want = start.Add(time.Duration(50*id-25) * time.Minute / 5) // t0 + D (used + ahead + q - b) / L'
		require.Equal(t, want, decision.Start)
		decision.Apply(fleet)
	}
	late := ask(6, 50*Micro)
	late.Exact, late.Deadline = true, want
	refused := decide(t, late, fleet, start)
	require.Equal(t, Refuse, refused.Outcome, "past its deadline it is refused at once")
	require.Contains(t, refused.Reason(), "Cannot start by 2026-11-23 09:45:00 UTC; the earliest start is 2026-11-23 09:55:00 UTC")
}

func TestALineLongerThanTheWindowIsPromisedTheNextOnes(t *testing.T) {
	t.Parallel()
	fleet := claude()
	window := fleet.Window(10)
	var last Decision
	for id := int64(1); id <= 30; id++ {
		request := ask(id, 50*Micro)
		request.Exact = true
		last = decide(t, request, fleet, start)
		last.Apply(fleet)
	}
	require.Equal(t, window.Reset, last.Start, "what follows a one-off nobody knows")

	window.Line, window.Recurrence = nil, Repeats(1, Days, window.Reset, time.UTC)
	previous := start
	for id := int64(1); id <= 30; id++ {
		request := ask(id, 50*Micro)
		request.Exact = true
		last = decide(t, request, fleet, start)
		require.False(t, last.Start.Before(previous))
		previous = last.Start
		last.Apply(fleet)
	}
	require.Equal(t, start.Add(295*time.Minute), last.Start, "1500 credits at 5 a minute, less the slack")
}

func TestWaitingCountsLikePriorityAndNobodyStarves(t *testing.T) {
	t.Parallel()
	at := func(id int64, priority int, hours float64) *Place {
		return &Place{ID: id, Priority: priority, Arrived: start.Add(time.Duration(hours * float64(time.Hour)))}
	}
	require.True(t, at(2, 7, 1).Before(at(1, 5, 0)), "two levels are worth two hours")
	require.False(t, at(2, 7, 2.5).Before(at(1, 5, 0)), "and no more: starved work ages up")
	require.False(t, at(2, 5, 1).Before(at(1, 5, 0)), "a newcomer never passes equal priority")

	rapid.Check(t, func(t *rapid.T) {
		place := func(label string) *Place {
			return at(rapid.Int64Range(1, 1000).Draw(t, label), rapid.IntRange(0, 9).Draw(t, label), rapid.Float64Range(0, 100).Draw(t, label))
		}
		waiting, newcomer := place("waiting"), place("newcomer")
		if newcomer.Before(waiting) && newcomer.Arrived.After(waiting.Arrived) {
			require.Greater(t, newcomer.Priority, waiting.Priority)
			require.LessOrEqual(t, newcomer.Arrived.Sub(waiting.Arrived), time.Duration(newcomer.Priority-waiting.Priority)*AgeUp)
		}
		third := place("third")
		require.False(t, waiting.Before(waiting))
		require.False(t, waiting.Before(newcomer) && newcomer.Before(waiting))
		require.True(t, !waiting.Before(newcomer) || !newcomer.Before(third) || waiting.Before(third), "one line")
	})
}

// TestLowPriorityWorkStartsThoughHigherNeverStopsComing feeds a window with more high priority work than it can take.
func TestLowPriorityWorkStartsThoughHigherNeverStopsComing(t *testing.T) {
	t.Parallel()
	fleet := claude()
	window := fleet.Window(10)
	window.Limit, window.Reset = 2400*Micro, start.Add(24*time.Hour) // 100 an hour
	waiting := map[int64]Request{}
	old := ask(1, 40*Micro)
	old.Priority, old.Arrived, old.Exact = 0, start, true
	window.Committed = 120 * Micro
	waiting[1] = old
	started := time.Time{}
	for minute := 0; minute < 24*60 && started.IsZero(); minute += 15 {
		now := start.Add(time.Duration(minute) * time.Minute)
		eager := ask(int64(minute+2), 40*Micro) // 160 an hour
		eager.Priority, eager.Arrived, eager.Exact = 9, now, true
		waiting[eager.ID] = eager
		window.Line = nil
		for _, request := range inLineOrder(waiting) {
			decision := decide(t, request, fleet, now)
			decision.Apply(fleet)
			if decision.Outcome == Admit {
				delete(waiting, request.ID)
				if request.ID == 1 {
					started = now
				}
			}
		}
	}
	require.False(t, started.IsZero())
	require.True(t, started.After(start.Add(9*time.Hour)), "priority still counts for what it is worth")
}

func TestARunIsExtendedWithinTheCapAndNeverLowered(t *testing.T) {
	t.Parallel()
	fleet := scoped()
	fleet.Window(10).Committed = 480 * Micro // far over pace
	require.True(t, fleet.Extend([]Hold{{Window: 10, Micros: 15 * Micro, Margin: 5 * Micro}, {Window: 30, Micros: 15 * Micro}}))
	require.Equal(t, int64(15*Micro), fleet.Window(30).Reserved)
	require.False(t, fleet.Extend([]Hold{{Window: 30, Micros: Micro}, {Window: 10, Micros: 10 * Micro}}), "all of its windows or none")
	require.Equal(t, int64(15*Micro), fleet.Window(30).Reserved)
	require.False(t, fleet.Extend([]Hold{{Window: 99, Micros: 1}}))
}
