package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// maxAttempts is how often a dispatch is claimed before a lost worker fails it, unless the ask says otherwise.
const maxAttempts = 3

// Ask is a request for work.
type Ask struct {
	Role, Brief, BriefClass string
	Project, Mission        string
	Model                   string // the ceiling; empty is the highest tier
	Exact                   bool
	Estimate                []Amount // an empty unit is that in which the requested model is metered
	Priority                int
	Deadline                time.Time
	FinishBy                time.Time     // when it has to be over; the deadline is then worked out
	Takes                   time.Duration // how long it takes, for FinishBy; 0 is worked out of earlier runs
	ContextTokens           int64         // the largest context one session needs; 0 if it was not said
	MaxAttempts             int           // 0 is maxAttempts
	DependsOn               []DispatchID
	Origin                  json.RawMessage
	DryRun                  bool

	retryOf int64  // what this asks for again
	bare    bool   // its estimate came without a unit
	note    string // said before the reason of the first decision
}

// admitOne judges one ask with the windows of an open book held, and records it.
func (t *transaction) admitOne(ctx context.Context, b *book, ask Ask) (Dispatch, error) {
	row := t.newDispatch(ask)
	if err := t.fits(ask); err != nil {
		return Dispatch{}, err
	}
	if err := t.latestStart(ctx, row, ask); err != nil {
		return Dispatch{}, err
	}
	if err := t.shareDependencies(ctx, b, row.DependsOn); err != nil {
		return Dispatch{}, err
	}
	if ask.DryRun {
		row.ID = budget.Newcomer
	} else if err := t.nextDispatch(ctx, b, &row.ID); err != nil {
		return Dispatch{}, err
	}
	request, err := requestOf(row)
	if err != nil {
		return Dispatch{}, err
	}
	spelled, err := b.spell(&request)
	if err != nil {
		return Dispatch{}, err
	}
	row.Bare = row.Bare || spelled
	given := request.Estimates
	request.Crew = b.crew(row.Role)
	if err := t.prepare(ctx, b, row, &request); err != nil {
		return Dispatch{}, err
	}
	decision, err := b.fleet.Decide(&request, b.now)
	if err := refuseInput(err, &decision); err != nil {
		return Dispatch{}, err
	}
	row.ModelRequested = decision.Requested.Model
	row.Estimate = encode(withUnits(given, &decision))
	reason := b.reasonFor(row, &decision)
	t.change.Replan = t.change.Replan || passes(b, &decision, request.Place)
	row.State = settleOn(b, row, &decision, reason)
	row.Reason = strings.TrimSpace(ask.note + " " + row.Reason)
	dispatch, err := dispatchOf(*row, b.holds(heldBy(&decision)))
	if err != nil {
		return Dispatch{}, err
	}
	if ask.DryRun {
		dispatch.ID, dispatch.DryRun = 0, true
		return dispatch, nil
	}
	*b.numbered = row.ID
	if err := t.InsertDispatch(ctx, insertion(row)); err != nil {
		return Dispatch{}, fmt.Errorf("recording %s: %w", dispatch.ID, err)
	}
	if err := t.reserve(ctx, b, row.ID, &decision); err != nil {
		return Dispatch{}, err
	}
	return dispatch, t.tell(ctx, Event{Type: "dispatch." + row.State, Cause: row.Reason, Dispatch: &dispatch})
}

func (t *transaction) newDispatch(ask Ask) *query.Dispatch {
	place := budget.Place{Priority: ask.Priority, Arrived: t.now}
	return &query.Dispatch{
		TenantID: t.Tenant, Host: t.Host, Role: ask.Role, Brief: ask.Brief, BriefClass: ask.BriefClass, Project: ask.Project,
		Mission: ask.Mission, ModelRequested: ask.Model, Exact: ask.Exact, Estimate: encode(ask.Estimate),
		Priority: int32(ask.Priority), Deadline: pointer(ask.Deadline.UTC().Truncate(time.Microsecond)), Origin: ask.Origin,
		CreatedBy: t.actor, CreatedAt: t.now, MaxAttempts: int32(cmp.Or(ask.MaxAttempts, maxAttempts)), WaitsOn: []int64{}, WaitsMicros: []int64{}, WaitsMargins: []int64{},
		Metered: encode([]Amount{}), Actuals: encode([]Amount{}), Learned: encode([]Expectation{}), DependsOn: numbers(ask.DependsOn),
		ContextTokens: ask.ContextTokens, RetryOf: retryOf(ask), Stands: place.Rank(), Bare: ask.bare,
	}
}

func retryOf(ask Ask) *int64 {
	if ask.retryOf == 0 {
		return nil
	}
	return &ask.retryOf
}

// nextDispatch is the number the next dispatch gets; it is taken only once that is recorded, so that no number is left out.
func (t *transaction) nextDispatch(ctx context.Context, b *book, into *int64) error {
	if b.numbered == nil {
		last, err := t.LockCounter(ctx, query.LockCounterParams{TenantID: t.Tenant, Name: "dispatch"})
		if err != nil {
			return fmt.Errorf("locking the dispatch counter: %w", err)
		}
		b.numbered = &last
	}
	*into = *b.numbered + 1
	return nil
}

// keepNumbers records the last number that was taken.
func (t *transaction) keepNumbers(ctx context.Context, b *book) error {
	if b.numbered == nil {
		return nil
	}
	if err := t.SetCounter(ctx, query.SetCounterParams{TenantID: t.Tenant, Name: "dispatch", Value: *b.numbered}); err != nil {
		return fmt.Errorf("taking the dispatch numbers: %w", err)
	}
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
			Example:  fmt.Sprintf(`[{"unit": %q, "micros": 4000000}]`, mismatched.Unit()),
			NextStep: fmt.Sprintf("Give the estimate in %s.", mismatched.Unit()),
		}
	}
	return nil
}

// withUnits gives an estimate that came without a unit that of the first window it met; one that met none is left out.
func withUnits(estimates []budget.Estimate, decision *budget.Decision) []Amount {
	met := ""
	for i := range decision.Attempts {
		if unit := decision.Attempts[i].Unit(); met == "" && unit != "" {
			met = unit
		}
	}
	out := make([]Amount, 0, len(estimates))
	for _, estimate := range estimates {
		amount := Amount{Unit: estimate.Unit, Micros: estimate.Mean}
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
		StartedAt: row.StartedAt, FinishedAt: row.FinishedAt, DependsOn: row.DependsOn, ReadyAt: row.ReadyAt,
		ContextTokens: row.ContextTokens, FinishBy: row.FinishBy, Expected: row.Expected, RetryOf: row.RetryOf, WaitsMargins: row.WaitsMargins, Learned: row.Learned, Stands: row.Stands,
		Bare: row.Bare,
	}
}
