package fleet

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// detours lists the states a dispatch passes through when a decision takes it further than one move.
var detours = map[[2]string][]string{
	{StateRunning, StateQueued}:  {StateReady},
	{StateRunning, StateRefused}: {StateReady, StateQueued},
	{StateRefused, StateReady}:   {StateQueued},
	{StateRefused, StateRefused}: {StateQueued},
}

// worthTelling is how far a promised start must move before those who wait are told.
const worthTelling = time.Minute

// judge asks the ladder about a dispatch. A model that has left the ladder since is a refusal.
func (t *transaction) judge(ctx context.Context, b *book, row *query.Dispatch) (budget.Decision, string, error) {
	return t.judgeFor(ctx, b, row, b.crew(row.Role))
}

// judgeFor is judge with other workers than all that live.
func (t *transaction) judgeFor(ctx context.Context, b *book, row *query.Dispatch, crew *budget.Crew) (budget.Decision, string, error) {
	request, err := requestOf(row)
	if err != nil {
		return budget.Decision{}, "", err
	}
	request.Crew = crew
	if err := t.prepare(ctx, b, row, &request); err != nil {
		return budget.Decision{}, "", err
	}
	decision, err := b.fleet.Decide(&request, b.now)
	var unknown *budget.UnknownModelError
	if errors.As(err, &unknown) {
		return budget.Decision{Outcome: budget.Refuse}, unknown.Error(), nil
	}
	if err != nil {
		return budget.Decision{}, "", fmt.Errorf("judging %s: %w", DispatchID(row.ID), err)
	}
	return decision, b.reasonFor(row, &decision), nil
}

// place carries out a decision about a dispatch that is in the register: its moves, its holds or its place in line, and
// the event. It answers the dispatch as it stands then.
func (t *transaction) place(ctx context.Context, b *book, row *query.Dispatch, decision *budget.Decision, reason string) (Dispatch, error) {
	before := *row
	target := settleOn(b, row, decision, reason)
	for _, state := range detours[[2]string{before.State, target}] {
		through := before
		through.State = state
		leaveClaim(&through)
		clearWait(&through)
		if state == StateReady {
			through.ReadyAt = &t.now
		}
		if err := t.putDispatch(ctx, &through); err != nil {
			return Dispatch{}, err
		}
	}
	if before.State == StateRunning {
		leaveClaim(row)
	}
	row.State = target
	dispatch, err := dispatchOf(*row, b.holds(heldBy(decision)))
	if err != nil || samePlace(&before, row) {
		return dispatch, err
	}
	if err := t.putDispatch(ctx, row); err != nil {
		return Dispatch{}, err
	}
	if err := t.reserve(ctx, b, row.ID, decision); err != nil {
		return Dispatch{}, err
	}
	broken := decision.Missing != "" && before.PromisedStart != nil
	if before.State == target && !broken && (row.PromisedStart == nil || !moved(before.PromisedStart, row.PromisedStart)) {
		return dispatch, nil
	}
	if err := t.tell(ctx, Event{Type: "dispatch." + target, Cause: row.Reason, Dispatch: &dispatch}); err != nil {
		return Dispatch{}, err
	}
	return dispatch, t.endDependents(ctx, b, row)
}

// settleOn writes a decision into the book and the row, all but the row's state, which it answers.
func settleOn(b *book, row *query.Dispatch, decision *budget.Decision, reason string) string {
	b.pace(row, decision)
	decision.Apply(&b.fleet)
	row.Reason = reason
	row.Attempts = encode(attemptsOf(decision))
	clearWait(row)
	for _, hold := range decision.Holds {
		b.movers[hold.Window] = mover{DispatchID(row.ID), decision.Requested.Model, decision.Tier.Model, reason}
	}
	switch decision.Outcome {
	case budget.Admit:
		row.Model, row.Provider, row.Subscription = decision.Tier.Model, decision.Tier.Provider, decision.Subscription
		row.SubscriptionID = nil
		if decision.SubscriptionID != 0 {
			row.SubscriptionID = &decision.SubscriptionID
		}
		row.Downgraded, row.ReadyAt = decision.Lowered, &b.now
		for _, hold := range decision.Holds {
			b.rows[hold.Window].Lowered = decision.Lowered
		}
		return StateReady
	case budget.Queue:
		row.PromisedStart = pointer(decision.Start)
		for _, hold := range decision.Holds {
			row.WaitsOn = append(row.WaitsOn, hold.Window)
			row.WaitsMicros = append(row.WaitsMicros, hold.Micros)
			row.WaitsMargins = append(row.WaitsMargins, hold.Margin)
		}
		unroute(row)
		return StateQueued
	}
	unroute(row)
	return StateRefused
}

// heldBy is what a decision reserves; waiting work reserves nothing.
func heldBy(decision *budget.Decision) []budget.Hold {
	if decision.Outcome != budget.Admit {
		return nil
	}
	return decision.Holds
}

func (t *transaction) reserve(ctx context.Context, b *book, dispatch int64, decision *budget.Decision) error {
	for _, hold := range heldBy(decision) {
		window, _ := b.window(hold.Window)
		err := t.InsertReservation(ctx, query.InsertReservationParams{
			TenantID: t.Tenant, Host: t.Host, DispatchID: dispatch, WindowID: hold.Window, Micros: hold.Micros, MarginMicros: hold.Margin, HeldAt: b.now,
			ExpectedMicros: new(window.Expected()), PacedMicros: b.paced[hold.Window],
		})
		if err != nil {
			return fmt.Errorf("reserving for %s: %w", DispatchID(dispatch), err)
		}
	}
	return nil
}

func (t *transaction) putDispatch(ctx context.Context, row *query.Dispatch) error {
	row.Host = t.Host
	err := t.PutDispatch(ctx, query.PutDispatchParams{
		TenantID: t.Tenant, ID: row.ID, Host: row.Host, State: row.State, Reason: row.Reason, PromisedStart: row.PromisedStart,
		Model: row.Model, Provider: row.Provider, SubscriptionID: row.SubscriptionID, Subscription: row.Subscription,
		Downgraded: row.Downgraded, Lifted: row.Lifted, Attempts: row.Attempts, WaitsOn: row.WaitsOn, WaitsMicros: row.WaitsMicros,
		Attempt: row.Attempt, Worker: row.Worker, Claim: row.Claim, ClaimExpiresAt: row.ClaimExpiresAt, Metered: row.Metered,
		Progress: row.Progress, Actuals: row.Actuals, Unmetered: row.Unmetered, Result: row.Result,
		StartedAt: row.StartedAt, FinishedAt: row.FinishedAt, WorkerHost: row.WorkerHost, Failure: row.Failure,
		ReadyAt: row.ReadyAt, ReturnedAt: row.ReturnedAt, WaitsMargins: row.WaitsMargins, Learned: row.Learned,
	})
	if err != nil {
		return fmt.Errorf("writing %s: %w", DispatchID(row.ID), err)
	}
	return nil
}

func attemptsOf(decision *budget.Decision) []RoutingAttempt {
	attempts := make([]RoutingAttempt, 0, len(decision.Attempts))
	for i := range decision.Attempts {
		attempt := &decision.Attempts[i]
		shown := RoutingAttempt{
			Model: attempt.Tier.Model, Provider: attempt.Tier.Provider, Subscription: attempt.Subscription(),
			Verdict: string(attempt.Verdict), Reason: attempt.Reason(), EarliestStart: attempt.Start(),
		}
		if attempt.Unit() != "" && attempt.Verdict != budget.UnitMismatch {
			shown.Estimate = &Amount{Unit: attempt.Unit(), Micros: attempt.Need}
			shown.Window, shown.RoomMicros, shown.Headroom = attempt.Window(), &attempt.Room, attempt.Headroom
			shown.Ahead, shown.AheadMicros = attempt.Ahead, attempt.AheadMicros
		}
		attempts = append(attempts, shown)
	}
	return attempts
}

func clearWait(row *query.Dispatch) {
	row.PromisedStart, row.ReadyAt, row.ReturnedAt = nil, nil, nil
	row.WaitsOn, row.WaitsMicros, row.WaitsMargins = []int64{}, []int64{}, []int64{}
}

func leaveClaim(row *query.Dispatch) {
	row.Worker, row.WorkerHost, row.Claim, row.ClaimExpiresAt, row.Progress = "", "", "", nil, ""
	row.Metered = encode([]Amount{})
}

func unroute(row *query.Dispatch) {
	row.Model, row.Provider, row.Subscription, row.SubscriptionID, row.Downgraded = "", "", "", nil, false
}

// samePlace says whether a waiting dispatch waits just as before, so that nothing needs to be written. In a line the numbers of
// the reason change with time; outside of every line the reason is all there is.
func samePlace(before, after *query.Dispatch) bool {
	return (before.Reason == after.Reason || len(after.WaitsOn) > 0) && before.ReturnedAt == after.ReturnedAt && before.State == StateQueued && after.State == StateQueued && before.Lifted == after.Lifted &&
		instant(before.PromisedStart).Equal(instant(after.PromisedStart)) &&
		reflect.DeepEqual(before.WaitsOn, after.WaitsOn) && reflect.DeepEqual(before.WaitsMicros, after.WaitsMicros) && reflect.DeepEqual(before.WaitsMargins, after.WaitsMargins)
}

func moved(before, after *time.Time) bool {
	return instant(before).Sub(instant(after)).Abs() >= worthTelling
}
