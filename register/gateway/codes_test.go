package gateway

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestWhatTheRulesRefuseHasACodeOfItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.refused(t, register.ProblemCodeLimitNotPositive, b.olga, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Unit: "credits", ResetAt: time.Now().Add(time.Hour),
	}))
	inTokens := ask(1)
	inTokens.Estimate[0].Unit = register.UnitTokens
	failure := b.refused(t, register.ProblemCodeUnitMismatch, b.olga, register.CreateDispatch(inTokens))
	require.Equal(t, "estimate", failure.Field)
	b.dispatch(t, ask(1))
	claim := b.claim(t)
	b.refused(t, register.ProblemCodeActualMissing, b.worker, register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{Claim: claim.ID, Outcome: "done"}))

	b.send(t, b.olga, register.SetBudget(register.BudgetSetRequest{Provider: "codex", Unit: "credits", LimitMicros: 5, ResetAt: time.Now().Add(3 * time.Second)}), nil)
	require.Eventually(t, func() bool {
		status, err := b.reader.Budgets(t.Context(), register.By{}, "codex")
		return err == nil && status.Windows[0].Lapsed
	}, time.Minute, 50*time.Millisecond)
	failure = b.refused(t, register.ProblemCodeWindowLapsed, b.olga, register.ResetBudget(register.BudgetResetRequest{Provider: "codex", ResetAt: time.Now().Add(time.Hour)}))
	require.Equal(t, "zero", failure.Field)
	b.send(t, b.olga, register.ResetBudget(register.BudgetResetRequest{Provider: "codex", ResetAt: time.Now().Add(time.Hour), Zero: true}), nil)
}

func TestAFailureOfTheGatewaySaysOnlyWhereItsLogSaysMore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	database, err := pgx.Connect(t.Context(), b.database)
	require.NoError(t, err)
	defer database.Close(t.Context())
	_, err = database.Exec(t.Context(), `ALTER TABLE fleet.rooms RENAME TO gone`)
	require.NoError(t, err)
	status, _, body := b.raw(t, http.MethodGet, "/api/fleet/rooms", b.tokens["vera"], "", "X-Request-ID", "asked-1")
	require.Equal(t, http.StatusInternalServerError, status)
	p := problemIn(t, body)
	require.Equal(t, register.ProblemCodeInternal, p.Code)
	require.Equal(t, "asked-1", p.RequestID)
	require.NotContains(t, string(body), "fleet.rooms", "nothing of its inside")
	require.True(t, hasLine(b.log.String(), `"request_id":"asked-1"`, "fleet.rooms"), "its log says more under the ID: %s", b.log)

	err = b.admin.Send(t.Context(), register.By{Key: rand.Text()}, register.BindRoom(register.RoomBinding{Room: "!r", Purposes: []register.RoomPurpose{"fleet"}}), nil)
	require.True(t, register.Retryable(err), "it consumes no command")
	require.Contains(t, err.Error(), "(request ", "the client shows the ID it sent")
}

// hasLine says whether a log has a line with all the parts.
func hasLine(log string, parts ...string) bool {
	for line := range strings.Lines(log) {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return true
		}
	}
	return false
}
