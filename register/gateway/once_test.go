package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

func TestARepeatedChangeIsAnsweredByteForByte(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.send(t, b.admin, register.PutSeat("ceo", register.SeatRequest{Lens: "mission", Identity: "olga"}), nil)
	created := b.dispatch(t, ask(5))
	claim := b.claim(t)
	var proposal register.Proposal
	b.send(t, b.olga, register.OpenProposal(register.ProposalRequest{Title: "Release now", Quorum: 1, Pass: register.PassRuleUnanimous}), &proposal)
	waiting := b.dispatch(t, ask(20))
	contract, err := loadContract()
	require.NoError(t, err)
	tried := map[string]bool{"issueToken": true, "rotateToken": true, "revokeToken": true} // their repeats withhold the secret
	b.send(t, b.olga, full("full"), nil)
	for _, c := range []struct {
		token    string
		mutation register.Mutation
	}{
		{"olga", register.CreateDispatch(ask(1))},
		{"olga", register.CancelDispatch(waiting.ID, "why")},
		{"coder-1", register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"})},
		{"coder-1", register.HeartbeatDispatch(created.ID, register.HeartbeatRequest{Claim: claim.ID, Progress: "half"})},
		{"coder-1", register.ExtendDispatch(created.ID, register.ExtendRequest{Claim: claim.ID, Reserve: []register.Amount{{Unit: "credits", Micros: 6_000_000}}})},
		{"coder-1", register.CompleteDispatch(created.ID, register.CompleteRequest{Claim: claim.ID, Outcome: "failed", Unmetered: "no meter"})},
		{"olga", register.RetryDispatch(created.ID, register.RetryRequest{Reason: "again"})},
		{"olga", register.SetBudget(register.BudgetSetRequest{Provider: "codex", Unit: "tokens", LimitMicros: 9, ResetAt: time.Now().Add(time.Hour)})},
		{"olga", register.AckRings()},
		{"olga", register.ResetBudget(register.BudgetResetRequest{Provider: "claude", ResetAt: time.Now().Add(time.Hour), Zero: true})},
		{"root", register.SetPolicy(register.PolicyRequest{Route: "drain"})},
		{"root", register.GrantOverride(register.OverrideRequest{Provider: "claude", Micros: 5})},
		{"root", register.RevokeOverride("O-1", "why")},
		{"coder-1", register.RecordReading(register.ReadingRequest{Provider: "claude", UsedMicros: 5_000_000})},
		{"coder-1", register.ReportUsage(register.UsageRequest{Provider: "claude", Reporter: "claude-code", Uses: []register.Use{{Unit: "tokens", Micros: 7, Until: time.Now()}}})},
		{"olga", register.OpenProposal(register.ProposalRequest{Title: "Another"})},
		{"olga", register.CastVote(proposal.ID, "ceo", register.VoteRequest{Verdict: register.VerdictConditional, Reason: "by night", EventID: "$1"})},
		{"olga", register.AcceptConditions(proposal.ID)},
		{"olga", register.WithdrawVote(proposal.ID, "ceo", "$1")},
		{"root", register.ReadRoom(proposal.ID, register.RoomReading{Room: "!r:localhost", Through: time.Now()})},
		{"root", register.CloseProposal(proposal.ID)},
		{"olga", register.WithdrawProposal(proposal.ID)},
		{"olga", register.SetPause(register.PauseRequest{Paused: true, Reason: "why"})},
		{"coder-1", register.DeclareAgent("coder-2", register.AgentDeclaration{Runtime: "claude-code"})},
		{"root", register.RetireAgent("coder-2")},
		{"root", register.PutLadder(register.LadderRequest{Tiers: []register.Tier{{Provider: "claude", Model: "opus", Cost: 5}}})},
		{"root", register.PutSeat("cto", register.SeatRequest{Lens: "feasibility", Identity: "vera"})},
		{"root", register.RemoveSeat("cto")},
		{"root", register.PutBoard(register.BoardRequest{Chair: new("ceo")})},
		{"root", register.BindRoom(register.RoomBinding{Room: "!r:localhost", Purposes: []register.RoomPurpose{"board", "fleet"}})},
		{"olga", register.SetRoomVerbosity("!r:localhost", register.VerbosityLow)},
		{"root", register.SetRoomEncryption("!r:localhost", register.RoomEncryptionOptional)},
		{"root", register.ChangeIdentity("zoe", register.IdentityChange{Create: true, Grant: []register.FleetRole{"viewer"}})},
		{"mosaic-bot", register.ReportReset("olga", register.IdentityResetReport{MatrixID: "@olga:localhost", OldKey: oldKey, NewKey: newKey})},
		{"root", register.TrustReset("olga", register.IdentityTrust{Key: newKey})},
		{"root", register.PutIdentity("eve", register.IdentityRequest{Kind: "human", Roles: []register.FleetRole{"viewer"}})},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.mutation.Method, c.mutation.Path, http.NoBody)
		require.NoError(t, err)
		route, _, err := contract.find(request)
		require.NoError(t, err)
		tried[route.Operation.OperationID] = true
		key := []string{"Idempotency-Key", c.mutation.Method + c.mutation.Path}
		status, _, first := b.raw(t, c.mutation.Method, c.mutation.Path, b.tokens[c.token], string(c.mutation.Body), key...)
		require.Equal(t, 2, status/100, "%s %s: %s", c.mutation.Method, c.mutation.Path, first)
		before := b.changes(t)
		again, _, second := b.raw(t, c.mutation.Method, c.mutation.Path, b.tokens[c.token], string(c.mutation.Body), key...)
		require.Equal(t, status, again)
		require.Equal(t, string(first), string(second), c.mutation.Path)
		require.Equal(t, before, b.changes(t), "%s %s happened once", c.mutation.Method, c.mutation.Path)

		if c.mutation.Body != nil {
			other, _, body := b.raw(t, c.mutation.Method, c.mutation.Path, b.tokens[c.token], string(c.mutation.Body)+" ", key...)
			require.Equal(t, http.StatusConflict, other)
			require.Equal(t, register.ProblemCodeIdempotencyMismatch, problemIn(t, body).Code)
		}
	}
	each(readContract(t), func(_, _ string, _ *openapi3.PathItem, operation *openapi3.Operation) {
		if operation.Parameters.GetByInAndName("header", "Idempotency-Key") != nil {
			require.True(t, tried[operation.OperationID], "no test repeats %s", operation.OperationID)
		}
	})
}

func TestAnotherConditionIsAnotherRequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pause := register.SetPause(register.PauseRequest{Paused: true})
	require.NoError(t, b.olga.Send(t.Context(), register.By{Key: "k"}, pause, nil))
	err := b.olga.Send(t.Context(), register.By{Key: "k", IfMatch: `"1"`}, pause, nil)
	requireCode(t, register.ProblemCodeIdempotencyMismatch, err)
}

func TestAnAnswerLostAfterTheCommitIsGivenAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	var lose atomic.Bool
	crashing := b.start(t, "crashing", b.log, func(g *Gateway) {
		next := g.server.Handler
		g.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !lose.CompareAndSwap(true, false) {
				next.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler) // the connection dies with the answer
		})
	})
	lose.Store(true)
	api := register.NewAPI(crashing.URL(), b.tokens["olga"])
	by := register.By{Key: "$lost"}
	err := api.Send(t.Context(), by, register.CreateDispatch(ask(10)), nil)
	require.True(t, register.Retryable(err), "%v", err)

	var again register.Dispatch
	require.NoError(t, b.olga.Send(t.Context(), by, register.CreateDispatch(ask(10)), &again), "another gateway knows the answer")
	require.Equal(t, "D-1", again.ID)
	require.Equal(t, "crashing", again.Host)
	list, err := b.olga.Dispatches(t.Context(), register.By{}, "", 0)
	require.NoError(t, err)
	require.Len(t, list.Dispatches, 1)
}

func TestConcurrentRepeatsOnTwoGatewaysHappenOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	beta := register.NewAPI(b.start(t, "beta", b.log).URL(), b.tokens["olga"])
	apis := []*register.API{b.olga, beta}
	answers := make([]register.Dispatch, 12)
	var wait sync.WaitGroup
	for i := range answers {
		wait.Go(func() {
			_ = apis[i%2].Send(t.Context(), register.By{Key: "$same"}, register.CreateDispatch(ask(1)), &answers[i])
		})
	}
	wait.Wait()
	first, err := json.Marshal(answers[0])
	require.NoError(t, err)
	for _, answer := range answers {
		body, err := json.Marshal(answer)
		require.NoError(t, err)
		require.Equal(t, string(first), string(body))
	}
	require.Equal(t, "D-1", answers[0].ID)
}

// changes counts the events somebody asked for; what time does by itself may come at any moment.
func (b *bundle) changes(t *testing.T) (count int) {
	t.Helper()
	database, err := pgx.Connect(t.Context(), b.database)
	require.NoError(t, err)
	defer func() { _ = database.Close(context.WithoutCancel(t.Context())) }()
	require.NoError(t, database.QueryRow(t.Context(), `SELECT count(*) FROM fleet.events WHERE actor <> $1`, fleet.Time).Scan(&count))
	return count
}
