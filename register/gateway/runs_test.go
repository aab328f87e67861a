package gateway

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

const credit = int64(1_000_000)

func credits(n int64) []register.Amount {
	return []register.Amount{{Unit: register.UnitCredits, Micros: n * credit}}
}

func TestAWorkerExtendsItsRunAndTheCapRefusesTheRest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(5))
	claim := b.claim(t)
	require.Equal(t, int64(200_000), claim.ContextCap)
	extend := func(reserve []register.Amount) register.Mutation {
		return register.ExtendDispatch("D-1", register.ExtendRequest{Claim: claim.ID, Reserve: reserve})
	}
	var extension register.Extension
	b.send(t, b.worker, extend(credits(400)), &extension)
	require.Equal(t, credits(400), extension.Reserved)
	require.Equal(t, 400*credit, extension.Holds[0].Micros)

	refused := b.refused(t, register.ProblemCodeCapReached, b.worker, extend(credits(501)))
	require.Equal(t, 409, refused.Status)
	require.NotEmpty(t, refused.NextStep)
	require.Contains(t, b.refused(t, register.ProblemCodeForbidden, b.olga, extend(credits(10))).Detail, "lacks the scope to extend what work holds")
	b.refused(t, register.ProblemCodeInvalid, b.worker, extend(append(credits(410), credits(420)...)))
	b.refused(t, register.ProblemCodeInvalid, b.worker, extend(nil))
	b.refused(t, register.ProblemCodeClaimLost, b.worker, register.ExtendDispatch("D-1", register.ExtendRequest{Claim: "x", Reserve: credits(10)}))
}

func TestARunStoppedAtItsReservationSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, ask(5))
	claim := b.claim(t)
	end := register.CompleteRequest{Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Failure: register.CompleteRequestFailureBudget, Actuals: credits(5)}
	require.Equal(t, "failure", b.refused(t, register.ProblemCodeInvalid, b.worker, register.CompleteDispatch("D-1", end)).Field)
	end.Outcome = register.CompleteRequestOutcomeFailed
	var failed register.Dispatch
	b.send(t, b.worker, register.CompleteDispatch("D-1", end), &failed)
	require.Equal(t, register.DispatchFailureBudget, failed.Failure)
}

func TestWorkThatDidNotDoIsRetriedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.dispatch(t, ask(5))
	retry := register.RetryDispatch(made.ID, register.RetryRequest{Reason: "again"})
	require.Equal(t, 409, b.refused(t, register.ProblemCodeNotRetryable, b.olga, retry).Status)
	b.send(t, b.olga, register.CancelDispatch(made.ID, ""), nil)
	b.refused(t, register.ProblemCodeForbidden, b.worker, retry)
	var again, same register.Dispatch
	by := register.By{Key: "retry"}
	require.NoError(t, b.olga.Send(t.Context(), by, retry, &again))
	require.Equal(t, made.ID, again.RetryOf)
	require.NoError(t, b.olga.Send(t.Context(), by, retry, &same))
	require.Equal(t, again, same)
	require.Contains(t, b.refused(t, register.ProblemCodeAlreadyRetried, b.olga, retry).Detail, "as D-2.")
}

func TestWhenARunHasToBeOverItsLatestStartIsWorkedOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	request := ask(5)
	request.FinishBy = time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	request.TakesSeconds = 1200
	made := b.dispatch(t, request)
	require.Equal(t, request.FinishBy, made.FinishBy)
	require.Equal(t, request.FinishBy.Add(-20*time.Minute), made.Deadline)
	require.Equal(t, register.Expected{Seconds: 1200, From: register.ExpectedFromGiven}, made.Expected)

	request.Deadline = request.FinishBy
	require.Equal(t, "finish_by", b.refused(t, register.ProblemCodeInvalid, b.olga, register.CreateDispatch(request)).Field)
	request.Deadline, request.FinishBy = time.Time{}, time.Time{}
	require.Equal(t, "takes_seconds", b.refused(t, register.ProblemCodeInvalid, b.olga, register.CreateDispatch(request)).Field)
}

func TestSeveralUnitsOfAnEstimateAreNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	request := ask(5)
	request.Estimate = append(request.Estimate, register.EstimateAmount{Micros: 1})
	require.Equal(t, "estimate", b.refused(t, register.ProblemCodeInvalid, b.olga, register.CreateDispatch(request)).Field)
	request.Estimate[1].Unit = register.UnitPercent
	require.Len(t, b.dispatch(t, request).Estimate, 2)
}

func TestTheContextCapIsAnsweredWithTheReason(t *testing.T) {
	t.Parallel()
	b := setup(t)
	request := ask(5)
	request.ContextTokens = 200_001
	refused := b.refused(t, register.ProblemCodeContextCap, b.olga, register.CreateDispatch(request))
	require.Equal(t, 422, refused.Status)
	require.Contains(t, refused.Detail, "a session that does not fit its context loses the thread.")

	// The longest brief the contract takes, at four bytes a character, is within the default cap.
	longest := ask(5)
	longest.Brief = strings.Repeat("\U0001F41D", 65_536)
	require.Equal(t, register.DispatchStateReady, b.dispatch(t, longest).State)
}

func TestTheAttemptsOfADispatchAreWithinBounds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	request := ask(5)
	require.Equal(t, 3, b.dispatch(t, request).MaxAttempts)
	request.MaxAttempts = 10
	require.Equal(t, 10, b.dispatch(t, request).MaxAttempts)
	for _, wrong := range []string{"0", "11"} {
		status, _, body := b.raw(t, "POST", "/api/fleet/dispatches", b.tokens["olga"], `{"role": "coder", "brief": "x", "max_attempts": `+wrong+`}`, "Idempotency-Key", wrong)
		require.Equal(t, 400, status)
		require.Equal(t, "max_attempts", problemIn(t, body).Field)
	}
}

func TestAClaimsLifeIsWithinBounds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, ask(5))
	asked := time.Now()
	claim := b.claim(t)
	require.WithinDuration(t, asked.Add(15*time.Minute), claim.ExpiresAt, time.Minute, "900 s unless given")
	beat := func(seconds int) register.Mutation {
		return register.HeartbeatDispatch("D-1", register.HeartbeatRequest{Claim: claim.ID, TTLSeconds: seconds})
	}
	for _, wrong := range []int{4, 86_401} {
		require.Equal(t, "ttl_seconds", b.refused(t, register.ProblemCodeInvalid, b.worker, beat(wrong)).Field)
	}
	var answer register.Heartbeat
	b.send(t, b.worker, beat(86_400), &answer)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), answer.ExpiresAt, time.Minute)
}

// TestAWindowSaysHowFarWhatIsHeldLiesAboveWhatWillProbablyBeSpent is margin_micros: the bound of a learned estimate less its mean.
func TestAWindowSaysHowFarWhatIsHeldLiesAboveWhatWillProbablyBeSpent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	shown := func() (register.Window, string) {
		var status register.BudgetStatus
		_, _, body := b.raw(t, "GET", "/api/fleet/budgets", b.tokens["olga"], "")
		require.NoError(t, json.Unmarshal(body, &status))
		return status.Windows[0], string(body)
	}
	for i := range int64(12) {
		b.dispatch(t, ask(0))
		claim := b.claim(t)
		end := register.CompleteRequest{Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Actuals: []register.Amount{{Unit: "credits", Micros: (i%3 + 1) * credit / 4}}}
		b.send(t, b.worker, register.CompleteDispatch(claim.Dispatch.ID, end), nil)
	}
	work := ask(0)
	work.Estimate = nil
	made := b.dispatch(t, work)
	require.Equal(t, register.DispatchStateReady, made.State, made.Reason)
	learned := made.Learned[0]
	require.Greater(t, learned.UpperMicros, learned.MeanMicros)
	window, _ := shown()
	require.Equal(t, learned.UpperMicros, window.ReservedMicros)
	require.Equal(t, learned.UpperMicros-learned.MeanMicros, window.MarginMicros)

	claim := b.claim(t)
	end := register.CompleteRequest{Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Actuals: credits(1)}
	b.send(t, b.worker, register.CompleteDispatch(claim.Dispatch.ID, end), nil)
	b.dispatch(t, ask(3))
	window, body := shown()
	require.Equal(t, 3*credit, window.ReservedMicros)
	require.Zero(t, window.MarginMicros, "who gives an estimate is taken at their word")
	require.NotContains(t, body, "margin_micros")
}
