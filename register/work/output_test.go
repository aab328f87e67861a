package work_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestTheLastWholeLineReachesTheRegisterWhileTheCommandRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	worker := b.work(t, `echo "reading"; printf '\033[1;32mhalf way\033[0m\n\nnot yet'`+"\n"+waiting+`echo " all"`)
	shown := b.becomes(t, "D-1", func(d register.Dispatch) bool { return d.Progress != "" })
	require.Equal(t, register.DispatchStateRunning, shown.State)
	require.Equal(t, "half way", shown.Progress)
	worker.goOn(t)
	require.Equal(t, "reading\nhalf way\nnot yet all", b.reaches(t, "D-1", register.DispatchStateDone).Result.Summary)
}

func TestOutputThatIsNoTextStopsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	worker := b.work(t, `printf 'caf\351 \000\001\377\n10%%\r99%%\n'`+"\n"+waiting)
	require.Equal(t, "99%", b.becomes(t, "D-1", func(d register.Dispatch) bool { return d.Progress != "" }).Progress)
	worker.goOn(t)
	done := b.reaches(t, "D-1", register.DispatchStateDone)
	require.Equal(t, "caf\uFFFD \uFFFD\n10%\n99%", done.Result.Summary)
	log, err := os.ReadFile(filepath.Join(done.Result.Reference, "output.log"))
	require.NoError(t, err)
	require.Equal(t, "caf\xe9 \x00\x01\xff\n10%\r99%\n", string(log), "the log has what was printed")
}

// It measures memory, so it does not run beside other tests.
func TestFiftyMegabytesOfOutputCostNoMemory(t *testing.T) {
	b := setup(t)
	cost := func(bytes string) uint64 {
		b.dispatch(t, "Add a health check")
		options := b.options(t, "head -c "+bytes+` /dev/zero | tr '\0' x; echo; echo "the end"`)
		options.Once = true
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		require.NoError(t, start(t, options).ended(t))
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	kept := cost("2000000") // of which the last mebibyte is copied on its way, gateway and register included
	require.Less(t, cost("50000000"), kept+(10<<20))
	done := b.show(t, "D-2")
	require.Regexp(t, `^x+\nthe end$`, done.Result.Summary)
	info, err := os.Stat(filepath.Join(done.Result.Reference, "output.log"))
	require.NoError(t, err)
	require.Equal(t, int64(50_000_009), info.Size(), "the log is complete")
}

func TestALogThatIsFullSaysSoAndStopsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	b.work(t, `head -c 110000000 /dev/zero; echo; echo "the end"`)
	done := b.reaches(t, "D-1", register.DispatchStateDone)
	require.Equal(t, "the end", done.Result.Summary)
	info, err := os.Stat(filepath.Join(done.Result.Reference, "output.log"))
	require.NoError(t, err)
	require.Greater(t, info.Size(), int64(100<<20))
	require.Less(t, info.Size(), int64(100<<20+200))
}
