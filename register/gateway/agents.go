package gateway

import (
	"context"
	"net/http"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// ListAgents reads a page of agents.
func (o *operations) ListAgents(ctx context.Context, request ListAgentsRequestObject) (ListAgentsResponseObject, error) {
	after, err := position(listAgents, request.Params.Cursor)
	if err != nil {
		return nil, err
	}
	page, err := o.store.Agents(ctx, names(given(request.Params.State)), after, pageOf(request.Params.Limit))
	page.Next = cursor(listAgents, page.Next)
	return answered[ListAgents200JSONResponse](page, err)
}

// GetAgent reads one agent.
func (o *operations) GetAgent(ctx context.Context, request GetAgentRequestObject) (GetAgentResponseObject, error) {
	agent, err := o.store.Agent(ctx, request.Agent)
	return answered[GetAgent200JSONResponse](agent, err)
}

// DeclareAgent says who a worker is and that it is alive.
func (o *operations) DeclareAgent(ctx context.Context, request DeclareAgentRequestObject) (DeclareAgentResponseObject, error) {
	body := request.Body
	agent, err := o.store.DeclareAgent(ctx, mutation(ctx, http.StatusOK), fleet.Declaration{
		Name: request.Agent, Host: body.Host, Runtime: body.Runtime, ModelCeiling: body.ModelCeiling, Subscriptions: body.Subscriptions,
		Liveness: time.Duration(body.LivenessSeconds) * time.Second,
	})
	return answered[DeclareAgent200JSONResponse](agent, err)
}

// RetireAgent takes an agent's name out of use.
func (o *operations) RetireAgent(ctx context.Context, request RetireAgentRequestObject) (RetireAgentResponseObject, error) {
	agent, err := o.store.RetireAgent(ctx, mutation(ctx, http.StatusOK), request.Agent)
	return answered[RetireAgent200JSONResponse](agent, err)
}
