package register_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAStoredMutationIsSentByteForByteOnEveryAttempt(t *testing.T) {
	t.Parallel()
	type seen struct{ method, path, key, actor, token, body string }
	var calls []seen
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls = append(calls, seen{
			r.Method, r.URL.RequestURI(), r.Header.Get("Idempotency-Key"), r.Header.Get("Mosaic-Actor"), r.Header.Get("Authorization"), string(body),
		})
		_, _ = io.WriteString(w, `{}`)
	}))
	t.Cleanup(server.Close)

	finished := register.CreateDispatch(register.DispatchRequest{Role: "coder", Brief: "Say <hello> & “goodbye”"})
	stored, err := json.Marshal(finished)
	require.NoError(t, err)
	var read register.Mutation
	require.NoError(t, json.Unmarshal(stored, &read))

	by := register.By{Actor: "@operator:localhost", Key: "$event"}
	for _, mutation := range []register.Mutation{finished, read} {
		require.NoError(t, register.NewAPI(server.URL+"/", "secret").Send(t.Context(), by, mutation, nil))
	}
	require.Len(t, calls, 2)
	require.Equal(t, calls[0], calls[1])
	require.Equal(t, seen{
		"POST", "/api/fleet/dispatches", "$event", "@operator:localhost", "Bearer secret",
		`{"brief":"Say \u003chello\u003e \u0026 “goodbye”","role":"coder"}`,
	}, calls[0])
}

func TestPathsCarryTheirArguments(t *testing.T) {
	t.Parallel()
	for want, mutation := range map[string]register.Mutation{
		"POST /api/fleet/dispatches/D-12/cancel":                          register.CancelDispatch("D-12", "no longer needed"),
		"POST /api/fleet/dispatches/D-12/heartbeat":                       register.HeartbeatDispatch("D-12", register.HeartbeatRequest{}),
		"POST /api/fleet/dispatches/D-12/complete":                        register.CompleteDispatch("D-12", register.CompleteRequest{}),
		"POST /api/fleet/claims":                                          register.ClaimDispatch(register.ClaimRequest{}),
		"POST /api/fleet/budgets":                                         register.SetBudget(register.BudgetSetRequest{}),
		"POST /api/fleet/budgets/reset":                                   register.ResetBudget(register.BudgetResetRequest{}),
		"PUT /api/fleet/seats/cto":                                        register.PutSeat("cto", register.SeatRequest{}),
		"POST /api/fleet/proposals":                                       register.OpenProposal(register.ProposalRequest{}),
		"DELETE /api/fleet/seats/cto":                                     register.RemoveSeat("cto"),
		"PUT /api/fleet/board":                                            register.PutBoard(register.BoardRequest{}),
		"POST /api/fleet/proposals/P-7/accept":                            register.AcceptConditions("P-7"),
		"POST /api/fleet/proposals/P-7/close":                             register.CloseProposal("P-7"),
		"POST /api/fleet/proposals/P-7/withdraw":                          register.WithdrawProposal("P-7"),
		"POST /api/fleet/proposals/P-7/readings":                          register.ReadRoom("P-7", register.RoomReading{}),
		"PUT /api/fleet/proposals/P-7/votes/cto":                          register.CastVote("P-7", "cto", register.VoteRequest{}),
		"DELETE /api/fleet/proposals/P-7/votes/cto":                       register.WithdrawVote("P-7", "cto", ""),
		"DELETE /api/fleet/proposals/P-7/votes/cto?event_id=%24vote%2Fid": register.WithdrawVote("P-7", "cto", "$vote/id"),
		"PUT /api/fleet/agents/coder-1":                                   register.DeclareAgent("coder-1", register.AgentDeclaration{}),
		"DELETE /api/fleet/agents/coder-1":                                register.RetireAgent("coder-1"),
		"PUT /api/fleet/pause":                                            register.SetPause(register.PauseRequest{}),
		"PUT /api/fleet/rooms":                                            register.BindRoom(register.RoomBinding{}),
		"PUT /api/fleet/identities/ada":                                   register.PutIdentity("ada", register.IdentityRequest{}),
	} {
		require.Equal(t, want, mutation.Method+" "+mutation.Path)
	}
}
