package work_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// family is a script of a command with a child and a grandchild; each writes its number.
const family = `echo $$ > "$here/command"
sh -c 'sleep 300 & echo $! > "$0/grandchild"; wait' "$here" &
echo $! > "$here/child"
wait
`

func (r *running) familyEnds(t *testing.T) {
	t.Helper()
	for _, name := range []string{"command", "child", "grandchild"} {
		ends(t, r.number(t, name))
	}
}

func (r *running) familyRuns(t *testing.T) {
	t.Helper()
	for _, name := range []string{"command", "child", "grandchild"} {
		r.number(t, name)
	}
}

func TestCancellingStopsTheCommandAndEverythingItStarted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	worker := b.work(t, family)
	worker.familyRuns(t)
	b.send(t, register.CancelDispatch("D-1", "wrong branch"), nil)
	worker.familyEnds(t)
	b.dispatch(t, "Add another")
	require.Equal(t, "coder-1", b.reaches(t, "D-2", register.DispatchStateRunning).Worker, "the worker goes on")
}

func TestWhatACancelledRunSpentIsBooked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, "Add a health check")
	worker := b.work(t, "finish() {\n"+result(`{"outcome": "failed", "actuals": [{"unit": "credits", "micros": 3000000}]}`)+"exit 1\n}\n"+
		`trap finish TERM; echo $$ > "$here/command"; while :; do sleep 0.02; done`)
	worker.number(t, "command")
	b.send(t, register.CancelDispatch("D-1", ""), nil)
	cancelled := b.becomes(t, "D-1", func(d register.Dispatch) bool { return len(d.Actuals) > 0 })
	require.Equal(t, register.DispatchStateCancelled, cancelled.State)
	require.True(t, strings.HasPrefix(cancelled.Result.Summary, "The command was stopped: the dispatch was cancelled."), cancelled.Result.Summary)
	require.Equal(t, int64(3_000_000), b.committed(t))
}

func TestACommandThatDoesNotHeedIsKilledAfterTheGracePeriod(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	options := b.options(t, `trap '' TERM; echo $$ > "$here/command"; sleep 300 & echo $! > "$here/child"; while :; do sleep 0.1; done`)
	options.Grace = time.Second
	worker := start(t, options)
	command, child := worker.number(t, "command"), worker.number(t, "child")
	asked := time.Now()
	require.NoError(t, worker.stop(t))
	require.GreaterOrEqual(t, time.Since(asked), time.Second)
	ends(t, command)
	ends(t, child)
	require.Contains(t, b.show(t, "D-1").Result.Summary, "The command was ended by a signal: killed.")
}

func TestWhatTheCommandStartedHasTheGracePeriodToo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	worker := b.work(t, `sh -c 'trap "sleep 0.3; echo tidied up; exit" TERM; echo $$ > "$0/child"; while :; do sleep 0.02; done' "$here" & echo $$ > "$here/command"; wait`)
	worker.number(t, "child")
	require.NoError(t, worker.stop(t))
	require.Contains(t, b.show(t, "D-1").Result.Summary, "tidied up")
}

func TestAStoppedWorkersRunIsReportedAsFailedWithTheReason(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	worker := b.work(t, `echo "half way"`+"\n"+family)
	worker.familyRuns(t)
	require.NoError(t, worker.stop(t))
	worker.familyEnds(t)
	failed := b.show(t, "D-1")
	require.Equal(t, register.DispatchStateFailed, failed.State)
	require.True(t, strings.HasPrefix(failed.Result.Summary, "The command was stopped: the worker was stopped. The command was ended by a signal: terminated.\nhalf way"), failed.Result.Summary)
}

func TestAStoppedCommandThatSaysNothingIsNotDone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	worker := b.work(t, `trap 'exit 0' TERM; echo $$ > "$here/command"; while :; do sleep 0.02; done`)
	worker.number(t, "command")
	require.NoError(t, worker.stop(t))
	failed := b.show(t, "D-1")
	require.Equal(t, register.DispatchStateFailed, failed.State)
	require.True(t, strings.HasPrefix(failed.Result.Summary, "The command was stopped: the worker was stopped."), failed.Result.Summary)
}

func TestAStoppedCommandThatFinishesItsWorkIsDone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	worker := b.work(t, "finish() {\n"+result(spent4)+"exit 0\n}\n"+`trap finish TERM; echo $$ > "$here/command"; while :; do sleep 0.02; done`)
	worker.number(t, "command")
	require.NoError(t, worker.stop(t))
	done := b.show(t, "D-1")
	require.Equal(t, register.DispatchStateDone, done.State)
	require.Equal(t, int64(4_000_000), done.Actuals[0].Micros)
}

func TestWhatAFinishedCommandLeavesRunningEndsWithIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	worker := b.work(t, `sleep 300 & echo $! > "$here/child"; echo ready`)
	ends(t, worker.number(t, "child"))
	done := b.reaches(t, "D-1", register.DispatchStateDone)
	require.Equal(t, "ready", done.Result.Summary)
	require.Less(t, done.FinishedAt.Sub(done.StartedAt), time.Minute, "its open output holds nothing up")
}

func TestACommandWhoseClaimIsLostIsStopped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	options := b.options(t, family)
	options.TTL = 5 * time.Second
	b.Break(func(w http.ResponseWriter, r *http.Request, forward http.HandlerFunc) {
		if strings.HasSuffix(r.URL.Path, "/heartbeat") {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		forward(w, r)
	})
	worker := start(t, options)
	worker.familyRuns(t)
	b.becomes(t, "D-1", func(d register.Dispatch) bool { return strings.Contains(d.Reason, "was lost") })
	// Another takes it over before the line is mended.
	var claim register.Claim
	require.NoError(t, b.worker.Send(t.Context(), register.By{Key: "another"}, register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-2"}), &claim))
	require.Equal(t, 2, claim.Dispatch.Attempt)
	b.Mend()
	worker.familyEnds(t)
	require.NoError(t, worker.stop(t))
	now := b.show(t, "D-1")
	require.Equal(t, register.DispatchStateRunning, now.State)
	require.Equal(t, "coder-2", now.Worker, "the other's run is not touched")
}

func TestALongRunIsKeptAlive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	options := b.options(t, waiting)
	options.TTL = 9 * time.Second
	worker := start(t, options)
	b.reaches(t, "D-1", register.DispatchStateRunning)
	require.Never(t, func() bool { return b.show(t, "D-1").State != register.DispatchStateRunning }, 12*time.Second, 200*time.Millisecond)
	worker.goOn(t)
	require.Equal(t, 1, b.reaches(t, "D-1", register.DispatchStateDone).Attempt)
}
