package gateway

import (
	"context"
	"net/http"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// ListBudgets reads every window.
func (o *operations) ListBudgets(ctx context.Context, request ListBudgetsRequestObject) (ListBudgetsResponseObject, error) {
	status, err := o.store.Budgets(ctx, given(request.Params.Provider))
	return answered[ListBudgets200JSONResponse](status, err)
}

// GetBudget reads one window.
func (o *operations) GetBudget(ctx context.Context, request GetBudgetRequestObject) (GetBudgetResponseObject, error) {
	window, err := o.store.Budget(ctx, request.Provider, request.Subscription, request.Window)
	body, err := answered[register.Window](window, err)
	return GetBudget200JSONResponse{Body: body, Headers: GetBudget200ResponseHeaders{ETag: fleet.Tag(window.Version)}}, err
}

// SetBudget sets or amends a window.
func (o *operations) SetBudget(ctx context.Context, request SetBudgetRequestObject) (SetBudgetResponseObject, error) {
	body := request.Body
	if err := instants(map[string]time.Time{"since": body.Since, "reset_at": body.ResetAt}); err != nil {
		return nil, err
	}
	change, err := o.store.SetBudget(ctx, mutation(ctx, http.StatusOK), fleet.BudgetSet{
		Provider: body.Provider, Subscription: body.Subscription, Window: body.Window, Unit: string(body.Unit),
		LimitMicros: body.LimitMicros, FloorMicros: body.FloorMicros, Since: body.Since, UsedMicros: body.UsedMicros,
		ResetAt: body.ResetAt, Scope: body.Scope, Model: body.Model, Recurrence: body.Recurrence, Zone: body.Zone, Hours: body.Hours,
	})
	answer, err := answered[register.BudgetChange](change, err)
	return SetBudget200JSONResponse{Body: answer, Headers: SetBudget200ResponseHeaders{ETag: fleet.Tag(change.After.Version)}}, err
}

// ResetBudget corrects a window's reset.
func (o *operations) ResetBudget(ctx context.Context, request ResetBudgetRequestObject) (ResetBudgetResponseObject, error) {
	body := request.Body
	if err := instants(map[string]time.Time{"reset_at": body.ResetAt}); err != nil {
		return nil, err
	}
	change, err := o.store.ResetBudget(ctx, mutation(ctx, http.StatusOK), fleet.BudgetReset{
		Provider: body.Provider, Subscription: body.Subscription, Window: body.Window, ResetAt: body.ResetAt, Zero: body.Zero,
	})
	answer, err := answered[register.BudgetChange](change, err)
	return ResetBudget200JSONResponse{Body: answer, Headers: ResetBudget200ResponseHeaders{ETag: fleet.Tag(change.After.Version)}}, err
}
