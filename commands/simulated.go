package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget/simulate"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// SimulatedFleet is the register's windows as a simulation plays on them: back to back, with nothing spent, judged by the ladder and the
// policy. Windows that have lapsed say nothing of what may be spent and are left out.
func SimulatedFleet(windows []register.Window, ladder register.Ladder, policy register.Policy, now time.Time) (budget.Fleet, error) {
	fleet := budget.Fleet{LimitBursts: true}
	for _, tier := range ladder.Tiers {
		fleet.Ladder = append(fleet.Ladder, budget.Tier{Provider: tier.Provider, Model: tier.Model, Cost: tier.Cost})
	}
	if policy.Route == register.RouteDrain {
		fleet.Policy = budget.PolicyDrain
	}
	for i, shown := range windows {
		if shown.Lapsed {
			continue
		}
		window, err := simulatedWindow(int64(i+1), shown, now)
		if err != nil {
			return fleet, err
		}
		if shown.Subscription == everyOne {
			if shown.Provider != everyOne {
				window.Provider = shown.Provider
			}
			fleet.Shared = append(fleet.Shared, window)
			continue
		}
		subscription := subscriptionOf(&fleet, shown)
		subscription.Windows = append(subscription.Windows, window)
	}
	if len(fleet.Subscriptions) == 0 && len(fleet.Shared) > 0 { // whose quota it is does not matter then
		fleet.Subscriptions = []budget.Subscription{{ID: 1, Provider: fleet.Ladder[0].Provider, Name: everyOne, Windows: fleet.Shared}}
		fleet.Shared = nil
	}
	return fleet, nil
}

func subscriptionOf(fleet *budget.Fleet, w register.Window) *budget.Subscription {
	for s := range fleet.Subscriptions {
		if known := &fleet.Subscriptions[s]; known.Provider == w.Provider && known.Name == w.Subscription {
			return known
		}
	}
	fleet.Subscriptions = append(fleet.Subscriptions, budget.Subscription{ID: int64(len(fleet.Subscriptions) + 1), Provider: w.Provider, Name: w.Subscription})
	return &fleet.Subscriptions[len(fleet.Subscriptions)-1]
}

func simulatedWindow(id int64, w register.Window, now time.Time) (budget.Window, error) {
	scope, err := budget.ParseScope(w.Scope)
	if err != nil {
		return budget.Window{}, fmt.Errorf("reading the window %s: %w", w.Window, err)
	}
	window := budget.Window{
		ID: id, Name: w.Window, Unit: string(w.Unit), Limit: w.LimitMicros, Floor: w.FloorMicros, Scope: scope, Model: w.Model, Since: w.Since, Reset: w.ResetAt,
		BurstPPM: budget.DefaultBurstPPM,
	}
	if capacity := window.Capacity(); capacity > 0 {
		window.BurstPPM = int64(float64(w.BurstMicros)/float64(capacity)*1e6 + 0.5)
	}
	if w.Closed {
		rolling, err := budget.ParseRecurrence(w.Recurrence)
		if err != nil {
			return budget.Window{}, fmt.Errorf("reading the window %s: %w", w.Window, err)
		}
		window.Since, window.Reset = now, now.Add(rolling.Length)
	}
	if w.Hours != "" {
		hours, err := budget.ParseWorkingHours(w.Hours)
		if err != nil {
			return budget.Window{}, fmt.Errorf("reading the window %s: %w", w.Window, err)
		}
		window.Spread = hours.Spread(budget.Epoch{Since: window.Since, Reset: window.Reset})
	}
	return window, nil
}

// SimulatedLedger reads at most so many of the register's newest dispatches as work that comes again; nil if none says what it cost.
func SimulatedLedger(ctx context.Context, api *register.API, by register.By, ladder budget.Ladder, policy register.Policy, most int) (*simulate.Ledger, error) {
	var all register.DispatchList
	for cursor := ""; len(all.Dispatches) < most; {
		page, err := api.Dispatches(ctx, by, cursor, min(200, most-len(all.Dispatches)))
		if err != nil {
			return nil, err
		}
		all.Dispatches = append(all.Dispatches, page.Dispatches...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	costed := all.Dispatches[:0]
	for _, d := range all.Dispatches {
		if len(d.Actuals)+len(d.Estimate) > 0 && !d.DryRun {
			costed = append(costed, d)
		}
	}
	if all.Dispatches = costed; len(costed) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	ledger, err := simulate.ReadLedger(bytes.NewReader(text), ladder)
	if err != nil {
		return nil, err
	}
	for i := range ledger.Jobs {
		for _, lowest := range policy.Lowest {
			if lowest.Role == ledger.Jobs[i].Role {
				ledger.Jobs[i].Lowest = lowest.Model
			}
		}
	}
	return ledger, nil
}
