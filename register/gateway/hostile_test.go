package gateway

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// TestNoRequestBreaksTheGateway alters requests that work in every field and looks for an answer that blames the gateway.
func TestNoRequestBreaksTheGateway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.send(t, b.admin, register.PutSeat("ceo", register.SeatRequest{Lens: "mission", Identity: "root"}), nil)
	b.send(t, b.olga, register.OpenProposal(register.ProposalRequest{Title: "Standing"}), nil)
	b.dispatch(t, ask(1))
	claim := b.claim(t)
	ways := []register.Mutation{
		register.CreateDispatch(register.DispatchRequest{
			Role: "coder", Brief: "x", Model: "opus", Estimate: ask(1).Estimate, Deadline: time.Now(), Priority: new(5),
			Origin: register.Origin{Transport: "matrix", Room: "!r"}, Project: "p", Mission: "m", BriefClass: "hotfix", DependsOn: []string{"D-1"},
		}),
		register.CancelDispatch("D-1", "why"),
		register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-2", Host: "h", TTLSeconds: 5}),
		register.HeartbeatDispatch("D-1", register.HeartbeatRequest{Claim: claim.ID, Metered: []register.Amount{{Unit: "credits", Micros: 1}}, Progress: "x"}),
		register.CompleteDispatch("D-1", register.CompleteRequest{
			Claim: claim.ID, Outcome: "failed", Actuals: []register.Amount{{Unit: "tokens", Micros: 1}}, Result: register.Result{Summary: "x", ExitCode: new(1)},
		}),
		register.SetBudget(register.BudgetSetRequest{
			Provider: "claude", Unit: "credits", LimitMicros: 5, FloorMicros: new(int64(1)), UsedMicros: new(int64(1)),
			Since: time.Now(), ResetAt: time.Now().Add(time.Hour), Window: "w", Subscription: "s",
		}),
		register.ResetBudget(register.BudgetResetRequest{Provider: "claude", ResetAt: time.Now().Add(time.Hour), Zero: true}),
		register.RecordReading(register.ReadingRequest{
			Provider: "claude", Window: "w", Subscription: "s", Unit: "credits", UsedMicros: 1, LimitMicros: 5, ResetAt: time.Now().Add(time.Hour),
			EverySeconds: 3600, TakenAt: time.Now(), Source: "user-entered", Confidence: new(1.0), Reporter: "x", Redeemed: true,
		}),
		register.ReportUsage(register.UsageRequest{Provider: "claude", Subscription: "s", Reporter: "x", Uses: []register.Use{{
			Model: "opus", Unit: "tokens", Micros: 1, Until: time.Now(), Run: &register.UsageRun{Dispatch: "D-1", Attempt: 1, Claim: claim.ID},
		}}}),
		register.OpenProposal(register.ProposalRequest{Title: "x", Quorum: 1, Pass: "majority", ClosesAt: time.Now().Add(time.Hour), Action: register.Action{Kind: "override", Dispatch: "D-1"}}),
		register.CastVote("P-1", "ceo", register.VoteRequest{Verdict: "abstain", Reason: "x", EventID: "$x"}),
		register.SetPause(register.PauseRequest{Paused: true, Reason: "x"}),
		register.PutSeat("cto", register.SeatRequest{Lens: "x", Identity: "root"}),
		register.BindRoom(register.RoomBinding{Room: "!r", Alias: "#r", Purposes: []register.RoomPurpose{"fleet"}}),
		register.PutIdentity("eve", register.IdentityRequest{Kind: "human", MatrixID: "@eve:x", Roles: []register.FleetRole{"viewer"}}),
	}
	var issued register.IssuedToken
	b.send(t, b.admin, register.IssueTokenTo(register.TokenRequest{Identity: "vera", Scopes: []register.TokenScope{"read"}}), &issued)
	ways = append(
		ways,
		register.DeclareAgent("coder-3", register.AgentDeclaration{
			Host: "h", Runtime: "r", ModelCeiling: "opus", Subscriptions: []string{"claude/s"}, LivenessSeconds: 60,
		}),
		register.IssueTokenTo(register.TokenRequest{Identity: "vera", Scopes: []register.TokenScope{"read"}, ExpiresAt: time.Now().Add(time.Hour)}),
		register.RotateToken(issued.Token.ID, register.TokenRotation{OverlapSeconds: new(3600), ExpiresAt: time.Now().Add(time.Hour)}),
	)
	oddities := []any{
		nil, true, 0, -1, 1.5, 1e300, int64(1) << 62, int64(1000000000000000000), "", " ", "D-0", "D-1", "\u0000", "\ufeff", "🙂\u202e",
		strings.Repeat("long", 20_000), "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2016-12-31T23:59:60Z", "infinity",
		[]any{},
		[]any{nil},
		map[string]any{},
		[]any{map[string]any{"unit": "credits", "micros": 1}},
		map[string]any{"kind": "override"},
	}
	rapid.Check(t, func(rt *rapid.T) {
		way := rapid.SampledFrom(ways).Draw(rt, "way")
		var body map[string]any
		require.NoError(rt, json.Unmarshal(way.Body, &body))
		fields := slices.Sorted(maps.Keys(body))
		for range rapid.IntRange(1, 3).Draw(rt, "changes") {
			field := rapid.SampledFrom(fields).Draw(rt, "field")
			if rapid.IntRange(0, 5).Draw(rt, "drop") == 0 {
				delete(body, field)
				continue
			}
			body[field] = rapid.SampledFrom(oddities).Draw(rt, "oddity")
		}
		altered, err := json.Marshal(body)
		require.NoError(rt, err)
		key := rapid.StringMatching(`[a-z]{12}`).Draw(rt, "key")
		token := rapid.SampledFrom([]string{"root", "root", "olga"}).Draw(rt, "token")
		status, _, answer := b.raw(t, way.Method, way.Path, b.tokens[token], string(altered), "Idempotency-Key", key)
		require.Less(rt, status, http.StatusInternalServerError, "%s %s\n%.300s\n%s", way.Method, way.Path, altered, answer)
		if status >= 400 {
			problemIn(t, answer)
		}
	})
}
