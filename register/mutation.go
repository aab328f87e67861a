package register

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Mutation is a finished request that changes the register: stored before the first attempt, sent byte for byte on every one.
type Mutation struct {
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Body   json.RawMessage `json:"body,omitempty"`
}

// mutation keeps what the generated client built; its arguments are ours, so it cannot fail on them.
func mutation(request *http.Request, err error) Mutation {
	if err != nil {
		panic(fmt.Sprintf("building a gateway request from typed arguments: %v", err))
	}
	out := Mutation{Method: request.Method, Path: request.URL.RequestURI()}
	if request.Body != nil {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			panic(fmt.Sprintf("reading a request body from memory: %v", err))
		}
		out.Body = body
	}
	return out
}

// nowhere stands in for the server: only the path of the built request is kept.
const nowhere = "http://gateway.invalid/"

// CreateDispatch asks for work; the answer is a Dispatch.
func CreateDispatch(body DispatchRequest) Mutation {
	return mutation(NewCreateDispatchRequest(nowhere, &CreateDispatchParams{}, body))
}

// CancelDispatch cancels an open dispatch; the answer is a Dispatch.
func CancelDispatch(id, reason string) Mutation {
	return mutation(NewCancelDispatchRequest(nowhere, id, &CancelDispatchParams{}, CancelDispatchJSONRequestBody{Reason: reason}))
}

// ClaimDispatch claims ready work; the answer is a ClaimAnswer, or none (204), which leaves the Claim zero.
func ClaimDispatch(body ClaimRequest) Mutation {
	return mutation(NewClaimDispatchRequest(nowhere, &ClaimDispatchParams{}, body))
}

// HeartbeatDispatch keeps a claim alive; the answer is a Heartbeat.
func HeartbeatDispatch(id string, body HeartbeatRequest) Mutation {
	return mutation(NewHeartbeatDispatchRequest(nowhere, id, &HeartbeatDispatchParams{}, body))
}

// ExtendDispatch raises what a running dispatch holds; the answer is an Extension.
func ExtendDispatch(id string, body ExtendRequest) Mutation {
	return mutation(NewExtendDispatchRequest(nowhere, id, &ExtendDispatchParams{}, body))
}

// RetryDispatch asks again for work that failed, was cancelled or refused; the answer is the new Dispatch.
func RetryDispatch(id string, body RetryRequest) Mutation {
	return mutation(NewRetryDispatchRequest(nowhere, id, &RetryDispatchParams{}, body))
}

// CompleteDispatch ends a run; the answer is a Dispatch.
func CompleteDispatch(id string, body CompleteRequest) Mutation {
	return mutation(NewCompleteDispatchRequest(nowhere, id, &CompleteDispatchParams{}, body))
}

// RecordReading records what a provider says of a window; the answer is a ReadingAnswer.
func RecordReading(body ReadingRequest) Mutation {
	return mutation(NewRecordReadingRequest(nowhere, &RecordReadingParams{}, body))
}

// ReportUsage reports what agents were seen to use; the answer is a UsageAnswer.
func ReportUsage(body UsageRequest) Mutation {
	return mutation(NewReportUsageRequest(nowhere, &ReportUsageParams{}, body))
}

// PutLadder replaces the ladder; the answer is a Ladder.
func PutLadder(body LadderRequest) Mutation {
	return mutation(NewPutLadderRequest(nowhere, &PutLadderParams{}, body))
}

// GrantOverride lifts what holds a window back; the answer is an OverrideChange.
func GrantOverride(body OverrideRequest) Mutation {
	return mutation(NewGrantOverrideRequest(nowhere, &GrantOverrideParams{}, body))
}

// RevokeOverride ends an override before its time; the answer is an OverrideChange.
func RevokeOverride(id, reason string) Mutation {
	return mutation(NewRevokeOverrideRequest(nowhere, id, &RevokeOverrideParams{}, RevokeOverrideJSONRequestBody{Reason: reason}))
}

// SetPolicy changes how work is routed; the answer is a Policy.
func SetPolicy(body PolicyRequest) Mutation {
	return mutation(NewSetPolicyRequest(nowhere, &SetPolicyParams{}, body))
}

// DeclareAgent says who a worker is and that it is alive; the answer is an Agent.
func DeclareAgent(name string, body AgentDeclaration) Mutation {
	return mutation(NewDeclareAgentRequest(nowhere, name, &DeclareAgentParams{}, body))
}

// RetireAgent takes an agent's name out of use; the answer is an Agent.
func RetireAgent(name string) Mutation {
	return mutation(NewRetireAgentRequest(nowhere, name, &RetireAgentParams{}))
}

// SetPause pauses the fleet or lets it resume; the answer is a Pause.
func SetPause(body PauseRequest) Mutation {
	return mutation(NewSetPauseRequest(nowhere, &SetPauseParams{}, body))
}

// SetBudget sets or amends a window; the answer is a BudgetChange.
func SetBudget(body BudgetSetRequest) Mutation {
	return mutation(NewSetBudgetRequest(nowhere, &SetBudgetParams{}, body))
}

// ResetBudget corrects a window's reset; the answer is a BudgetChange.
func ResetBudget(body BudgetResetRequest) Mutation {
	return mutation(NewResetBudgetRequest(nowhere, &ResetBudgetParams{}, body))
}

// PutSeat seats an identity on the board; the answer is a Seat.
func PutSeat(seat string, body SeatRequest) Mutation {
	return mutation(NewPutSeatRequest(nowhere, seat, &PutSeatParams{}, body))
}

// OpenProposal puts a question to the board; the answer is a Proposal.
func OpenProposal(body ProposalRequest) Mutation {
	return mutation(NewOpenProposalRequest(nowhere, &OpenProposalParams{}, body))
}

// CastVote casts or changes a seat's vote; the answer is a Proposal.
func CastVote(proposal, seat string, body VoteRequest) Mutation {
	return mutation(NewCastVoteRequest(nowhere, proposal, seat, &CastVoteParams{}, body))
}

// WithdrawVote withdraws a seat's vote, only if it came from event unless event is empty; the answer is a Proposal.
func WithdrawVote(proposal, seat, event string) Mutation {
	return mutation(NewWithdrawVoteRequest(nowhere, proposal, seat, &WithdrawVoteParams{EventID: optional(event)}))
}

// BindRoom binds a room to its purposes; the answer is a RoomBinding.
func BindRoom(body RoomBinding) Mutation {
	return mutation(NewBindRoomRequest(nowhere, &BindRoomParams{}, body))
}

// PutIdentity creates or replaces an identity; the answer is an Identity.
func PutIdentity(name string, body IdentityRequest) Mutation {
	return mutation(NewPutIdentityRequest(nowhere, name, &PutIdentityParams{}, body))
}

// IssueTokenTo makes a bearer token for an identity; the answer is an IssuedToken, which has the secret this once.
func IssueTokenTo(body TokenRequest) Mutation {
	return mutation(NewIssueTokenRequest(nowhere, &IssueTokenParams{}, body))
}

// RevokeToken ends a token now; the answer is a Token.
func RevokeToken(id string) Mutation {
	return mutation(NewRevokeTokenRequest(nowhere, id, &RevokeTokenParams{}))
}

// RotateToken replaces a token; the answer is an IssuedToken, which has the new secret this once.
func RotateToken(id string, body TokenRotation) Mutation {
	return mutation(NewRotateTokenRequest(nowhere, id, &RotateTokenParams{}, body))
}

// RemoveSeat takes a seat off the board; the answer is the Seat as it was.
func RemoveSeat(seat string) Mutation {
	return mutation(NewRemoveSeatRequest(nowhere, seat, &RemoveSeatParams{}))
}

// PutBoard changes how the board works; the answer is a Board.
func PutBoard(body BoardRequest) Mutation {
	return mutation(NewPutBoardRequest(nowhere, &PutBoardParams{}, body))
}

// AcceptConditions accepts the conditions of the conditional votes; the answer is a Proposal.
func AcceptConditions(proposal string) Mutation {
	return mutation(NewAcceptConditionsRequest(nowhere, proposal, &AcceptConditionsParams{}))
}

// CloseProposal ends the voting early; the answer is a Proposal.
func CloseProposal(proposal string) Mutation {
	return mutation(NewCloseProposalRequest(nowhere, proposal, &CloseProposalParams{}))
}

// WithdrawProposal ends a proposal without a decision; the answer is a Proposal.
func WithdrawProposal(proposal string) Mutation {
	return mutation(NewWithdrawProposalRequest(nowhere, proposal, &WithdrawProposalParams{}))
}

// ReadRoom says how far a room that votes on a proposal was read; the answer is a Proposal.
func ReadRoom(proposal string, body RoomReading) Mutation {
	return mutation(NewReadRoomRequest(nowhere, proposal, &ReadRoomParams{}, body))
}

// TakeBack withdraws the vote that an event carried, with what a bot knows of how it was taken back; the answer is a Proposal.
func TakeBack(proposal, seat string, back WithdrawVoteParams) Mutation {
	back.MosaicActor = nil
	return mutation(NewWithdrawVoteRequest(nowhere, proposal, seat, &back))
}
