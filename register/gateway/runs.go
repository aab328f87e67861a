package gateway

import (
	"context"
	"net/http"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// ExtendDispatch raises what a running dispatch holds.
func (o *operations) ExtendDispatch(ctx context.Context, request ExtendDispatchRequestObject) (ExtendDispatchResponseObject, error) {
	totals, err := amounts("reserve", request.Body.Reserve)
	if err != nil {
		return nil, err
	}
	extension, err := o.store.ExtendDispatch(ctx, mutation(ctx, http.StatusOK), dispatchID(request.Dispatch), request.Body.Claim, totals)
	return answered[ExtendDispatch200JSONResponse](extension, err)
}

// RetryDispatch asks again for work that did not do.
func (o *operations) RetryDispatch(ctx context.Context, request RetryDispatchRequestObject) (RetryDispatchResponseObject, error) {
	body := request.Body
	if err := startOrFinish(body.Deadline, body.FinishBy, body.TakesSeconds); err != nil {
		return nil, err
	}
	dispatch, err := o.store.RetryDispatch(ctx, mutation(ctx, http.StatusCreated), dispatchID(request.Dispatch), fleet.Retry{
		Reason: body.Reason, Deadline: body.Deadline, FinishBy: body.FinishBy,
		Takes: time.Duration(body.TakesSeconds) * time.Second, Origin: origin(body.Origin),
	})
	return answered[RetryDispatch201JSONResponse](dispatch, err)
}

// timesOf takes over when a run has to start or to be over.
func timesOf(ask *fleet.Ask, body register.DispatchRequest) error {
	ask.Deadline, ask.FinishBy, ask.Takes = body.Deadline, body.FinishBy, time.Duration(body.TakesSeconds)*time.Second
	return startOrFinish(body.Deadline, body.FinishBy, body.TakesSeconds)
}

func startOrFinish(deadline, finish time.Time, takes int) error {
	switch {
	case !deadline.IsZero() && !finish.IsZero():
		return &problem{
			Code: register.ProblemCodeInvalid, Field: "finish_by", Detail: "deadline is the latest start, and finish_by works it out; both were given.",
			NextStep: "Give one of them.",
		}
	case takes > 0 && finish.IsZero():
		return &problem{
			Code: register.ProblemCodeInvalid, Field: "takes_seconds", Detail: "takes_seconds works out the latest start for finish_by, which is missing.",
			Example: `{"finish_by": "2026-11-30T09:00:00Z", "takes_seconds": 1800}`, NextStep: "Give finish_by too, or leave takes_seconds out.",
		}
	}
	return instants(map[string]time.Time{"deadline": deadline, "finish_by": finish})
}

// estimateOf takes over an estimate: each unit once, and only a single amount without its unit.
func estimateOf(from []register.EstimateAmount) ([]fleet.Amount, error) {
	seen := make(map[register.Unit]bool)
	var out []fleet.Amount
	for _, amount := range from {
		switch {
		case amount.Unit == "" && len(from) > 1:
			return nil, &problem{
				Code: register.ProblemCodeInvalid, Field: "estimate", Detail: "Among several amounts one has no unit, so what it counts is not clear.",
				Example:  `[{"unit": "tokens", "micros": 40000000000}, {"unit": "percent", "micros": 2000000}]`,
				NextStep: "Give each amount its unit.",
			}
		case seen[amount.Unit]:
			return nil, twice("estimate", amount.Unit)
		}
		seen[amount.Unit] = true
		out = append(out, fleet.Amount{Unit: string(amount.Unit), Micros: amount.Micros})
	}
	return out, nil
}
