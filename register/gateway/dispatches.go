package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

const (
	defaultPriority = 5
	defaultTTL      = 900 * time.Second
)

// CreateDispatch asks for work.
func (o *operations) CreateDispatch(ctx context.Context, request CreateDispatchRequestObject) (CreateDispatchResponseObject, error) {
	ask, err := askOf(*request.Body)
	if err != nil {
		return nil, err
	}
	dispatch, err := o.store.CreateDispatch(ctx, mutation(ctx, http.StatusCreated), ask)
	return answered[CreateDispatch201JSONResponse](dispatch, err)
}

func askOf(body register.DispatchRequest) (fleet.Ask, error) {
	ask := fleet.Ask{
		Role: body.Role, Brief: body.Brief, BriefClass: string(body.BriefClass), Project: body.Project, Mission: body.Mission,
		Model: body.Model, Exact: body.Exact, Priority: defaultPriority, Deadline: body.Deadline, Origin: origin(body.Origin),
		DryRun: body.DryRun, ContextTokens: body.ContextTokens, MaxAttempts: body.MaxAttempts,
	}
	if ask.BriefClass == "" {
		ask.BriefClass = string(register.DispatchRequestBriefClassTechnical)
	}
	if body.Priority != nil {
		ask.Priority = *body.Priority
	}
	if err := timesOf(&ask, body); err != nil {
		return fleet.Ask{}, err
	}
	for _, id := range body.DependsOn {
		ask.DependsOn = append(ask.DependsOn, dispatchID(id))
	}
	var err error
	ask.Estimate, err = estimateOf(body.Estimate)
	return ask, err
}

// ListDispatches reads a page of dispatches.
func (o *operations) ListDispatches(ctx context.Context, request ListDispatchesRequestObject) (ListDispatchesResponseObject, error) {
	before, err := numbered(listDispatches, request.Params.Cursor, fleet.ParseDispatchID)
	if err != nil {
		return nil, err
	}
	page, err := o.store.Dispatches(ctx, names(given(request.Params.State)), before, pageOf(request.Params.Limit))
	page.Next = cursor(listDispatches, page.Next)
	return answered[ListDispatches200JSONResponse](page, err)
}

// GetDispatch reads one dispatch.
func (o *operations) GetDispatch(ctx context.Context, request GetDispatchRequestObject) (GetDispatchResponseObject, error) {
	dispatch, err := o.store.Dispatch(ctx, dispatchID(request.Dispatch))
	return answered[GetDispatch200JSONResponse](dispatch, err)
}

// GetOutput reads the whole result of a run.
func (o *operations) GetOutput(ctx context.Context, request GetOutputRequestObject) (GetOutputResponseObject, error) {
	output, err := o.store.Output(ctx, dispatchID(request.Dispatch))
	return answered[GetOutput200JSONResponse](output, err)
}

// CancelDispatch cancels an open dispatch.
func (o *operations) CancelDispatch(ctx context.Context, request CancelDispatchRequestObject) (CancelDispatchResponseObject, error) {
	dispatch, err := o.store.CancelDispatch(ctx, mutation(ctx, http.StatusOK), dispatchID(request.Dispatch), request.Body.Reason)
	return answered[CancelDispatch200JSONResponse](dispatch, err)
}

// ClaimDispatch gives a worker ready work, or 204.
func (o *operations) ClaimDispatch(ctx context.Context, request ClaimDispatchRequestObject) (ClaimDispatchResponseObject, error) {
	body := request.Body
	claim, err := o.store.ClaimOn(ctx, mutation(ctx, http.StatusOK), body.Role, body.Worker, body.Host, ttlOf(body.TTLSeconds))
	var withheld *fleet.Withheld
	if errors.As(err, &withheld) {
		return ClaimDispatch204Response{Headers: ClaimDispatch204ResponseHeaders{MosaicWithheld: headerText(withheld.Reason)}}, nil
	}
	if err == nil && claim == nil {
		return ClaimDispatch204Response{}, nil
	}
	return answered[ClaimDispatch200JSONResponse](claim, err)
}

func ttlOf(seconds int) time.Duration {
	if seconds == 0 {
		return defaultTTL
	}
	return time.Duration(seconds) * time.Second
}

// HeartbeatDispatch keeps a claim alive.
func (o *operations) HeartbeatDispatch(ctx context.Context, request HeartbeatDispatchRequestObject) (HeartbeatDispatchResponseObject, error) {
	body := request.Body
	beat := fleet.Beat{Claim: body.Claim, Progress: body.Progress, TTL: ttlOf(body.TTLSeconds)}
	if body.Metered != nil {
		var err error
		if beat.Metered, err = amounts("metered", body.Metered); err != nil {
			return nil, err
		}
	}
	answer, err := o.store.HeartbeatDispatch(ctx, mutation(ctx, http.StatusOK), dispatchID(request.Dispatch), beat)
	return answered[HeartbeatDispatch200JSONResponse](answer, err)
}

// CompleteDispatch ends a run.
func (o *operations) CompleteDispatch(ctx context.Context, request CompleteDispatchRequestObject) (CompleteDispatchResponseObject, error) {
	body := request.Body
	actuals, err := amounts("actuals", body.Actuals)
	if err != nil {
		return nil, err
	}
	if body.Failure != "" && body.Outcome != register.CompleteRequestOutcomeFailed {
		return nil, &problem{
			Code: register.ProblemCodeInvalid, Field: "failure", Detail: "A run that is done has not failed by anything.",
			NextStep: "Leave failure out, or complete the run as failed.",
		}
	}
	completion := fleet.Completion{Claim: body.Claim, Outcome: string(body.Outcome), Failure: string(body.Failure), Actuals: actuals, Unmetered: body.Unmetered}
	if len(body.Output) > fleet.OutputLimit {
		return nil, &problem{
			Code: register.ProblemCodeInvalid, Field: "output",
			Detail:   fmt.Sprintf("The output has %d bytes as UTF-8; at most %d are kept.", len(body.Output), fleet.OutputLimit),
			NextStep: "Send its end, and say in result.reference where the whole lies.",
		}
	}
	completion.Output, body.Result.OutputBytes = body.Output, int64(len(body.Output))
	if body.Result != (register.Result{}) {
		completion.Result = resultOf(body.Result)
	}
	dispatch, err := o.store.CompleteDispatch(ctx, mutation(ctx, http.StatusOK), dispatchID(request.Dispatch), completion)
	return answered[CompleteDispatch200JSONResponse](dispatch, err)
}

func resultOf(from register.Result) json.RawMessage {
	body, _ := json.Marshal(from) // it has only strings and a number
	return body
}
