package register

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// API is the typed client of the gateway API, the only door to the register. It is safe for concurrent use.
type API struct {
	base  string
	token string
	wire  *http.Client
	calls *Client
}

// NewAPI returns a client of the gateway at base (such as http://127.0.0.1:14242) that authenticates with token.
func NewAPI(base, token string) *API {
	a := &API{
		base:  strings.TrimRight(base, "/"),
		token: token,
		wire:  &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()},
	}
	a.calls = &Client{Server: a.base + "/", Client: a.wire, RequestEditors: []RequestEditorFn{a.authenticate}}
	return a
}

func (a *API) authenticate(_ context.Context, request *http.Request) error {
	request.Header.Set("Authorization", "Bearer "+a.token)
	request.Header.Set("X-Request-ID", rand.Text()) // one per attempt; the gateway's log and its errors name it
	return nil
}

// By names on whose behalf a call is made and, for a mutation, the key that makes it happen once.
type By struct {
	// Actor is a Matrix ID or identity name; empty means the token's own identity.
	Actor string
	// Key is the Idempotency-Key: one per intent, the same on every retry.
	Key string
	// IfMatch is the ETag of the setting that is to be changed, such as "3" in its quotes; empty changes whatever stands there.
	IfMatch string
}

// Base is the URL the gateway is reached at.
func (a *API) Base() string { return a.base }

// Send carries out a mutation and decodes the answer into answer, which may be nil. A 204 leaves answer alone.
// The error is an *Error: it says whether to retry with the same key and the same bytes.
func (a *API) Send(ctx context.Context, by By, mutation Mutation, answer any) error {
	request, err := http.NewRequestWithContext(ctx, mutation.Method, a.base+mutation.Path, bytes.NewReader(mutation.Body))
	if err != nil {
		return fmt.Errorf("building the request %s %s: %w", mutation.Method, mutation.Path, err)
	}
	if len(mutation.Body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Idempotency-Key", by.Key)
	if by.Actor != "" {
		request.Header.Set("Mosaic-Actor", by.Actor)
	}
	if by.IfMatch != "" {
		request.Header.Set("If-Match", by.IfMatch)
	}
	_ = a.authenticate(ctx, request)
	response, err := a.wire.Do(request)
	return decode(response, err, answer)
}

// ClaimAnswer is a Claim, or none: then Withheld says why nothing is given out, unless there is simply no work.
type ClaimAnswer struct {
	Claim
	Withheld string `json:"-"`
}

func withheld(header http.Header) string {
	reason := header.Get("Mosaic-Withheld")
	if decoded, err := url.PathUnescape(reason); err == nil {
		return decoded
	}
	return reason
}

// Dispatches lists dispatches, newest first: at most limit (0 is 20), from cursor (the Next of the page before) if it is set, only in
// states if any.
func (a *API) Dispatches(ctx context.Context, by By, cursor string, limit int, states ...DispatchState) (DispatchList, error) {
	params := ListDispatchesParams{Cursor: optional(cursor), Limit: optional(limit), MosaicActor: optional(by.Actor)}
	if len(states) > 0 {
		params.State = &states
	}
	response, err := a.calls.ListDispatches(ctx, &params)
	return answer[DispatchList](response, err)
}

// Dispatch reads one dispatch, with every routing attempt.
func (a *API) Dispatch(ctx context.Context, by By, id string) (Dispatch, error) {
	response, err := a.calls.GetDispatch(ctx, id, &GetDispatchParams{MosaicActor: optional(by.Actor)})
	return answer[Dispatch](response, err)
}

// Output reads the whole result of a run whose result says that it has more bytes than its summary.
func (a *API) Output(ctx context.Context, by By, id string) (Output, error) {
	response, err := a.calls.GetOutput(ctx, id, &GetOutputParams{MosaicActor: optional(by.Actor)})
	return answer[Output](response, err)
}

// Budgets reads every window, of one provider if it is named.
func (a *API) Budgets(ctx context.Context, by By, provider string) (BudgetStatus, error) {
	response, err := a.calls.ListBudgets(ctx, &ListBudgetsParams{Provider: optional(provider), MosaicActor: optional(by.Actor)})
	return answer[BudgetStatus](response, err)
}

// Readings lists what providers were read to say, newest first: at most limit (0 is 20), from cursor if it is set, of one provider
// if it is named.
func (a *API) Readings(ctx context.Context, by By, provider, cursor string, limit int) (ReadingList, error) {
	response, err := a.calls.ListReadings(ctx, &ListReadingsParams{
		Provider: optional(provider), Cursor: optional(cursor), Limit: optional(limit), MosaicActor: optional(by.Actor),
	})
	return answer[ReadingList](response, err)
}

// Seats lists all of the board's seats.
func (a *API) Seats(ctx context.Context, by By) (SeatList, error) {
	all := SeatList{Seats: []Seat{}}
	err := everyPage(func(cursor string) (string, error) {
		response, err := a.calls.ListSeats(ctx, &ListSeatsParams{Cursor: optional(cursor), Limit: new(largestPage), MosaicActor: optional(by.Actor)})
		page, err := answer[SeatList](response, err)
		all.Seats = append(all.Seats, page.Seats...)
		return page.Next, err
	})
	return all, err
}

// Proposals lists proposals, newest first: at most limit (0 is 20), from cursor if it is set; state may be empty.
func (a *API) Proposals(ctx context.Context, by By, state ProposalState, cursor string, limit int) (ProposalList, error) {
	response, err := a.calls.ListProposals(ctx, &ListProposalsParams{State: optional(state), Cursor: optional(cursor), Limit: optional(limit), MosaicActor: optional(by.Actor)})
	return answer[ProposalList](response, err)
}

// Proposal reads one proposal with its votes.
func (a *API) Proposal(ctx context.Context, by By, id string) (Proposal, error) {
	response, err := a.calls.GetProposal(ctx, id, &GetProposalParams{MosaicActor: optional(by.Actor)})
	return answer[Proposal](response, err)
}

// Rooms lists all room bindings.
func (a *API) Rooms(ctx context.Context, by By) (RoomList, error) {
	all := RoomList{Rooms: []RoomBinding{}}
	err := everyPage(func(cursor string) (string, error) {
		response, err := a.calls.ListRooms(ctx, &ListRoomsParams{Cursor: optional(cursor), Limit: new(largestPage), MosaicActor: optional(by.Actor)})
		page, err := answer[RoomList](response, err)
		all.Rooms = append(all.Rooms, page.Rooms...)
		return page.Next, err
	})
	return all, err
}

// Identities lists everyone the register knows.
func (a *API) Identities(ctx context.Context, by By) (IdentityList, error) {
	all := IdentityList{Identities: []Identity{}}
	err := everyPage(func(cursor string) (string, error) {
		response, err := a.calls.ListIdentities(ctx, &ListIdentitiesParams{Cursor: optional(cursor), Limit: new(largestPage), MosaicActor: optional(by.Actor)})
		page, err := answer[IdentityList](response, err)
		all.Identities = append(all.Identities, page.Identities...)
		return page.Next, err
	})
	return all, err
}

// Identity reads one identity by its name.
func (a *API) Identity(ctx context.Context, by By, name string) (Identity, error) {
	response, err := a.calls.GetIdentity(ctx, name, &GetIdentityParams{MosaicActor: optional(by.Actor)})
	return answer[Identity](response, err)
}

// Tokens lists bearer tokens, newest first: at most limit (0 is 20), from cursor if it is set. It takes an admin.
func (a *API) Tokens(ctx context.Context, by By, cursor string, limit int) (TokenList, error) {
	response, err := a.calls.ListTokens(ctx, &ListTokensParams{Cursor: optional(cursor), Limit: optional(limit), MosaicActor: optional(by.Actor)})
	return answer[TokenList](response, err)
}

// Agents lists agents by name: at most limit (0 is 20), from cursor if it is set, only in states if any.
func (a *API) Agents(ctx context.Context, by By, cursor string, limit int, states ...AgentState) (AgentList, error) {
	params := ListAgentsParams{Cursor: optional(cursor), Limit: optional(limit), MosaicActor: optional(by.Actor)}
	if len(states) > 0 {
		params.State = &states
	}
	response, err := a.calls.ListAgents(ctx, &params)
	return answer[AgentList](response, err)
}

// Agent reads one agent.
func (a *API) Agent(ctx context.Context, by By, name string) (Agent, error) {
	response, err := a.calls.GetAgent(ctx, name, &GetAgentParams{MosaicActor: optional(by.Actor)})
	return answer[Agent](response, err)
}

// Pause reads the fleet's switch.
func (a *API) Pause(ctx context.Context, by By) (Pause, error) {
	response, err := a.calls.GetPause(ctx, &GetPauseParams{MosaicActor: optional(by.Actor)})
	return answer[Pause](response, err)
}

// Overrides reads a page of what is lifted, newest first, and what is over too if asked for.
func (a *API) Overrides(ctx context.Context, by By, ended bool, cursor string) (OverrideList, error) {
	params := &ListOverridesParams{MosaicActor: optional(by.Actor), Cursor: optional(cursor)}
	if ended {
		params.Ended = &ended
	}
	response, err := a.calls.ListOverrides(ctx, params)
	return answer[OverrideList](response, err)
}

// Policy reads how work is routed.
func (a *API) Policy(ctx context.Context, by By) (Policy, error) {
	response, err := a.calls.GetPolicy(ctx, &GetPolicyParams{MosaicActor: optional(by.Actor)})
	return answer[Policy](response, err)
}

// Estimates reads a page of what earlier runs say, only those of one role if it is named.
func (a *API) Estimates(ctx context.Context, by By, role, cursor string) (EstimateList, error) {
	params := &ListEstimatesParams{MosaicActor: optional(by.Actor), Role: optional(role), Cursor: optional(cursor)}
	response, err := a.calls.ListEstimates(ctx, params)
	return answer[EstimateList](response, err)
}

// Ladder reads the tiers work may be lowered through.
func (a *API) Ladder(ctx context.Context, by By) (Ladder, error) {
	response, err := a.calls.GetLadder(ctx, &GetLadderParams{MosaicActor: optional(by.Actor)})
	return answer[Ladder](response, err)
}

// WhoAmI reads the identity a call acts for; a stranger gets code actor_unknown.
func (a *API) WhoAmI(ctx context.Context, by By) (Identity, error) {
	response, err := a.calls.WhoAmI(ctx, &WhoAmIParams{MosaicActor: optional(by.Actor)})
	return answer[Identity](response, err)
}

// Ready reports which parts of the gateway are ready; an error means it could not be asked.
func (a *API) Ready(ctx context.Context) (Health, error) {
	response, err := a.calls.Ready(ctx)
	if err == nil && response.StatusCode == http.StatusServiceUnavailable {
		defer response.Body.Close()
		var health Health
		if json.NewDecoder(response.Body).Decode(&health) == nil && health.Status != "" {
			return health, nil
		}
	}
	return answer[Health](response, err)
}

const largestPage = 200

// everyPage reads a list from its beginning to its end.
func everyPage(read func(cursor string) (next string, err error)) error {
	cursor, err := read("")
	for before := ""; err == nil && cursor != before; { // a gateway that repeats a cursor would be read for ever
		before = cursor
		cursor, err = read(cursor)
	}
	return err
}

// optional is a pointer to value, or nil where value says nothing.
func optional[T comparable](value T) *T {
	var nothing T
	if value == nothing {
		return nil
	}
	return &value
}

func answer[T any](response *http.Response, err error) (T, error) {
	var out T
	err = decode(response, err, &out)
	return out, err
}

// decode turns an HTTP exchange into an answer or an *Error.
func decode(response *http.Response, err error, into any) error {
	if err != nil {
		return unreachable(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return unreachable(err)
	}
	if response.StatusCode/100 != 2 {
		return problem(response, body)
	}
	if none, ok := into.(*ClaimAnswer); ok && response.StatusCode == http.StatusNoContent {
		none.Withheld = withheld(response.Header)
	}
	if into == nil || response.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &Error{Status: response.StatusCode, Code: ProblemCodeInternal, Detail: "The gateway's answer could not be read: " + err.Error() + "."}
	}
	return nil
}

func unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &Error{Code: ProblemCodeUnavailable, Detail: "The gateway cannot be reached.", cause: err, retry: true}
}

// retryAfter reads a Retry-After header in seconds; zero if there is none.
func retryAfter(header http.Header) time.Duration {
	if seconds, err := time.ParseDuration(header.Get("Retry-After") + "s"); err == nil && seconds > 0 {
		return seconds
	}
	return 0
}

// Board reads how the board works.
func (a *API) Board(ctx context.Context, by By) (Board, error) {
	response, err := a.calls.GetBoard(ctx, &GetBoardParams{MosaicActor: optional(by.Actor)})
	return answer[Board](response, err)
}
