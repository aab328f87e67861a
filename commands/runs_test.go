package commands

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// asks is the request that a typed line comes to.
func asks[T any](t *testing.T, line string) (body T, path string) {
	t.Helper()
	call := understood(t, line)
	require.NotNil(t, call.Mutation)
	require.NoError(t, json.Unmarshal(call.Mutation.Body, &body))
	return body, call.Mutation.Path
}

func TestAnEstimateMayHaveSeveralUnits(t *testing.T) {
	t.Parallel()
	tokens := register.EstimateAmount{Unit: register.UnitTokens, Micros: 40_000 * credit}
	percent := register.EstimateAmount{Unit: register.UnitPercent, Micros: 2 * credit}
	for line, want := range map[string][]register.EstimateAmount{
		`dispatch coder "Fix it" --estimate 40k tokens --estimate "2 percent"`: {tokens, percent},
		`dispatch coder Fix it —estimate 40k tokens —estimate 2%`:              {tokens, percent},
		`dispatch coder "Fix it" estimate=2% estimate=40ktokens`:               {percent, tokens},
		`dispatch coder "Fix it" --estimate 40k tokens`:                        {tokens},
		`dispatch coder "Fix it" --estimate 4`:                                 {{Micros: 4 * credit}},
		`dispatch coder "Fix it"`:                                              nil,
	} {
		body, _ := asks[register.DispatchRequest](t, line)
		require.Equal(t, want, body.Estimate, line)
		require.Equal(t, "Fix it", body.Brief, line)
	}
	require.Equal(t, `--estimate: of several, each needs its unit, and "4" has none; such as --estimate 40ktokens --estimate 2percent.`,
		misunderstood(t, `dispatch coder "x" --estimate 4 --estimate 2%`).Problem)
	require.Equal(t, `--estimate: tokens is given twice.`, misunderstood(t, `dispatch coder "x" --estimate 4tokens --estimate 5 tokens`).Problem)
}

func TestARunSaysWhenItHasToBeOverHowLongItTakesAndWhatItNeeds(t *testing.T) {
	t.Parallel()
	body, _ := asks[register.DispatchRequest](t, `dispatch coder "Fix it" --finish-by fri 17:00 --takes 30 min --context 150k --attempts 5`)
	require.Equal(t, time.Date(2026, 11, 27, 16, 0, 0, 0, time.UTC), body.FinishBy.UTC())
	require.Equal(t, 1800, body.TakesSeconds)
	require.Equal(t, int64(150_000), body.ContextTokens)
	require.Equal(t, 5, body.MaxAttempts)
	require.Zero(t, body.Deadline)
	for typed, seconds := range map[string]int{"1h30m": 5400, "90m": 5400, "2 hours": 7200, "+45m": 2700, "30d": 2_592_000} {
		body, _ := asks[register.DispatchRequest](t, `dispatch coder "Fix it" --finish-by +9h --takes `+typed)
		require.Equal(t, seconds, body.TakesSeconds, typed)
	}
	for line, problem := range map[string]string{
		`--finish-by +2h --deadline +1h`: "--deadline is the latest start, and --finish-by works it out; give one of them.",
		`--takes 30m`:                    "--takes works out the latest start for --finish-by, which is missing.",
		`--finish-by +2h --takes long`:   `--takes: "long" is not how long something takes, from 1m to 30d, such as 30m or 1h30m.`,
		`--finish-by +2h --takes 31d`:    `--takes: "31d" is not how long something takes, from 1m to 30d, such as 30m or 1h30m.`,
		`--finish-by +2h --takes 0m`:     `--takes: "0m" is not how long something takes, from 1m to 30d, such as 30m or 1h30m.`,
		`--context 4credits`:             `--context: "4credits" is not a number of tokens from 1 to 1000M, such as 150k.`,
		`--context 0`:                    `--context: "0" is not a number of tokens from 1 to 1000M, such as 150k.`,
		`--context 1.5`:                  `--context: "1.5" is not a number of tokens from 1 to 1000M, such as 150k.`,
		`--attempts 11`:                  `--attempts: "11" is not a whole number from 1 to 10, such as 2.`,
	} {
		require.Equal(t, problem, misunderstood(t, `dispatch coder "x" `+line).Problem)
	}
}

func TestTheReplySaysHowTheLatestStartWasWorkedOut(t *testing.T) {
	t.Parallel()
	for from, how := range map[register.Expected]string{
		{Seconds: 1800, From: register.ExpectedFromGiven}:           "30 min, as given",
		{Seconds: 1440, From: register.ExpectedFromRuns, Runs: 23}:  "24 min, as 9 in 10 of the last 23 runs for coder on opus did",
		{Seconds: 900, From: register.ExpectedFromDefault, Runs: 8}: "15 min, since fewer than 9 earlier runs are known",
	} {
		d := asked(func(d *register.Dispatch) {
			d.State, d.Model, d.Expected = register.DispatchStateReady, "opus", from
			d.FinishBy, d.Deadline = monday.Add(3*time.Hour), monday.Add(2*time.Hour)
		})
		reads(t, dispatchReply(d, berlin(t)).Markdown, "D-5 ready on opus",
			"Latest start: Mon 23 Nov 12:00 CET, in 2 h, to be over by Mon 23 Nov 13:00 CET, in 3 h: it should take "+how)
	}
}

func TestRetryAsksAgain(t *testing.T) {
	t.Parallel()
	body, path := asks[register.RetryRequest](t, `retry d12 the branch is mended`)
	require.Equal(t, "/api/fleet/dispatches/D-12/retry", path)
	require.Equal(t, "the branch is mended", body.Reason)
	require.Equal(t, "$event", body.Origin.Event, "its thread is where it was asked again")
	body, _ = asks[register.RetryRequest](t, `retry D-12 --deadline +2h`)
	require.Equal(t, monday.Add(2*time.Hour), body.Deadline.UTC())
	require.Equal(t, "--deadline is the latest start, and --finish-by works it out; give one of them.", misunderstood(t, "retry D-12 --deadline +2h --finish-by +3h").Problem)
}

func TestARunStoppedAtItsReservationReadsFailedBudget(t *testing.T) {
	t.Parallel()
	d := asked(func(d *register.Dispatch) {
		d.State, d.Failure, d.Model, d.Worker = register.DispatchStateFailed, register.DispatchFailureBudget, "opus", "coder-1"
		d.Reason = "coder-1 stopped it: what was reserved is used up, and more was refused."
		d.Actuals, d.StartedAt, d.FinishedAt = []register.Amount{{Unit: register.UnitCredits, Micros: 10 * credit}}, monday, monday.Add(5*time.Minute)
	})
	notice, told := NoticeFor(register.Event{Type: register.EventTypeDispatchFailed, At: monday, Dispatch: d}, berlin(t))
	require.True(t, told)
	require.True(t, notice.Rings)
	reads(t, notice.Markdown, "D-5 failed: budget on opus after 5 min", "coder-1 stopped it: what was reserved is used up, and more was refused.", "Spent: 10 credits")
	require.Contains(t, dispatchLine(d, monday, berlin(t)), "**D-5** failed: budget on opus")
	_, told = NoticeFor(register.Event{Type: register.EventTypeDispatchExtended, At: monday, Dispatch: d}, berlin(t))
	require.False(t, told)
}
