package register

import (
	"cmp"
	"context"
)

// BudgetForecast foresees how one window ends.
func (a *API) BudgetForecast(ctx context.Context, by By, provider, subscription, window string) (Forecast, error) {
	response, err := a.calls.GetBudgetForecast(ctx, provider, subscription, window, &GetBudgetForecastParams{MosaicActor: optional(by.Actor)})
	return answer[Forecast](response, err)
}

// BudgetHistory reads the last epochs of one window, newest first; 0 cycles is 5.
func (a *API) BudgetHistory(ctx context.Context, by By, provider, subscription, window string, cycles int) (BudgetHistory, error) {
	response, err := a.calls.GetBudgetHistory(ctx, provider, subscription, window, &GetBudgetHistoryParams{Cycles: cmp.Or(cycles, 5), MosaicActor: optional(by.Actor)})
	return answer[BudgetHistory](response, err)
}
