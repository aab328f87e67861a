package gateway

import (
	"context"
	"net/http"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// ListSeats reads a page of the board's seats.
func (o *operations) ListSeats(ctx context.Context, request ListSeatsRequestObject) (ListSeatsResponseObject, error) {
	after, err := position(listSeats, request.Params.Cursor)
	if err != nil {
		return nil, err
	}
	page, err := o.store.Seats(ctx, after, pageOf(request.Params.Limit))
	page.Next = cursor(listSeats, page.Next)
	return answered[ListSeats200JSONResponse](page, err)
}

// GetSeat reads one seat.
func (o *operations) GetSeat(ctx context.Context, request GetSeatRequestObject) (GetSeatResponseObject, error) {
	seat, err := o.store.Seat(ctx, request.Seat)
	body, err := answered[register.Seat](seat, err)
	return GetSeat200JSONResponse{Body: body, Headers: GetSeat200ResponseHeaders{ETag: fleet.Tag(seat.Version)}}, err
}

// PutSeat seats an identity.
func (o *operations) PutSeat(ctx context.Context, request PutSeatRequestObject) (PutSeatResponseObject, error) {
	seat, err := o.store.PutSeat(ctx, mutation(ctx, http.StatusOK), fleet.Seat{
		Seat: request.Seat, Lens: request.Body.Lens, Identity: request.Body.Identity,
	})
	body, err := answered[register.Seat](seat, err)
	return PutSeat200JSONResponse{Body: body, Headers: PutSeat200ResponseHeaders{ETag: fleet.Tag(seat.Version)}}, err
}

// ListProposals reads a page of proposals.
func (o *operations) ListProposals(ctx context.Context, request ListProposalsRequestObject) (ListProposalsResponseObject, error) {
	before, err := numbered(listProposals, request.Params.Cursor, fleet.ParseProposalID)
	if err != nil {
		return nil, err
	}
	page, err := o.store.Proposals(ctx, string(given(request.Params.State)), before, pageOf(request.Params.Limit))
	page.Next = cursor(listProposals, page.Next)
	return answered[ListProposals200JSONResponse](page, err)
}

// OpenProposal puts a question to the board.
func (o *operations) OpenProposal(ctx context.Context, request OpenProposalRequestObject) (OpenProposalResponseObject, error) {
	body := request.Body
	if err := instants(map[string]time.Time{"closes_at": body.ClosesAt}); err != nil {
		return nil, err
	}
	question := fleet.Question{
		Title: body.Title, Body: body.Body, Quorum: body.Quorum, Pass: string(body.Pass), ClosesAt: body.ClosesAt, Origin: origin(body.Origin),
	}
	if body.Action != (register.Action{}) {
		question.Action = &fleet.Action{Kind: string(body.Action.Kind), Dispatch: dispatchID(body.Action.Dispatch)}
	}
	proposal, err := o.store.OpenProposal(ctx, mutation(ctx, http.StatusCreated), question)
	return answered[OpenProposal201JSONResponse](proposal, err)
}

// GetProposal reads one proposal.
func (o *operations) GetProposal(ctx context.Context, request GetProposalRequestObject) (GetProposalResponseObject, error) {
	proposal, err := o.store.Proposal(ctx, proposalID(request.Proposal))
	return answered[GetProposal200JSONResponse](proposal, err)
}

// CastVote casts or changes a seat's vote.
func (o *operations) CastVote(ctx context.Context, request CastVoteRequestObject) (CastVoteResponseObject, error) {
	proposal, err := o.store.CastVote(ctx, mutation(ctx, http.StatusOK), proposalID(request.Proposal), request.Seat, fleet.Ballot{
		Verdict: string(request.Body.Verdict), Reason: request.Body.Reason, EventID: request.Body.EventID,
	})
	return answered[CastVote200JSONResponse](proposal, err)
}

// WithdrawVote withdraws a seat's vote.
func (o *operations) WithdrawVote(ctx context.Context, request WithdrawVoteRequestObject) (WithdrawVoteResponseObject, error) {
	proposal, err := o.store.WithdrawVote(ctx, mutation(ctx, http.StatusOK), proposalID(request.Proposal), request.Seat, given(request.Params.EventID))
	return answered[WithdrawVote200JSONResponse](proposal, err)
}
