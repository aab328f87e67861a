package budget

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const day = 24 * time.Hour

// weeklies are claude subscriptions with one week each, at a moment when so much is used and so many days are left.
func weeklies(now time.Time, accounts ...struct{ used, days float64 }) *Fleet {
	fleet := fleetOf()
	for i, account := range accounts {
		reset := now.Add(time.Duration(account.days * float64(day)))
		fleet = fleet.with(Subscription{ID: int64(i + 1), Provider: "claude", Name: string(rune('A' + i)), Windows: []Window{{
			ID: int64(10 * (i + 1)), Name: "weekly", Unit: "percent", Limit: 100 * Micro, BurstPPM: DefaultBurstPPM,
			Committed: int64(account.used * Micro), Since: reset.Add(-7 * day), Reset: reset, Source: UserEntered,
		}}})
	}
	return fleet
}

func percent(micros int64) Request {
	request := ask(1, micros)
	request.Estimates[0].Unit = "percent"
	request.Exact = true
	return request
}

type account = struct{ used, days float64 }

func TestPaceFollowsTheEvenRateAndDrainWhatExpiresFirst(t *testing.T) {
	t.Parallel()
	// The contrast of claude-swap #149: A has most quota left, but for the longest; B evaporates first.
	fleet := weeklies(start, account{13, 6}, account{50, 3})
	request := percent(Micro / 10)
	pace := decide(t, request, fleet, start)
	require.Equal(t, "B", pace.Subscription, "half of B must go in three days")
	require.InDelta(t, 1.01, pace.Attempts[0].Headroom, 0.01)
	require.InDelta(t, 1.16, pace.Attempts[1].Headroom, 0.01)
	require.Equal(t, PassedOver, pace.Attempts[0].Verdict)
	require.Equal(t, "Fits too; B has more left for the time to its reset, 1.16 times the even rate against 1.01.", pace.Attempts[0].Reason())

	fleet = weeklies(start, account{0, 6}, account{40, 4})
	require.Equal(t, "A", decide(t, request, fleet, start).Subscription)
	fleet.Policy = PolicyDrain
	drained := decide(t, request, fleet, start)
	require.Equal(t, "B", drained.Subscription)
	require.Equal(t, "Fits too; B resets earlier.", drained.Attempts[0].Reason())
}

func TestASubscriptionIsAsGoodAsItsTightestWindow(t *testing.T) {
	t.Parallel()
	fleet := weeklies(start, account{0, 6}, account{10, 6})
	fiveHours := credits(11)
	fiveHours.Unit, fiveHours.Limit, fiveHours.Since, fiveHours.Reset = "percent", 100*Micro, start.Add(-4*time.Hour), start.Add(time.Hour)
	fiveHours.Committed = 82 * Micro
	fleet.Subscriptions[0].Windows = append(fleet.Subscriptions[0].Windows, fiveHours)
	decision := decide(t, percent(Micro), fleet, start)
	require.Equal(t, "B", decision.Subscription)

	fleet.Subscriptions[0].Windows[1].Committed = 100 * Micro
	require.Equal(t, []Verdict{OverCap, Admitted}, verdicts(decide(t, percent(Micro), fleet, start)), "five hours that are used up rule out the week")
}

func TestWarmContextStaysUnlessAnotherSubscriptionIsClearlyBetter(t *testing.T) {
	t.Parallel()
	request := percent(Micro / 10)
	request.Stays = 1
	for _, c := range []struct {
		used float64
		on   string
	}{{40, "A"}, {46, "A"}, {55, "B"}} {
		fleet := weeklies(start, account{c.used, 3.5}, account{40, 3.5})
		require.Equal(t, c.on, decide(t, request, fleet, start).Subscription, "A has used %v", c.used)
	}
	stays := decide(t, request, weeklies(start, account{45, 3.5}, account{40, 3.5}), start)
	require.Equal(t, "Fits too; the context is warm on A.", stays.Attempts[1].Reason())
}

func TestEqualHeadroomGoesToTheEarliestReset(t *testing.T) {
	t.Parallel()
	fleet := weeklies(start, account{0, 1.5}, account{0, 1}, account{0, 1.2})
	require.Equal(t, "B", decide(t, percent(Micro/10), fleet, start).Subscription, "all of them have plenty")
}

func TestManyDispatchesSpreadOverTheSubscriptions(t *testing.T) {
	t.Parallel()
	fleet := weeklies(start, account{10, 5}, account{12, 5}, account{14, 5})
	taken := map[string]int{}
	for id := range int64(60) {
		request := percent(Micro / 2)
		request.ID = id + 1
		decision := decide(t, request, fleet, start)
		require.Equal(t, Admit, decision.Outcome)
		decision.Apply(fleet)
		taken[decision.Subscription]++
	}
	require.Equal(t, map[string]int{"A": 24, "B": 20, "C": 16}, taken)
}

func TestAProvidersReadingIsBelievedLessWithAge(t *testing.T) {
	t.Parallel()
	now := start.Add(3 * day)
	fleet := weeklies(now, account{40, 4}, account{40, 4})
	for i, age := range []time.Duration{10 * time.Minute, time.Minute} {
		fleet.Subscriptions[i].Windows[0].Source = ProviderDetected
		fleet.Subscriptions[i].Windows[0].Checked = now.Add(-age)
	}
	require.Equal(t, MeterStale, fleet.Window(10).Meter(now))
	require.Equal(t, MeterFresh, fleet.Window(20).Meter(now))
	decision := decide(t, percent(Micro/10), fleet, now)
	require.Equal(t, "B", decision.Subscription)
	require.Less(t, decision.Attempts[0].Headroom, decision.Attempts[1].Headroom)
	require.Equal(t, MeterUnknown, fleet.Window(10).Meter(now.Add(6*time.Minute)))
	fleet.Window(10).Source = UserEntered
	require.Equal(t, MeterFresh, fleet.Window(10).Meter(now.Add(2*day)), "what our own ledger meters never goes stale by age")
}

func TestSourcesKeepTheirNames(t *testing.T) {
	t.Parallel()
	for _, source := range []Source{UserEntered, ProviderDetected, Estimated, SourceUnknown} {
		require.Equal(t, source, ParseSource(source.String()))
	}
	require.Equal(t, SourceUnknown, ParseSource("hearsay"))
}

// half is a known subscription and one whose reading is an hour old.
func half(now time.Time) *Fleet {
	fleet := weeklies(now, account{10, 5}, account{10, 5})
	fleet.Window(20).Source, fleet.Window(20).Checked = ProviderDetected, now.Add(-time.Hour)
	return fleet
}

func TestAnUnknownMeterGetsOneCanaryAtATimeWhileAKnownOneFits(t *testing.T) {
	t.Parallel()
	fleet := half(start)
	first := decide(t, percent(Micro), fleet, start)
	require.Equal(t, "A", first.Subscription, "nothing says that a canary may go")
	require.Equal(t, []Verdict{Admitted, UnknownMeter}, verdicts(first))
	require.Equal(t, "The window weekly has had no reading since 2026-11-23 08:00:00 UTC.", first.Attempts[1].Reason())

	fleet.Subscriptions[1].Probe = true
	canary := decide(t, percent(Micro), fleet, start)
	require.Equal(t, "B", canary.Subscription)
	require.False(t, canary.Metered)
	require.Equal(t, "Admitted on opus: meter unknown, no fresh reading of B.", canary.Reason())
	require.Equal(t, []Hold{{Window: 20, Micros: Micro}}, canary.Holds, "it is held all the same, for when a reading comes")
	require.Equal(t, "Fits too; B is tried, since its meter is unknown.", canary.Attempts[0].Reason())
	canary.Apply(fleet)
	second := percent(Micro)
	second.ID = 2
	require.Equal(t, "A", decide(t, second, fleet, start).Subscription, "one at a time")
}

func TestUnknownMetersNeverStopWorkButAreNoRoomEither(t *testing.T) {
	t.Parallel()
	fleet := half(start)
	fleet.Window(10).Committed = 99 * Micro
	waiting := decide(t, percent(Micro), fleet, start)
	require.Equal(t, Queue, waiting.Outcome, "a known meter takes it later")
	require.Equal(t, "A", waiting.Subscription)

	hurried := percent(Micro)
	hurried.Deadline = start.Add(time.Minute)
	urgent := decide(t, hurried, fleet, start)
	require.Equal(t, Admit, urgent.Outcome, "no known meter takes it in time")
	require.False(t, urgent.Metered)
	require.Contains(t, urgent.Reason(), "meter unknown")

	fleet.Window(10).Source = SourceUnknown
	for id := range int64(5) {
		request := percent(Micro)
		request.ID = id + 1
		decision := decide(t, request, fleet, start)
		require.Equal(t, Admit, decision.Outcome, "all are unknown")
		require.False(t, decision.Metered)
		decision.Apply(fleet)
	}
}

func TestRoutingNeverChangesWhatIsAdmitted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var accounts []account
		for range rapid.IntRange(1, 6).Draw(t, "subscriptions") {
			accounts = append(accounts, account{rapid.Float64Range(0, 100).Draw(t, "used"), rapid.Float64Range(0.01, 7).Draw(t, "days")})
		}
		fleet := weeklies(start, accounts...)
		request := percent(rapid.Int64Range(0, 30*Micro).Draw(t, "estimate"))
		request.Stays = rapid.Int64Range(0, 6).Draw(t, "stays")
		fleet.Policy = Policy(rapid.IntRange(0, 1).Draw(t, "policy"))
		decision, err := fleet.Decide(&request, start)
		require.NoError(t, err)
		fits := 0
		for i := range fleet.Subscriptions {
			alone := fleetOf(fleet.Subscriptions[i])
			single, err := alone.Decide(&request, start)
			require.NoError(t, err)
			if single.Outcome == Admit {
				fits++
			}
			if single.Outcome == Admit && fleet.Subscriptions[i].Name == decision.Subscription {
				fits += 100
			}
		}
		require.Equal(t, fits > 0, decision.Outcome == Admit)
		require.Equal(t, fits > 0, fits >= 100, "the one that was chosen admits it alone too")
		for i := range decision.Attempts {
			if decision.Attempts[i].Verdict == Admitted || decision.Attempts[i].Verdict == PassedOver {
				require.GreaterOrEqual(t, decision.Attempts[i].Headroom, 0.0)
				require.LessOrEqual(t, decision.Attempts[i].Headroom, 4.0)
			}
		}
	})
}
