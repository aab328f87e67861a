package budget

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func manned(request Request, workers ...Worker) Request {
	request.Crew = &Crew{Role: "coder", Workers: workers}
	return request
}

// claudes is two claude subscriptions and a codex one, with a window each.
func claudes() *Fleet {
	return claude().with(
		Subscription{ID: 2, Provider: "claude", Name: "team-a", Windows: []Window{credits(20)}},
		Subscription{ID: 3, Provider: "codex", Name: "codex", Windows: []Window{credits(30)}})
}

func TestOnlySubscriptionsThatALiveWorkerServesAreConsidered(t *testing.T) {
	t.Parallel()
	decision := decide(t, manned(ask(1, 10*Micro), Worker{Subscriptions: []string{"claude/team-a"}}), claudes(), start)
	require.Equal(t, Admit, decision.Outcome)
	require.Equal(t, "team-a", decision.Subscription)
	require.Equal(t, []Verdict{NoWorker, Admitted}, verdicts(decision))
	require.Equal(t, "No live worker for coder is logged in to claude.", decision.Attempts[0].Reason())

	everywhere := decide(t, manned(ask(1, 10*Micro), Worker{}), claudes(), start)
	require.Equal(t, "claude", everywhere.Subscription, "a worker that names none is logged in to all")
}

func TestAWorkersModelIsACeiling(t *testing.T) {
	t.Parallel()
	decision := decide(t, manned(ask(1, 10*Micro), Worker{Ceiling: "Sonnet"}), claude(), start)
	require.Equal(t, Admit, decision.Outcome)
	require.Equal(t, "sonnet", decision.Tier.Model)
	require.Equal(t, "Lowered from opus to sonnet. On opus: No live worker for coder on claude may run opus.", decision.Reason())

	exact := manned(ask(1, 10*Micro), Worker{Ceiling: "sonnet"})
	exact.Exact = true
	waiting := decide(t, exact, claude(), start)
	require.Equal(t, Queue, waiting.Outcome)
	require.Equal(t, "Waits for a worker. No live worker for coder on claude may run opus.", waiting.Reason())

	gone := decide(t, manned(ask(1, 10*Micro), Worker{Ceiling: "no longer there"}), claude(), start)
	require.Equal(t, Queue, gone.Outcome)
}

func TestALowerTierThatSavesNothingStillRunsWhereNobodyMayRunTheRequestedOne(t *testing.T) {
	t.Parallel()
	ladder := Ladder{{"claude", "opus", 3}, {"claude", "sonnet", 3}}
	request, fleet := manned(ask(1, 10*Micro), Worker{Ceiling: "sonnet"}), claude()
	fleet.Ladder = ladder
	decision, err := fleet.Decide(&request, start)
	require.NoError(t, err)
	require.Equal(t, Admit, decision.Outcome)
	require.Equal(t, "sonnet", decision.Tier.Model)
}

func TestWhatOnlyLacksAWorkerWaitsInNoLineAndSaysWhichOne(t *testing.T) {
	t.Parallel()
	fleet := claude()
	request := manned(ask(1, 10*Micro))
	request.Deadline = start.Add(time.Minute)
	decision := decide(t, request, fleet, start)
	require.Equal(t, Queue, decision.Outcome)
	require.Empty(t, decision.Holds)
	require.Zero(t, decision.Start)
	require.Equal(t, "Waits for a worker. No live worker for coder is logged in to claude.", decision.Reason())
	decision.Apply(fleet)
	require.Empty(t, fleet.Subscriptions[0].Windows[0].Line)
	require.Zero(t, fleet.Subscriptions[0].Windows[0].Reserved)
	require.Equal(t, "credits", decision.Attempts[0].Unit(), "what it needs is known all the same")

	late := decide(t, request, fleet, start.Add(time.Minute+time.Second))
	require.Equal(t, Refuse, late.Outcome)
	require.Equal(t, "Its deadline 2026-11-23 09:01:00 UTC has passed.", late.Reason())
}

func TestWhatAWorkerWouldNotHelpIsRefusedForWhatItIs(t *testing.T) {
	t.Parallel()
	huge := decide(t, manned(ask(1, 5000*Micro)), claude(), start)
	require.Equal(t, Refuse, huge.Outcome)
	require.Equal(t, "Can never fit. Needs 5000 credits; the whole window main is smaller.", huge.Reason())
	other := manned(ask(1, Micro))
	other.Estimates[0].Unit = "tokens"
	mismatched := decide(t, other, claude(), start)
	require.NotNil(t, mismatched.Mismatched())
}

func TestWorkWaitsInALineThatIsServedRatherThanForAWorker(t *testing.T) {
	t.Parallel()
	fleet := claudes()
	request := manned(ask(1, 50*Micro), Worker{Subscriptions: []string{"codex"}})
	decision := decide(t, request, fleet, start)
	require.Equal(t, Queue, decision.Outcome)
	require.Equal(t, "codex", decision.Tier.Provider)
	require.NotZero(t, decision.Start)

	request.Deadline = start.Add(30 * time.Second) // too soon for codex, not for haiku on claude
	soon := decide(t, request, fleet, start)
	require.Equal(t, Queue, soon.Outcome)
	require.Equal(t, "Waits for a worker. No live worker for coder is logged in to claude.", soon.Reason())
}

func TestUnmeteredWorkNeedsAWorkerToo(t *testing.T) {
	t.Parallel()
	none := decide(t, manned(ask(1, Micro)), fleetOf(), start)
	require.Equal(t, Queue, none.Outcome)
	require.Equal(t, "Waits for a worker. No live worker for coder is logged in to claude.", none.Reason())
	require.Equal(t, Admit, decide(t, manned(ask(1, Micro), Worker{Subscriptions: []string{"claude"}}), fleetOf(), start).Outcome)

	lapsed := claudes()
	after := lapsed.Subscriptions[0].Windows[0].Reset
	second := decide(t, manned(ask(1, Micro), Worker{Subscriptions: []string{"claude/team-a"}}), lapsed, after)
	require.Equal(t, Admit, second.Outcome)
	require.Equal(t, "team-a", second.Subscription)
	require.False(t, second.Metered)
}

func TestSlackIsNotKeptForATierThatNobodyServes(t *testing.T) {
	t.Parallel()
	ladder := Ladder{{"claude", "opus", 5}, {"codex", "gpt-5.5", 3}}
	served := Worker{Subscriptions: []string{"claude"}}
	request, fleet := ask(1, 20*Micro), claudes()
	fleet.Ladder = ladder
	kept, err := fleet.Decide(&request, start)
	require.NoError(t, err)
	require.Equal(t, "gpt-5.5", kept.Tier.Model)
	request = manned(request, served)
	whole, err := fleet.Decide(&request, start)
	require.NoError(t, err)
	require.Equal(t, "opus", whole.Tier.Model)
}

func TestNothingIsAdmittedWhereNoWorkerServesIt(t *testing.T) {
	t.Parallel()
	labels := []string{"claude", "claude/team-a", "codex"}
	rapid.Check(t, func(t *rapid.T) {
		var workers []Worker
		for range rapid.IntRange(0, 3).Draw(t, "workers") {
			workers = append(workers, Worker{
				Subscriptions: rapid.SliceOfNDistinct(rapid.SampledFrom(labels), 0, 3, rapid.ID).Draw(t, "logged in"),
				Ceiling:       rapid.SampledFrom([]string{"", "opus", "sonnet", "haiku", "gpt-5.5"}).Draw(t, "ceiling"),
			})
		}
		fleet := claudes()
		for s := range fleet.Subscriptions {
			fleet.Subscriptions[s].Windows[0].Committed = rapid.Int64Range(0, 500*Micro).Draw(t, "committed")
		}
		request := manned(ask(1, rapid.Int64Range(0, 600*Micro).Draw(t, "estimate")), workers...)
		at := start.Add(time.Duration(rapid.IntRange(0, 110).Draw(t, "minute")) * time.Minute)
		decision, err := fleet.Decide(&request, at)
		require.NoError(t, err)
		require.NotEmpty(t, decision.Reason())
		if decision.Outcome == Refuse || decision.Missing != "" {
			return
		}
		subscription := Label(decision.Tier.Provider, decision.Subscription)
		require.Empty(t, request.Crew.Missing(DefaultLadder(), decision.Tier.Model, subscription))

		request.Crew = &Crew{Role: "coder", Workers: []Worker{{}}}
		all, err := fleet.Decide(&request, at)
		require.NoError(t, err)
		request.Crew = nil
		unasked, err := fleet.Decide(&request, at)
		require.NoError(t, err)
		require.Equal(t, unasked.Reason(), all.Reason(), "a worker that serves everything changes nothing")
		require.Equal(t, verdicts(unasked), verdicts(all))
	})
}
