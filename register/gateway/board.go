package gateway

import (
	"context"
	"encoding/json"
	"fmt"
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
		Seat: request.Seat, Lens: request.Body.Lens, Identity: request.Body.Identity, Deputy: request.Body.Deputy,
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
		Signed: body.Signed,
	}
	var err error
	if question.Action, err = actionOf(body.Action); err != nil {
		return nil, err
	}
	proposal, err := o.store.OpenProposal(ctx, mutation(ctx, http.StatusCreated), question)
	return answered[OpenProposal201JSONResponse](proposal, err)
}

// GetProposal reads one proposal.
func (o *operations) GetProposal(ctx context.Context, request GetProposalRequestObject) (GetProposalResponseObject, error) {
	proposal, err := o.store.Proposal(ctx, proposalID(request.Proposal))
	return answered[GetProposal200JSONResponse](proposal, err)
}

// actionOf takes over a linked action; nothing is nil.
func actionOf(from register.Action) (*fleet.Action, error) {
	if from.Kind == "" {
		return nil, nil
	}
	action := &fleet.Action{Kind: string(from.Kind), Dispatch: dispatchID(from.Dispatch), Reason: from.Reason}
	if (from.Kind == register.ActionKindOverride) != (from.Dispatch != "") {
		return nil, &problem{
			Code: register.ProblemCodeInvalid, Field: "action.dispatch", Example: "D-12",
			Detail: "An override names the refused dispatch it is for, and no other action names one.", NextStep: "Name it, or leave it out.",
		}
	}
	if from.Override != nil {
		grant := grantOf(*from.Override)
		action.Grant = &grant
		var err error
		if action.Override, err = json.Marshal(from.Override); err != nil {
			return nil, fmt.Errorf("keeping the override an action grants: %w", err)
		}
	}
	if from.Request != nil {
		ask, err := askOf(*from.Request)
		if err != nil {
			return nil, err
		}
		if action.Request, err = json.Marshal(from.Request); err != nil {
			return nil, fmt.Errorf("keeping the work an action asks for: %w", err)
		}
		action.Ask = &ask
	}
	return action, nil
}

// GetBoard reads how the board works.
func (o *operations) GetBoard(ctx context.Context, _ GetBoardRequestObject) (GetBoardResponseObject, error) {
	board, err := o.store.Board(ctx)
	body, err := answered[register.Board](board, err)
	return GetBoard200JSONResponse{Body: body, Headers: GetBoard200ResponseHeaders{ETag: fleet.Tag(board.Version)}}, err
}

// PutBoard changes how the board works.
func (o *operations) PutBoard(ctx context.Context, request PutBoardRequestObject) (PutBoardResponseObject, error) {
	body := request.Body
	over, err := amounts("sign_over", given(body.SignOver))
	if err != nil {
		return nil, err
	}
	board, err := o.store.PutBoard(ctx, mutation(ctx, http.StatusOK), func(board *fleet.Board) {
		replace(&board.Chair, body.Chair)
		replace(&board.SettleSeconds, body.SettleSeconds)
		replace(&board.ReadWithinSeconds, body.ReadWithinSeconds)
		replace(&board.SeveralSeats, body.SeveralSeats)
		replace(&board.OpenOnRefusal, body.OpenOnRefusal)
		replace(&board.OpenOnCap, body.OpenOnCap)
		if body.SignOver != nil {
			board.SignOver = over
		}
		replace(&board.Keys.Approve, body.Keys.Approve)
		replace(&board.Keys.Reject, body.Keys.Reject)
		replace(&board.Keys.Conditional, body.Keys.Conditional)
		replace(&board.Keys.Abstain, body.Keys.Abstain)
	})
	answer, err := answered[register.Board](board, err)
	return PutBoard200JSONResponse{Body: answer, Headers: PutBoard200ResponseHeaders{ETag: fleet.Tag(board.Version)}}, err
}

// replace puts what was given in place of what there is.
func replace[Value any](what *Value, given *Value) {
	if given != nil {
		*what = *given
	}
}

// RemoveSeat takes a seat off the board.
func (o *operations) RemoveSeat(ctx context.Context, request RemoveSeatRequestObject) (RemoveSeatResponseObject, error) {
	seat, err := o.store.RemoveSeat(ctx, mutation(ctx, http.StatusOK), request.Seat)
	return answered[RemoveSeat200JSONResponse](seat, err)
}

// AcceptConditions accepts the conditions of the conditional votes.
func (o *operations) AcceptConditions(ctx context.Context, request AcceptConditionsRequestObject) (AcceptConditionsResponseObject, error) {
	proposal, err := o.store.AcceptConditions(ctx, mutation(ctx, http.StatusOK), proposalID(request.Proposal))
	return answered[AcceptConditions200JSONResponse](proposal, err)
}

// CloseProposal ends the voting early.
func (o *operations) CloseProposal(ctx context.Context, request CloseProposalRequestObject) (CloseProposalResponseObject, error) {
	proposal, err := o.store.HastenProposal(ctx, mutation(ctx, http.StatusOK), proposalID(request.Proposal))
	return answered[CloseProposal200JSONResponse](proposal, err)
}

// WithdrawProposal ends a proposal without a decision.
func (o *operations) WithdrawProposal(ctx context.Context, request WithdrawProposalRequestObject) (WithdrawProposalResponseObject, error) {
	proposal, err := o.store.WithdrawProposal(ctx, mutation(ctx, http.StatusOK), proposalID(request.Proposal))
	return answered[WithdrawProposal200JSONResponse](proposal, err)
}

// ReadRoom notes how far a room that votes was read.
func (o *operations) ReadRoom(ctx context.Context, request ReadRoomRequestObject) (ReadRoomResponseObject, error) {
	if err := instants(map[string]time.Time{"through": request.Body.Through}); err != nil {
		return nil, err
	}
	proposal, err := o.store.ReadRoom(ctx, mutation(ctx, http.StatusOK), proposalID(request.Proposal), fleet.Reading{
		Room: request.Body.Room, Through: request.Body.Through,
	})
	return answered[ReadRoom200JSONResponse](proposal, err)
}

// CastVote casts or changes a seat's vote.
func (o *operations) CastVote(ctx context.Context, request CastVoteRequestObject) (CastVoteResponseObject, error) {
	body := request.Body
	how, err := howOf(ctx, body.At, body.Signed)
	if err != nil {
		return nil, err
	}
	proposal, err := o.store.CastVote(ctx, mutation(ctx, http.StatusOK), proposalID(request.Proposal), request.Seat, fleet.Ballot{
		Verdict: string(body.Verdict), Reason: body.Reason, EventID: body.EventID, At: body.At, How: how,
		Review: fleet.Review{
			Persona: body.Persona, Confidence: body.Confidence, Concerns: body.Concerns, Recommendations: body.Recommendations, KeyRisks: body.KeyRisks,
		},
	})
	return answered[CastVote200JSONResponse](proposal, err)
}

// howOf is what vouches for a vote: the voter's own token, or what a bot that speaks for the voter says of how it came.
func howOf(ctx context.Context, at time.Time, signed bool) (string, error) {
	c := callOf(ctx)
	if err := instants(map[string]time.Time{"at": at}); err != nil {
		return "", err
	}
	if c.actor.Name != c.caller.Identity.Name {
		if signed {
			return fleet.HowSigned, nil
		}
		return fleet.HowReaction, nil
	}
	if !at.IsZero() || signed {
		field := "signed"
		if !at.IsZero() {
			field = "at"
		}
		return "", &problem{
			Code: register.ProblemCodeInvalid, Field: field, Detail: "Only a bot that votes for somebody else says when and how the vote came.",
			NextStep: "Leave at and signed out: your own token vouches for you.",
		}
	}
	return fleet.HowToken, nil
}

// WithdrawVote withdraws a seat's vote.
func (o *operations) WithdrawVote(ctx context.Context, request WithdrawVoteRequestObject) (WithdrawVoteResponseObject, error) {
	params := request.Params
	how, err := howOf(ctx, given(params.At), given(params.Signed))
	if err != nil {
		return nil, err
	}
	proposal, err := o.store.WithdrawVote(ctx, mutation(ctx, http.StatusOK), proposalID(request.Proposal), request.Seat, fleet.Withdrawal{
		EventID: given(params.EventID), By: given(params.ByEvent), At: given(params.At), How: how,
	})
	return answered[WithdrawVote200JSONResponse](proposal, err)
}
