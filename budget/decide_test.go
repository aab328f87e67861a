package budget

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// claude is one subscription with one window of 500 credits over 100 minutes: 5 credits a minute, b = 25 credits.
func claude() *Fleet {
	return fleetOf(Subscription{ID: 1, Provider: "claude", Name: "claude", Windows: []Window{credits(10)}})
}

// codex is a second subscription like it, of the other provider.
func codex() Subscription {
	return Subscription{ID: 2, Provider: "codex", Name: "codex", Windows: []Window{credits(20)}}
}

func fleetOf(subscriptions ...Subscription) *Fleet {
	return &Fleet{Ladder: DefaultLadder(), Subscriptions: subscriptions}
}

func (f *Fleet) with(subscriptions ...Subscription) *Fleet {
	f.Subscriptions = append(f.Subscriptions, subscriptions...)
	return f
}

func credits(id int64) Window {
	return Window{ID: id, Name: "main", Unit: "credits", Limit: 500 * Micro, BurstPPM: DefaultBurstPPM, Since: start, Reset: start.Add(100 * time.Minute)}
}

func ask(id int64, micros int64) Request {
	return Request{Place: Place{ID: id, Priority: 5}, Model: "opus", Estimates: []Estimate{{Unit: "credits", Mean: micros}}}
}

func decide(t *testing.T, request Request, fleet *Fleet, now time.Time) Decision {
	t.Helper()
	decision, err := fleet.Decide(&request, now)
	require.NoError(t, err)
	return decision
}

func verdicts(d Decision) []Verdict {
	var out []Verdict
	for _, attempt := range d.Attempts {
		out = append(out, attempt.Verdict)
	}
	return out
}

func TestTheLadderAdmitsThenLowersThenQueuesThenRefuses(t *testing.T) {
	t.Parallel()
	fleet := claude()

	first := decide(t, ask(1, 10*Micro), fleet, start)
	require.Equal(t, Admit, first.Outcome)
	require.Equal(t, "opus", first.Tier.Model)
	require.Equal(t, []Hold{{Window: 10, Micros: 10 * Micro}}, first.Holds)
	require.Equal(t, "Admitted on opus. Needs 10 credits; even spread allows 12.5 now.", first.Reason())
	first.Apply(fleet)

	second := decide(t, ask(2, 10*Micro), fleet, start)
	require.Equal(t, Admit, second.Outcome, "half the slack was kept for a tier that saves")
	require.True(t, second.Lowered)
	require.Equal(t, "sonnet", second.Tier.Model)
	require.Equal(t, 6*Micro, int(second.Holds[0].Micros))
	require.Equal(t, []Verdict{OverPace, Admitted}, verdicts(second))
	require.Equal(t, "Lowered from opus to sonnet. On opus: Needs 10 credits; even spread allows 2.5 now.", second.Reason())
	second.Apply(fleet)

	third := decide(t, ask(3, 50*Micro), fleet, start)
	require.Equal(t, Queue, third.Outcome)
	require.Equal(t, "haiku", third.Tier.Model, "it waits where it can start first")
	require.Equal(t, start.Add(12*time.Second), third.Start, "16 used + 10 needed - 25 slack at 5 a minute")
	require.Equal(t, []Verdict{OverPace, OverPace, OverPace, NoSubscription}, verdicts(third))
	third.Apply(fleet)

	urgent := ask(4, 50*Micro)
	urgent.Deadline = start.Add(2 * time.Minute)
	fourth := decide(t, urgent, fleet, start)
	require.Equal(t, Refuse, fourth.Outcome)
	require.Equal(t, LineAhead, fourth.Attempts[0].Verdict)
	require.Equal(t, "Cannot start by 2026-11-23 09:02:00 UTC; the earliest start is 2026-11-23 09:02:12 UTC on haiku. Needs 10 credits; 1 dispatch waits ahead with 10 credits.", fourth.Reason())
	require.Equal(t, 16*Micro, int(fleet.Subscriptions[0].Windows[0].Reserved), "a refused dispatch reserves nothing")
}

func TestARequestIsACeiling(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ladder := DefaultLadder()
		top := rapid.IntRange(0, len(ladder)-1).Draw(t, "requested")
		fleet := claude().with(codex())
		for w := range fleet.Subscriptions {
			fleet.Subscriptions[w].Windows[0].Committed = rapid.Int64Range(0, 500*Micro).Draw(t, "committed")
		}
		request := ask(1, rapid.Int64Range(0, 600*Micro).Draw(t, "estimate"))
		request.Model = ladder[top].Model
		request.Exact = rapid.Bool().Draw(t, "exact")
		request.Lifted = rapid.Bool().Draw(t, "lifted")
		decision, err := fleet.Decide(&request, start.Add(time.Duration(rapid.IntRange(0, 99).Draw(t, "minute"))*time.Minute))
		require.NoError(t, err)
		for _, attempt := range decision.Attempts {
			require.Contains(t, ladder[top:], *attempt.Tier)
			if *attempt.Tier != ladder[top] && request.Exact {
				require.Equal(t, NotAllowed, attempt.Verdict)
			}
			require.NotEmpty(t, attempt.Reason())
		}
		if decision.Outcome != Refuse {
			require.Contains(t, ladder[top:], decision.Tier)
			require.True(t, !request.Exact || decision.Tier == ladder[top])
		}
		require.NotEmpty(t, decision.Reason())
	})
}

func TestAnUnknownModelNamesTheKnownOnes(t *testing.T) {
	t.Parallel()
	request := ask(1, Micro)
	request.Model = "opsu"
	_, err := claude().Decide(&request, start)
	require.EqualError(t, err, `The model "opsu" is not in the ladder; known are opus, sonnet, haiku, gpt-5.5.`)

	request.Model = "Sonnet"
	require.Equal(t, "sonnet", decide(t, request, claude(), start).Tier.Model)
}

func TestExactForbidsLowerTiersAndHasAllTheSlack(t *testing.T) {
	t.Parallel()
	request := ask(1, 20*Micro)
	request.Exact = true
	require.Equal(t, Admit, decide(t, request, claude(), start).Outcome)

	request.Estimates[0].Mean = 30 * Micro
	waiting := decide(t, request, claude(), start)
	require.Equal(t, Queue, waiting.Outcome)
	require.Equal(t, []Verdict{OverPace, NotAllowed, NotAllowed, NotAllowed}, verdicts(waiting))
	require.Equal(t, start.Add(time.Minute), waiting.Start)
}

func TestATierThatSavesNothingIsSkipped(t *testing.T) {
	t.Parallel()
	flat := Ladder{{Provider: "claude", Model: "opus", Cost: 3}, {Provider: "claude", Model: "sonnet", Cost: 3}}
	request, fleet := ask(1, 30*Micro), claude()
	fleet.Ladder = flat
	decision, err := fleet.Decide(&request, start)
	require.NoError(t, err)
	require.Equal(t, []Verdict{OverPace, SavesNothing}, verdicts(decision))
	require.Equal(t, "Costs as much as opus here.", decision.Attempts[1].Reason())
	require.Equal(t, start.Add(time.Minute), decision.Start, "nothing saves, so opus has all the slack")
}

func TestAnotherProviderSavesOnlyWithALiveWindow(t *testing.T) {
	t.Parallel()
	request := ask(1, 20*Micro)
	ladder := Ladder{{Provider: "claude", Model: "opus", Cost: 5}, {Provider: "codex", Model: "gpt-5.5", Cost: 5}}
	fleet := claude()
	fleet.Ladder = ladder
	alone, err := fleet.Decide(&request, start)
	require.NoError(t, err)
	require.Equal(t, "opus", alone.Tier.Model)

	both, err := fleet.with(codex()).Decide(&request, start)
	require.NoError(t, err)
	require.Equal(t, "gpt-5.5", both.Tier.Model, "opus only has half the slack")
	require.Equal(t, int64(2), both.SubscriptionID)
}

func TestAllWindowsOfASubscriptionMustAdmit(t *testing.T) {
	t.Parallel()
	fleet := claude()
	weekly := credits(11)
	weekly.Name, weekly.Limit, weekly.Reset = "weekly", 1000*Micro, start.Add(7*24*time.Hour)
	weekly.Committed = 1000 * Micro
	fleet.Subscriptions[0].Windows = append(fleet.Subscriptions[0].Windows, weekly)
	decision := decide(t, ask(1, 10*Micro), fleet, start)
	require.Equal(t, Queue, decision.Outcome)
	require.Equal(t, OverCap, decision.Attempts[0].Verdict)
	require.Equal(t, "weekly", decision.Attempts[0].Window())
	require.Equal(t, weekly.Reset, decision.Start)
	require.Len(t, decision.Holds, 2)
}

func TestWhatNoWindowCanHoldIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	request := ask(1, 501*Micro)
	request.Exact = true
	decision := decide(t, request, claude(), start)
	require.Equal(t, Refuse, decision.Outcome)
	require.Equal(t, "Can never fit. Needs 501 credits; the whole window main is smaller.", decision.Reason())
}

func TestTheCapHoldsEvenForLiftedWork(t *testing.T) {
	t.Parallel()
	fleet := claude()
	fleet.Subscriptions[0].Windows[0].Committed = 450 * Micro
	request := ask(1, 60*Micro)
	request.Lifted, request.Exact = true, true
	decision := decide(t, request, fleet, start)
	require.Equal(t, Queue, decision.Outcome)
	require.Equal(t, fleet.Subscriptions[0].Windows[0].Reset, decision.Start)

	request.Estimates[0].Mean = 50 * Micro
	decision = decide(t, request, fleet, start)
	require.Equal(t, Admit, decision.Outcome, "pace is lifted, the cap just holds")
	require.Equal(t, "Admitted on opus; an override lifted the pace. Needs 50 credits.", decision.Reason())
}

func TestAWindowOnlyItsProviderMadeKnownTakesAShareOfWorkThatSpeaksOfOtherUnits(t *testing.T) {
	t.Parallel()
	fleet := claude()
	weekly := fleet.Subscriptions[0].Windows[0]
	weekly.ID, weekly.Name, weekly.Unit, weekly.Limit, weekly.Recurrence.Kind = 99, "weekly", "percent", 100*Micro, Reported
	fleet.Subscriptions[0].Windows = append(fleet.Subscriptions[0].Windows, weekly)
	decision := decide(t, ask(1, 10*Micro), fleet, start)
	require.Equal(t, Admit, decision.Outcome)
	require.Contains(t, decision.Holds, Hold{Window: 99, Micros: Micro}, "1 % of it, for opus")
	fleet.Subscriptions[0].Windows[1].Committed = 100 * Micro
	require.NotEqual(t, Admit, decide(t, ask(1, 10*Micro), fleet, start).Outcome, "it is judged like any other")
}

func TestAnEstimateInAnotherUnitIsItsOwnVerdict(t *testing.T) {
	t.Parallel()
	request := ask(1, 10*Micro)
	request.Estimates[0].Unit = "tokens"
	decision := decide(t, request, claude(), start)
	require.Equal(t, Refuse, decision.Outcome)
	require.Equal(t, UnitMismatch, decision.Mismatched().Verdict)
	require.Equal(t, "The estimate is in tokens; the window main counts credits.", decision.Mismatched().Reason())

	request.Estimates = []Estimate{{Unit: "tokens", Mean: 1}, {Unit: "credits", Mean: 10 * Micro}}
	require.Equal(t, Admit, decide(t, request, claude(), start).Outcome, "each window takes the amount in its unit")
	request.Estimates = []Estimate{{Mean: 10 * Micro}}
	require.Equal(t, Admit, decide(t, request, claude(), start).Outcome, "no unit means the window's")
}

func TestWithoutAnEstimateOnePercentIsHeld(t *testing.T) {
	t.Parallel()
	request := ask(1, 0)
	request.Estimates = nil
	require.Equal(t, []Hold{{Window: 10, Micros: 5 * Micro}}, decide(t, request, claude(), start).Holds)
	request.Model = "haiku"
	require.Equal(t, []Hold{{Window: 10, Micros: 5 * Micro}}, decide(t, request, claude(), start).Holds)
}

func TestAnUnknownMeterIsNeverAHardStop(t *testing.T) {
	t.Parallel()
	request := ask(1, 10*Micro)
	decision := decide(t, request, fleetOf(), start)
	require.Equal(t, Admit, decision.Outcome)
	require.False(t, decision.Metered)
	require.Equal(t, "opus", decision.Tier.Model)
	require.Empty(t, decision.Holds)
	require.Contains(t, decision.Reason(), "meter unknown")

	lapsed := claude()
	decision = decide(t, request, lapsed, lapsed.Subscriptions[0].Windows[0].Reset)
	require.Equal(t, Admit, decision.Outcome)
	require.False(t, decision.Metered)
	require.Equal(t, int64(1), decision.SubscriptionID, "it runs on the subscription whose window lapsed")
	require.Equal(t, Lapsed, decision.Attempts[0].Verdict)
}

func TestAKnownMeterIsPreferredToALapsedOne(t *testing.T) {
	t.Parallel()
	fleet := claude().with(codex())
	fleet.Subscriptions[0].Windows[0].Reset = start.Add(time.Second)
	decision := decide(t, ask(1, 5*Micro), fleet, start.Add(time.Second))
	require.Equal(t, "gpt-5.5", decision.Tier.Model)
	require.Equal(t, []Verdict{Lapsed, Lapsed, Lapsed, Admitted}, verdicts(decision))
}

func TestAPassedDeadlineRefuses(t *testing.T) {
	t.Parallel()
	request := ask(1, Micro)
	request.Deadline = start
	require.Equal(t, Admit, decide(t, request, claude(), start).Outcome, "the deadline is the latest start")
	decision := decide(t, request, claude(), start.Add(time.Microsecond))
	require.Equal(t, Refuse, decision.Outcome)
	require.Equal(t, "Its deadline 2026-11-23 09:00:00 UTC has passed.", decision.Reason())
}

func TestANewcomerNeverPassesWaitingWorkOfItsPriorityOrHigher(t *testing.T) {
	t.Parallel()
	fleet := claude()
	waiting := ask(1, 400*Micro)
	waiting.Exact = true
	first := decide(t, waiting, fleet, start)
	require.Equal(t, Queue, first.Outcome)
	first.Apply(fleet)

	small := ask(2, Micro)
	second := decide(t, small, fleet, start)
	require.Equal(t, Queue, second.Outcome)
	require.Equal(t, LineAhead, second.Attempts[0].Verdict)
	require.False(t, second.Start.Before(first.Start))

	small.Priority = 6
	require.Equal(t, Admit, decide(t, small, fleet, start).Outcome)
}

// TestTheCapHoldsOverAnySequence plays arrivals, wakes, completions and time against the rules the register promises.
func TestTheCapHoldsOverAnySequence(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		fleet := claude().with(Subscription{ID: 2, Provider: "codex", Name: "codex", Windows: []Window{credits(20), credits(21)}})
		now := start
		var id int64
		waiting := map[int64]Request{}
		held := map[int64][]Hold{}
		judge := func(request Request) {
			before := map[int64]int64{}
			for s := range fleet.Subscriptions {
				for w := range fleet.Subscriptions[s].Windows {
					before[fleet.Subscriptions[s].Windows[w].ID] = fleet.Subscriptions[s].Windows[w].Used()
				}
			}
			decision, err := fleet.Decide(&request, now)
			require.NoError(t, err)
			decision.Apply(fleet)
			delete(waiting, request.ID)
			switch decision.Outcome {
			case Admit:
				held[request.ID] = decision.Holds
			case Queue:
				waiting[request.ID] = request
				require.True(t, request.Deadline.IsZero() || !decision.Start.After(request.Deadline))
			}
			for s := range fleet.Subscriptions {
				for w := range fleet.Subscriptions[s].Windows {
					window := &fleet.Subscriptions[s].Windows[w]
					used := window.Used()
					require.LessOrEqual(t, used, window.Capacity(), "over the cap")
					if used > before[window.ID] && !request.Lifted {
						require.LessOrEqual(t, used, window.Allowance(now)+window.Burst(), "over pace")
					}
					requireLine(t, window)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"arrive": func(t *rapid.T) {
				id++
				request := ask(id, rapid.OneOf(rapid.Int64Range(0, 520*Micro), rapid.Int64Range(0, 50*Micro)).Draw(t, "estimate"))
				request.Model = rapid.SampledFrom([]string{"", "opus", "sonnet", "haiku", "gpt-5.5"}).Draw(t, "model")
				request.Exact = rapid.Bool().Draw(t, "exact")
				request.Priority = rapid.IntRange(0, 9).Draw(t, "priority")
				request.Lifted = rapid.IntRange(0, 2).Draw(t, "lifted") == 0
				if rapid.Bool().Draw(t, "hurried") {
					request.Deadline = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "deadline")) * time.Minute)
				}
				judge(request)
			},
			"wake": func(t *rapid.T) {
				for _, request := range inLineOrder(waiting) {
					judge(request)
				}
			},
			"complete": func(t *rapid.T) {
				for done, holds := range held {
					settle(fleet, holds)
					delete(held, done)
					return
				}
			},
			"pass time": func(t *rapid.T) {
				next := now.Add(time.Duration(rapid.IntRange(1, 600).Draw(t, "seconds")) * time.Second)
				if next.Before(fleet.Subscriptions[0].Windows[0].Reset) {
					now = next
				}
			},
		})
	})
}

func requireLine(t *rapid.T, window *Window) {
	for i := 1; i < len(window.Line); i++ {
		require.True(t, window.Line[i-1].Before(&window.Line[i].Place), "the line is in order")
	}
}

func inLineOrder(waiting map[int64]Request) []Request {
	var line Window
	for id, request := range waiting {
		line.join(Waiting{Place: waiting[id].Place, Need: 0})
		_ = request
	}
	var out []Request
	for _, w := range line.Line {
		out = append(out, waiting[w.ID])
	}
	return out
}

// settle commits each hold as it was reserved.
func settle(fleet *Fleet, holds []Hold) {
	for s := range fleet.Subscriptions {
		for w := range fleet.Subscriptions[s].Windows {
			for _, hold := range holds {
				if window := &fleet.Subscriptions[s].Windows[w]; window.ID == hold.Window {
					window.Reserved -= hold.Micros
					window.Committed += hold.Micros
				}
			}
		}
	}
}

// TestAPromiseNeverPrecedesThoseAhead re-plans a whole line and looks at the promises on each window in line order.
func TestAPromiseNeverPrecedesThoseAhead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		fleet := claude()
		fleet.Subscriptions[0].Windows[0].Committed = rapid.Int64Range(0, 400*Micro).Draw(t, "committed")
		waiting := map[int64]Request{}
		for id := range rapid.Int64Range(1, 20).Draw(t, "arrivals") {
			request := ask(id+1, rapid.Int64Range(1, 200*Micro).Draw(t, "estimate"))
			request.Priority = rapid.IntRange(0, 3).Draw(t, "priority")
			waiting[request.ID] = request
		}
		for _, request := range inLineOrder(waiting) {
			decision, err := fleet.Decide(&request, start)
			require.NoError(t, err)
			decision.Apply(fleet)
		}
		fleet.Subscriptions[0].Windows[0].Committed /= 2 // what frees up now may not let a newcomer promise itself an earlier start
		last := ask(100, rapid.Int64Range(1, 200*Micro).Draw(t, "newcomer"))
		last.Priority = 0
		newcomer, err := fleet.Decide(&last, start)
		require.NoError(t, err)
		newcomer.Apply(fleet)
		line := fleet.Subscriptions[0].Windows[0].Line
		for i := 1; i < len(line); i++ {
			require.False(t, line[i].Start.Before(line[i-1].Start), "%d is promised %s, before %s ahead of it", line[i].ID, line[i].Start, line[i-1].Start)
		}
	})
}

func TestPaceAdmitsToTheMicroUnitAndNotOneFurther(t *testing.T) {
	t.Parallel()
	half := decide(t, ask(1, 12_500_000), claude(), start)
	require.Equal(t, "opus", half.Tier.Model, "a + b/2 is 12.5 credits at the start")
	require.True(t, decide(t, ask(1, 12_500_001), claude(), start).Lowered)

	alone := ask(1, 25*Micro)
	alone.Exact = true
	require.Equal(t, Admit, decide(t, alone, claude(), start).Outcome)
	alone.Estimates[0].Mean++
	require.Equal(t, Queue, decide(t, alone, claude(), start).Outcome)
}
