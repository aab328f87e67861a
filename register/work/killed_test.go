package work_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// built is the program itself.
var built = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "mosaic-matrix-work-")
	if err != nil {
		return "", err
	}
	if err := local.SweepAtExit(folder); err != nil {
		return "", err
	}
	program := filepath.Join(folder, "mosaic-matrix")
	build := exec.Command("go", "build", "-tags", "goolm", "-o", program, "../..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	return program, build.Run()
})

// program is a worker as it is started from a shell.
func (b *bundle) program(t *testing.T, script string, flags ...string) (worker *exec.Cmd, here string) {
	t.Helper()
	binary, err := built()
	require.NoError(t, err)
	here = t.TempDir()
	arguments := append([]string{"work", "--role", "coder", "--ttl", "5s", "--directory", filepath.Join(here, "runs")}, flags...)
	worker = exec.CommandContext(context.Background(), binary, append(arguments, "--", "/bin/sh", "-c", "here=$0\n"+script, here)...)
	worker.Env = append(os.Environ(), "MOSAIC_GATEWAY_URL="+b.URL, "MOSAIC_GATEWAY_TOKEN="+b.token)
	worker.Stderr = t.Output()
	return worker, here
}

func TestAKilledWorkersCommandDiesWithItAndItsDispatchIsClaimedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	worker, here := b.program(t, family)
	require.NoError(t, worker.Start())
	t.Cleanup(func() { _ = worker.Process.Kill(); _ = worker.Wait() })
	r := &running{here: here}
	r.familyRuns(t)
	require.NoError(t, worker.Process.Kill())
	r.familyEnds(t)
	again := b.reaches(t, "D-1", register.DispatchStateReady)
	require.Contains(t, again.Reason, "coder-1 was lost.")
	b.work(t, result(spent4))
	require.Equal(t, 2, b.reaches(t, "D-1", register.DispatchStateDone).Attempt)
}

func TestTheProgramExitsWithThreeWhenNothingIsReady(t *testing.T) {
	t.Parallel()
	b := setup(t)
	worker, _ := b.program(t, "true", "--once")
	var said strings.Builder
	worker.Stderr = &said
	var exit *exec.ExitError
	require.ErrorAs(t, worker.Run(), &exit)
	require.Equal(t, 3, exit.ExitCode())
	require.Contains(t, said.String(), "no dispatch is ready for this role")
	b.dispatch(t, "Add a health check")
	worker, _ = b.program(t, "true", "--once")
	require.NoError(t, worker.Run())
	require.Equal(t, register.DispatchStateDone, b.show(t, "D-1").State)
}
