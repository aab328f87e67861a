package work_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/work"
)

func TestAResultFileIsReportedAsItStands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, "Add a health check")
	b.work(t, "echo working\n"+result(spent4))
	done := b.reaches(t, "D-1", register.DispatchStateDone)
	require.Equal(t, []register.Amount{{Unit: "credits", Micros: 4_000_000}}, done.Actuals)
	require.Empty(t, done.Unmetered)
	require.Equal(t, register.Result{Summary: "all tests pass", Reference: "https://forge.example/42", ExitCode: new(0)}, done.Result)
	require.Equal(t, int64(4_000_000), b.committed(t))
}

func TestARunCanReportThatItFailedAlthoughItsCommandEndedWell(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	b.work(t, result(`{"outcome": "failed", "actuals": [{"unit": "credits", "micros": 1}], "result": {"summary": "the tests do not pass"}}`))
	failed := b.reaches(t, "D-1", register.DispatchStateFailed)
	require.Equal(t, "the tests do not pass", failed.Result.Summary)
	require.Equal(t, int64(1), failed.Actuals[0].Micros)
}

func TestWithoutAResultFileTheExitCodeDecidesAndTheCauseIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, "Add a health check")
	b.work(t, `echo one; echo; printf 'the end'`)
	done := b.reaches(t, "D-1", register.DispatchStateDone)
	require.Equal(t, "the command wrote no result file, so its spend is unknown", done.Unmetered)
	require.Equal(t, "one\nthe end", done.Result.Summary, "also a last line without its end")
	require.Equal(t, int64(5_000_000), b.committed(t), "the estimate is committed")
	log, err := os.ReadFile(filepath.Join(done.Result.Reference, "output.log"))
	require.NoError(t, err)
	require.Equal(t, "one\n\nthe end", string(log))
}

func TestAFailingCommandIsReportedWithItsLastLinesAndItsSpend(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, "Add a health check")
	b.work(t, `i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo "line $i"; done; echo "panic: nil map" >&2`+"\n"+
		result(`{"outcome": "done", "actuals": [{"unit": "credits", "micros": 2500000}]}`)+"exit 7")
	failed := b.reaches(t, "D-1", register.DispatchStateFailed)
	require.Equal(t, "The command ended with exit code 7.\nline 32\nline 33\nline 34\nline 35\nline 36\nline 37\nline 38\nline 39\nline 40\npanic: nil map", failed.Result.Summary)
	require.Equal(t, new(7), failed.Result.ExitCode)
	require.Equal(t, int64(2_500_000), b.committed(t))
}

func TestACommandEndedByASignalSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	b.work(t, `kill -KILL $$`)
	failed := b.reaches(t, "D-1", register.DispatchStateFailed)
	require.Equal(t, "The command was ended by a signal: killed.", failed.Result.Summary)
	require.Nil(t, failed.Result.ExitCode)
}

func TestAResultFileThatCannotBeUsedIsToldAndNotLost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, bad := range []struct{ script, cause string }{
		{`printf '{"outcome": "do' > "$MOSAIC_RESULT_FILE"`, "not the JSON that was expected"},
		{`: > "$MOSAIC_RESULT_FILE"`, "not the JSON that was expected"},
		{result(`{"actuals": [{"unit": "credits", "micros": 1.5}]}`), "not the JSON that was expected"},
		{result(`{"outcome": "great"}`), `the outcome "great", which is neither done nor failed`},
		{result(`{"actuals": [{"unit": "credits", "micros": 1}, {"unit": "credits", "micros": 2}]}`), "the gateway did not take the run's report: "},
		{result(`{"actuals": [{"unit": "bananas", "micros": 1}]}`), "the gateway did not take the run's report: "},
		{result(`{"actuals": [{"unit": "credits", "micros": -1}]}`), "the gateway did not take the run's report: "},
		{result(`{"outcome": "done"}`), "the command reported no spend"},
		{`mkdir "$MOSAIC_RESULT_FILE"`, "not a plain file"},
		{`mkfifo "$MOSAIC_RESULT_FILE"`, "not a plain file"},
		{`head -c 1100000 /dev/zero > "$MOSAIC_RESULT_FILE"`, "larger than 1048576 bytes"},
	} {
		dispatch := b.dispatch(t, "Add a health check")
		options := b.options(t, bad.script)
		options.Once = true
		require.NoError(t, start(t, options).ended(t))
		done := b.show(t, dispatch.ID)
		require.Equal(t, register.DispatchStateDone, done.State, "the exit code decides: %s", bad.script)
		require.Contains(t, done.Unmetered, bad.cause, bad.script)
		require.Empty(t, done.Actuals)
		require.DirExists(t, done.Result.Reference, "the file lies in the run's folder")
	}
}

func TestAResultTooLongForTheRegisterIsCut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	b.work(t, `long=$(head -c 9000 /dev/zero | tr '\0' x)
printf '{"actuals":[{"unit":"credits","micros":3}],"result":{"summary":"%s\\u0000the end","reference":"%s"}}' "$long" "$long" > "$MOSAIC_RESULT_FILE"`)
	done := b.reaches(t, "D-1", register.DispatchStateDone)
	require.Equal(t, int64(3), done.Actuals[0].Micros)
	require.Len(t, done.Result.Summary, 4000)
	require.True(t, strings.HasSuffix(done.Result.Summary, "xxthe end"), "the end matters most")
	require.NotEmpty(t, done.Result.Reference)
	require.Equal(t, int64(9007), done.Result.OutputBytes)
	require.Equal(t, strings.Repeat("x", 9000)+"the end", b.output(t, "D-1"), "the whole is kept beside it")
}

func TestWhatACommandPrintedBeyondItsLastLinesIsKeptWholeUpToAMebibyte(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	b.work(t, `case $MOSAIC_DISPATCH in
D-1) seq 1 40; echo "  <b>the end</b>" ;;
D-2) echo; echo "  one"; echo two ;;
*) head -c 3000000 /dev/zero | tr '\0' '<'; echo "the end" ;;
esac`)
	done := b.reaches(t, "D-1", register.DispatchStateDone)
	require.True(t, strings.HasPrefix(done.Result.Summary, "32\n33\n"), done.Result.Summary)
	whole := b.output(t, "D-1")
	require.True(t, strings.HasPrefix(whole, "1\n2\n3\n"), whole)
	require.True(t, strings.HasSuffix(whole, "\n40\n  <b>the end</b>"), "as it was printed")

	b.dispatch(t, "Say little")
	short := b.reaches(t, "D-2", register.DispatchStateDone)
	require.Equal(t, "one\ntwo", short.Result.Summary)
	require.Zero(t, short.Result.OutputBytes, "what the result holds whole is kept once")

	b.dispatch(t, "Talk for ever")
	long := b.reaches(t, "D-3", register.DispatchStateDone)
	require.InDelta(t, 1<<20, long.Result.OutputBytes, 1)
	require.True(t, strings.HasSuffix(b.output(t, "D-3"), "<<the end"), "of more the end")
}

func (b *bundle) output(t *testing.T, dispatch string) string {
	t.Helper()
	output, err := b.olga.Output(t.Context(), register.By{}, dispatch)
	require.NoError(t, err)
	return output.Text
}

func TestACommandThatDoesNotExistIsRefusedBeforeAnythingIsClaimed(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"no-such-agent", "./no-such-agent.sh", t.TempDir()} {
		_, err := work.New(work.Options{Role: "coder", Command: []string{command}})
		require.ErrorContains(t, err, "the command cannot be run")
	}
}

func TestACommandThatHasGoneIsReportedAsFailed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := filepath.Join(t.TempDir(), "agent.sh")
	require.NoError(t, os.WriteFile(agent, []byte("#!/bin/sh\n"), 0o700))
	options := b.options(t, "")
	options.Command = []string{agent}
	start(t, options)
	require.NoError(t, os.Remove(agent))
	b.dispatch(t, "Add a health check")
	failed := b.reaches(t, "D-1", register.DispatchStateFailed)
	require.Contains(t, failed.Result.Summary, "The command could not be started: ")
	require.Contains(t, failed.Result.Summary, "no such file")
	require.NotEmpty(t, failed.Unmetered)
}

func TestAWorkerThatCannotKeepFoldersClaimsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	options := b.options(t, "true")
	require.NoError(t, os.WriteFile(options.Directory, nil, 0o600))
	err := start(t, options).ended(t)
	require.ErrorContains(t, err, "--directory")
	require.Equal(t, register.DispatchStateReady, b.show(t, "D-1").State)
}

func TestAClaimThatCannotHaveAFolderIsReportedAndTheWorkerEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	options := b.options(t, "true")
	worker := start(t, options)
	require.Eventually(t, func() bool { return b.agent(t, "coder-1").Host == "alpha" }, patience, glance, "it looks at its directory before it declares itself")
	require.NoError(t, os.Remove(options.Directory))
	require.NoError(t, os.WriteFile(options.Directory, nil, 0o600))
	b.dispatch(t, "Add a health check")
	b.dispatch(t, "Add another")
	require.ErrorContains(t, worker.ended(t), "this worker cannot run anything: making the folder of all runs")
	failed := b.show(t, "D-1")
	require.Equal(t, register.DispatchStateFailed, failed.State)
	require.Contains(t, failed.Result.Summary, "making the folder of all runs")
	require.Equal(t, "the command was never started", failed.Unmetered)
	require.Equal(t, register.DispatchStateReady, b.show(t, "D-2").State, "others may run it")
}
