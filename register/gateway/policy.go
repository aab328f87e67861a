package gateway

import (
	"context"
	"net/http"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// GetPolicy reads how work is routed.
func (o *operations) GetPolicy(ctx context.Context, _ GetPolicyRequestObject) (GetPolicyResponseObject, error) {
	policy, err := o.store.Policy(ctx)
	body, err := answered[register.Policy](policy, err)
	return GetPolicy200JSONResponse{Body: body, Headers: GetPolicy200ResponseHeaders{ETag: fleet.Tag(policy.Version)}}, err
}

// SetPolicy changes how work is routed.
func (o *operations) SetPolicy(ctx context.Context, request SetPolicyRequestObject) (SetPolicyResponseObject, error) {
	set := fleet.PolicySet{Route: string(request.Body.Route), Sticky: request.Body.Sticky}
	for _, lowest := range request.Body.Lowest {
		set.Lowest = append(set.Lowest, fleet.Lowest{Role: lowest.Role, Model: lowest.Model})
	}
	policy, err := o.store.SetPolicy(ctx, mutation(ctx, http.StatusOK), set)
	body, err := answered[register.Policy](policy, err)
	return SetPolicy200JSONResponse{Body: body, Headers: SetPolicy200ResponseHeaders{ETag: fleet.Tag(policy.Version)}}, err
}

// ListEstimates reads a page of what earlier runs say.
func (o *operations) ListEstimates(ctx context.Context, request ListEstimatesRequestObject) (ListEstimatesResponseObject, error) {
	after, err := position(listEstimates, request.Params.Cursor)
	if err != nil {
		return nil, err
	}
	page, err := o.store.Estimates(ctx, given(request.Params.Role), after, pageOf(request.Params.Limit))
	page.Next = cursor(listEstimates, page.Next)
	return answered[ListEstimates200JSONResponse](page, err)
}
