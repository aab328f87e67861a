package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// maxAttempts is how often a dispatch is claimed before a lost worker fails it.
const maxAttempts = 3

// Ask is a request for work.
type Ask struct {
	Role, Brief, BriefClass string
	Project, Mission        string
	Model                   string // the ceiling; empty is the highest tier
	Exact                   bool
	Estimate                []Amount // an empty unit is that of the window it is held against
	Priority                int
	Deadline                time.Time
	DependsOn               []DispatchID
	Origin                  json.RawMessage
	DryRun                  bool
}

// CreateDispatch decides at once whether the work is ready, queued or refused, and records it, a refusal too.
func (s *Store) CreateDispatch(ctx context.Context, m Mutation, ask Ask) (Dispatch, error) {
	return once(ctx, s, m, func(t *transaction) (Dispatch, error) {
		t.unrecorded = ask.DryRun
		dispatches, err := t.admit(ctx, []Ask{ask})
		if err != nil {
			return Dispatch{}, err
		}
		return dispatches[0], nil
	})
}

// admit judges several asks in their order under one hold of the windows, and records them.
func (t *transaction) admit(ctx context.Context, asks []Ask) ([]Dispatch, error) {
	b, err := t.openBook(ctx)
	if err != nil {
		return nil, err
	}
	dispatches := make([]Dispatch, 0, len(asks))
	for _, ask := range asks {
		dispatch, err := t.admitOne(ctx, b, ask)
		if err != nil {
			return nil, err
		}
		dispatches = append(dispatches, dispatch)
	}
	return dispatches, t.closeBook(ctx, b)
}

func (t *transaction) admitOne(ctx context.Context, b *book, ask Ask) (Dispatch, error) {
	row := t.newDispatch(ask)
	if err := t.shareDependencies(ctx, b, row.DependsOn); err != nil {
		return Dispatch{}, err
	}
	if ask.DryRun {
		row.ID = budget.Newcomer
	} else if err := t.number(ctx, &row.ID, "dispatch"); err != nil {
		return Dispatch{}, err
	}
	request, err := requestOf(row)
	if err != nil {
		return Dispatch{}, err
	}
	decision, err := b.fleet.Decide(&request, b.now)
	if err := refuseInput(err, &decision); err != nil {
		return Dispatch{}, err
	}
	row.ModelRequested = decision.Requested.Model
	row.Estimate = encode(withUnits(ask.Estimate, &decision))
	reason := b.reasonFor(row, &decision)
	t.change.Replan = t.change.Replan || passes(b, &decision, request.Place)
	row.State = settleOn(b, row, &decision, reason)
	dispatch, err := dispatchOf(*row, b.holds(heldBy(&decision)))
	if err != nil {
		return Dispatch{}, err
	}
	if ask.DryRun {
		dispatch.ID, dispatch.DryRun = 0, true
		return dispatch, nil
	}
	if err := t.InsertDispatch(ctx, insertion(row)); err != nil {
		return Dispatch{}, fmt.Errorf("recording %s: %w", dispatch.ID, err)
	}
	if err := t.reserve(ctx, row.ID, &decision); err != nil {
		return Dispatch{}, err
	}
	return dispatch, t.tell(ctx, Event{Type: "dispatch." + row.State, Cause: row.Reason, Dispatch: &dispatch})
}

func (t *transaction) newDispatch(ask Ask) *query.Dispatch {
	return &query.Dispatch{
		TenantID: t.Tenant, Host: t.Host, Role: ask.Role, Brief: ask.Brief, BriefClass: ask.BriefClass, Project: ask.Project,
		Mission: ask.Mission, ModelRequested: ask.Model, Exact: ask.Exact, Estimate: encode(ask.Estimate),
		Priority: int32(ask.Priority), Deadline: pointer(ask.Deadline.UTC().Truncate(time.Microsecond)), Origin: ask.Origin,
		CreatedBy: t.actor, CreatedAt: t.now, MaxAttempts: maxAttempts, WaitsOn: []int64{}, WaitsMicros: []int64{},
		Metered: encode([]Amount{}), Actuals: encode([]Amount{}), DependsOn: numbers(ask.DependsOn),
	}
}

func (t *transaction) number(ctx context.Context, into *int64, counter string) error {
	number, err := t.NextNumber(ctx, query.NextNumberParams{TenantID: t.Tenant, Name: counter})
	if err != nil {
		return fmt.Errorf("taking the next %s number: %w", counter, err)
	}
	*into = number
	return nil
}

// refuseInput tells what is wrong with the request itself from what the budget does not allow.
func refuseInput(err error, decision *budget.Decision) error {
	var unknown *budget.UnknownModelError
	if errors.As(err, &unknown) {
		return &Error{Code: CodeInvalid, Field: "model", Detail: unknown.Error(), Example: unknown.Known[0]}
	}
	if err != nil {
		return fmt.Errorf("judging the dispatch: %w", err)
	}
	if mismatched := decision.Mismatched(); mismatched != nil {
		return &Error{
			Code: CodeUnitMismatch, Field: "estimate", Detail: mismatched.Reason(),
			Example:  fmt.Sprintf(`[{"unit": %q, "micros": 4000000}]`, mismatched.Need.Unit),
			NextStep: fmt.Sprintf("Give the estimate in %s.", mismatched.Need.Unit),
		}
	}
	return nil
}

// withUnits gives an estimate that came without a unit that of the first window it met; one that met none is left out.
func withUnits(estimate []Amount, decision *budget.Decision) []Amount {
	met := ""
	for i := range decision.Attempts {
		if unit := decision.Attempts[i].Need.Unit; met == "" && unit != "" {
			met = unit
		}
	}
	out := make([]Amount, 0, len(estimate))
	for _, amount := range estimate {
		if amount.Unit == "" {
			amount.Unit = met
		}
		if amount.Unit != "" {
			out = append(out, amount)
		}
	}
	return out
}

// passes says whether the decision goes ahead of work that waits on the same windows, whose promises then need planning anew.
func passes(b *book, decision *budget.Decision, place budget.Place) bool {
	for _, hold := range decision.Holds {
		window, _ := b.window(hold.Window)
		for _, waiting := range window.Line {
			if place.Before(&waiting.Place) {
				return decision.Outcome != budget.Refuse
			}
		}
	}
	return false
}

func insertion(row *query.Dispatch) query.InsertDispatchParams {
	return query.InsertDispatchParams{
		TenantID: row.TenantID, ID: row.ID, Host: row.Host, Role: row.Role, Brief: row.Brief, BriefClass: row.BriefClass,
		Project: row.Project, Mission: row.Mission, ModelRequested: row.ModelRequested, Exact: row.Exact, Estimate: row.Estimate,
		Priority: row.Priority, Deadline: row.Deadline, Origin: row.Origin, CreatedBy: row.CreatedBy, CreatedAt: row.CreatedAt,
		State: row.State, Reason: row.Reason, PromisedStart: row.PromisedStart, Model: row.Model, Provider: row.Provider,
		SubscriptionID: row.SubscriptionID, Subscription: row.Subscription, Downgraded: row.Downgraded, Lifted: row.Lifted,
		Attempts: row.Attempts, WaitsOn: row.WaitsOn, WaitsMicros: row.WaitsMicros, Attempt: row.Attempt,
		MaxAttempts: row.MaxAttempts, Worker: row.Worker, Claim: row.Claim, ClaimExpiresAt: row.ClaimExpiresAt,
		Metered: row.Metered, Progress: row.Progress, Actuals: row.Actuals, Unmetered: row.Unmetered, Result: row.Result,
		StartedAt: row.StartedAt, FinishedAt: row.FinishedAt, DependsOn: row.DependsOn,
	}
}
