package gateway

import (
	"cmp"
	"context"
)

// GetBudgetForecast foresees how one window ends.
func (o *operations) GetBudgetForecast(ctx context.Context, request GetBudgetForecastRequestObject) (GetBudgetForecastResponseObject, error) {
	forecast, err := o.store.Forecast(ctx, request.Provider, request.Subscription, request.Window)
	return answered[GetBudgetForecast200JSONResponse](forecast, err)
}

const defaultCycles = 5

// GetBudgetHistory reads how the last epochs of one window went.
func (o *operations) GetBudgetHistory(ctx context.Context, request GetBudgetHistoryRequestObject) (GetBudgetHistoryResponseObject, error) {
	cycles := cmp.Or(request.Params.Cycles, defaultCycles)
	history, err := o.store.History(ctx, request.Provider, request.Subscription, request.Window, cycles)
	return answered[GetBudgetHistory200JSONResponse](history, err)
}
