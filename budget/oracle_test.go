package budget

import (
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// anyFleet is a fleet of every kind of window, in any state, and a request of it.
func anyFleet(t *rapid.T) (*Fleet, Request, time.Time) {
	now := start.Add(time.Duration(rapid.IntRange(0, 100*60).Draw(t, "now")) * time.Second)
	id := int64(0)
	window := func(model string) Window {
		id++
		w := credits(id)
		w.Committed = rapid.Int64Range(0, 520*Micro).Draw(t, "committed")
		w.Reserved = rapid.Int64Range(0, 100*Micro).Draw(t, "reserved")
		w.Margin = rapid.Int64Range(0, w.Reserved).Draw(t, "margin")
		w.Recent = rapid.SampledFrom([]int64{0, 0, 10 * Micro, 60 * Micro}).Draw(t, "recent")
		w.Floor = rapid.SampledFrom([]int64{0, 0, 50 * Micro}).Draw(t, "floor")
		w.Extra = rapid.SampledFrom([]int64{0, 0, 40 * Micro}).Draw(t, "extra")
		w.Scope = rapid.SampledFrom([]Scope{{}, {}, {OfRole, "coder"}, {OfProject, "mosaic"}, {OfMission, "other"}}).Draw(t, "scope")
		w.Model = rapid.SampledFrom([]string{"", "", model}).Draw(t, "model")
		w.Source = rapid.SampledFrom([]Source{UserEntered, ProviderDetected, SourceUnknown}).Draw(t, "source")
		w.Checked = now.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "age")) * time.Minute)
		w.Reset = w.Reset.Add(time.Duration(rapid.IntRange(-50, 500).Draw(t, "longer")) * time.Minute)
		if rapid.IntRange(0, 5).Draw(t, "rolling") == 0 {
			w.Recurrence, w.Committed, w.Reserved, w.Margin, w.Recent, w.Since, w.Reset = OpensAfter(5*time.Hour), 0, 0, 0, 0, time.Time{}, time.Time{}
		}
		for range rapid.IntRange(0, 2).Draw(t, "line") {
			need := rapid.Int64Range(0, 50*Micro).Draw(t, "waits")
			w.join(Waiting{
				Place: Place{ID: rapid.Int64Range(1, 2000).Draw(t, "waiting"), Priority: rapid.IntRange(0, 9).Draw(t, "priority")},
				Need:  need, Margin: need / 2, Start: now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "promise")) * time.Minute),
			})
		}
		return w
	}
	fleet := fleetOf()
	fleet.LimitBursts = rapid.Bool().Draw(t, "bursts")
	fleet.Policy = Policy(rapid.IntRange(0, 1).Draw(t, "policy"))
	for s := range rapid.IntRange(0, 4).Draw(t, "subscriptions") {
		subscription := Subscription{ID: int64(s + 1), Provider: "claude", Name: string(rune('a' + s)), Probe: rapid.Bool().Draw(t, "probe")}
		model := rapid.SampledFrom([]string{"opus", "sonnet"}).Draw(t, "model")
		if rapid.IntRange(0, 2).Draw(t, "provider") == 0 {
			subscription.Provider, model = "codex", "gpt-5.5"
		}
		for range rapid.IntRange(0, 3).Draw(t, "windows") {
			subscription.Windows = append(subscription.Windows, window(model))
		}
		fleet.Subscriptions = append(fleet.Subscriptions, subscription)
	}
	for range rapid.IntRange(0, 2).Draw(t, "shared") {
		w := window("opus")
		w.Provider = rapid.SampledFrom([]string{"", "claude"}).Draw(t, "shared provider")
		fleet.Shared = append(fleet.Shared, w)
	}
	request := ask(1000, rapid.OneOf(rapid.Int64Range(0, 40*Micro), rapid.Int64Range(0, 600*Micro)).Draw(t, "mean"))
	request.Estimates[0].Upper = rapid.Int64Range(0, 700*Micro).Draw(t, "upper")
	request.Role, request.Project, request.Priority = "coder", "mosaic", rapid.IntRange(0, 9).Draw(t, "priority")
	request.Model = rapid.SampledFrom([]string{"", "opus", "sonnet", "gpt-5.5"}).Draw(t, "requested")
	request.Lifted = rapid.IntRange(0, 4).Draw(t, "lifted") == 0
	request.Lowest = rapid.SampledFrom([]string{"", "", "sonnet"}).Draw(t, "lowest")
	if rapid.IntRange(0, 3).Draw(t, "no estimate") == 0 {
		request.Estimates = nil
	}
	if rapid.Bool().Draw(t, "hurried") {
		request.Deadline = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "deadline")) * time.Minute)
	}
	return fleet, request, now
}

// TestWhatIsAdmittedKeepsCapAndPaceOnEveryWindow holds each admission against the two rules, written again over big numbers.
func TestWhatIsAdmittedKeepsCapAndPaceOnEveryWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		fleet, request, now := anyFleet(t)
		decision, err := fleet.Decide(&request, now)
		require.NoError(t, err)
		require.NotEmpty(t, decision.Reason())
		for i := range decision.Attempts {
			require.NotEmpty(t, decision.Attempts[i].Reason())
		}
		held := map[int64]Hold{}
		for _, hold := range decision.Holds {
			require.NotContains(t, held, hold.Window)
			held[hold.Window] = hold
		}
		covering := func(windows []Window) (all []*Window) {
			for i := range windows {
				w := &windows[i]
				covers := (w.Model == "" || w.Model == decision.Tier.Model) && (w.Provider == "" || w.Provider == decision.Tier.Provider)
				if covers && w.Scope.Covers(&request) && !w.Lapsed(now) {
					all = append(all, w)
				}
			}
			return all
		}
		if decision.Outcome == Refuse {
			require.Empty(t, held)
			return
		}
		var windows []*Window
		for s := range fleet.Subscriptions {
			if fleet.Subscriptions[s].ID == decision.SubscriptionID {
				require.Equal(t, decision.Tier.Provider, fleet.Subscriptions[s].Provider)
				windows = append(covering(fleet.Subscriptions[s].Windows), covering(fleet.Shared)...)
			}
		}
		require.Len(t, held, len(windows), "all scopes or none")
		for _, w := range windows {
			hold, ok := held[w.ID]
			require.True(t, ok)
			known := w.Meter(now) != MeterUnknown
			if decision.Outcome == Queue {
				require.True(t, !known || !decision.Start.Before(now))
				continue
			}
			if !known {
				continue
			}
			require.LessOrEqual(t, w.Committed+w.Reserved+hold.Micros, w.Limit-w.Floor, "over the cap of %s", w.Name)
			if request.Lifted || w.Closed() {
				continue
			}
			a := new(big.Int).Mul(big.NewInt(w.Limit-w.Floor), big.NewInt(now.Sub(w.Since).Microseconds()))
			a.Div(a, big.NewInt(w.Reset.Sub(w.Since).Microseconds()))
			use := w.Committed + w.Reserved - w.Margin + hold.Micros - hold.Margin
			require.LessOrEqual(t, use, a.Int64()+w.Burst()+w.Extra, "over pace")
			if decision.Tier.Model == "opus" && request.Estimates != nil && request.Estimates[0].Mean > 1000 {
				require.LessOrEqual(t, use, a.Int64()+w.Burst()/2+w.Extra, "half the slack is sonnet's")
			}
			for i := range w.Line {
				require.False(t, w.Line[i].ID != request.ID && w.Line[i].Before(&request.Place), "it passed what waits")
			}
		}
	})
}

// TestWhatIsRememberedOfAWindowNeverOutlivesIt changes windows behind the fleet's back and compares with a fleet that remembers nothing.
func TestWhatIsRememberedOfAWindowNeverOutlivesIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		fleet, request, now := anyFleet(t)
		var decision Decision
		for range rapid.IntRange(1, 4).Draw(t, "decisions") {
			require.NoError(t, fleet.DecideInto(&decision, &request, now))
			fresh := fleetOf(fleet.Subscriptions...)
			fresh.Shared, fresh.Policy, fresh.LimitBursts = fleet.Shared, fleet.Policy, fleet.LimitBursts
			again, err := fresh.Decide(&request, now)
			require.NoError(t, err)
			require.Equal(t, again.Reason(), decision.Reason())
			require.Equal(t, verdicts(again), verdicts(decision))
			require.True(t, again.Start.Equal(decision.Start))
			require.Equal(t, len(again.Holds), len(decision.Holds))
			for i := range again.Holds {
				require.Equal(t, again.Holds[i], decision.Holds[i])
			}

			if rapid.Bool().Draw(t, "apply") {
				decision.Apply(fleet)
				request.ID++
			}
			var windows []*Window
			for s := range fleet.Subscriptions {
				for w := range fleet.Subscriptions[s].Windows {
					windows = append(windows, &fleet.Subscriptions[s].Windows[w])
				}
			}
			for w := range fleet.Shared {
				windows = append(windows, &fleet.Shared[w])
			}
			if len(windows) == 0 {
				continue
			}
			w := windows[rapid.IntRange(0, len(windows)-1).Draw(t, "changed window")]
			change := rapid.IntRange(0, 17).Draw(t, "change")
			for _, field := range []any{&w.Limit, &w.Floor, &w.Committed, &w.Reserved, &w.Recent, &w.BurstPPM, &w.Extra} {
				if change--; change == 0 {
					reflect.ValueOf(field).Elem().SetInt(rapid.Int64Range(0, 600*Micro).Draw(t, "value"))
				}
			}
			w.Margin, w.BurstPPM = min(w.Margin, w.Reserved), min(w.BurstPPM, million)
			switch change {
			case 1:
				if !w.Closed() {
					w.Since = w.Since.Add(-time.Minute)
				}
			case 2:
				w.Reset = w.Reset.Add(-time.Minute)
			case 3:
				w.Source = UserEntered
			case 4:
				w.Checked = now
			case 5:
				w.Line = nil
			case 6:
				w.Model = "sonnet"
			case 7:
				w.Scope = Scope{}
			case 8:
				now = now.Add(time.Second)
			case 9:
				fleet.LimitBursts = !fleet.LimitBursts
			}
		}
	})
}

// FuzzDecide looks for a request and a window that make the rules panic, wrap around or pass the cap.
func FuzzDecide(f *testing.F) {
	f.Add(int64(500*Micro), int64(0), int64(10*Micro), int64(0), int64(5*Micro), int64(9*Micro), int64(50_000), int64(60), int64(6000), int64(0))
	f.Add(int64(1<<62), int64(1<<61), int64(1<<62), int64(1<<60), int64(1<<62), int64(1<<62), int64(million), int64(1<<40), int64(1<<41), int64(1<<62))
	f.Add(int64(1), int64(0), int64(0), int64(0), int64(0), int64(0), int64(0), int64(0), int64(1), int64(0))
	f.Fuzz(func(t *testing.T, limit, floor, committed, reserved, mean, upper, burst, elapsed, length, ahead int64) {
		w := Window{
			ID: 10, Unit: "credits", Limit: positive(limit), Floor: positive(floor), Committed: positive(committed), Reserved: positive(reserved), Recent: positive(ahead),
			BurstPPM: positive(burst) % (million + 1), Since: start, Reset: start.Add(time.Duration(positive(length)%(1<<50)+1) * time.Microsecond),
			Recurrence: Repeats(1, Days, start, time.UTC),
		}
		if ahead != 0 {
			w.join(Waiting{Place: Place{ID: 1, Priority: 5}, Need: positive(ahead), Start: start})
		}
		now := start.Add(time.Duration(positive(elapsed)%(1<<50)) * time.Microsecond)
		fleet := fleetOf(Subscription{ID: 1, Provider: "claude", Name: "claude", Windows: []Window{w}})
		fleet.LimitBursts = true
		for _, lifted := range []bool{false, true} {
			request := ask(2, positive(mean))
			request.Estimates[0].Upper, request.Lifted = positive(upper), lifted
			decision, err := fleet.Decide(&request, now)
			require.NoError(t, err)
			require.NotEmpty(t, decision.Reason())
			if decision.Outcome == Queue {
				require.False(t, decision.Start.Before(now))
			}
			if decision.Outcome == Admit && decision.Metered {
				require.LessOrEqual(t, decision.Holds[0].Micros, w.Capacity()-w.Used())
			}
		}
	})
}

func positive(n int64) int64 { return n & (1<<63 - 1) }
