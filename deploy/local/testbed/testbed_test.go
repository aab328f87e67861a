package main_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "testbed")
	said, err := exec.Command("go", "build", "-tags", "goolm", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, string(said))
	return program
}

func TestTheCommandFindsBothServersAndItsExitCodeIsPassedOn(t *testing.T) {
	t.Parallel()
	command := exec.Command(build(t), "--", "sh", "-c", `
		test -n "$MOSAIC_TEST_POSTGRES" && test -n "$MOSAIC_TEST_HOMESERVER" && test -n "$MOSAIC_TEST_HOMESERVER_SECRET" && exit 42`)
	said, err := command.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 42, exit.ExitCode(), string(said))
}

func TestTheCommandIsToldThatTheHomeserverHasItsLimits(t *testing.T) {
	t.Parallel()
	program := build(t)
	with, err := exec.Command(program, "-limits", "--", "sh", "-c", `echo "limits: $MOSAIC_TEST_LIMITS"`).Output()
	require.NoError(t, err)
	require.Equal(t, "limits: stock\n", string(with))
	without, err := exec.Command(program, "--", "sh", "-c", `echo "limits: $MOSAIC_TEST_LIMITS"`).Output()
	require.NoError(t, err)
	require.Equal(t, "limits: \n", string(without))
}

// running is a testbed whose command has started.
type running struct {
	testbed    *exec.Cmd
	postgres   string
	homeserver string
	folder     string
	pids       []string
}

func start(t *testing.T) running {
	t.Helper()
	temporary := t.TempDir()
	require.NoError(t, os.Chmod(temporary, 0o755))
	r := running{folder: temporary}
	// A grandchild that ignores TERM stands for a test that hangs.
	r.testbed = exec.Command(build(t), "--", "sh", "-c", `
		(trap '' TERM INT; sleep 300 & echo $!; wait) &
		echo $$; sleep 0.2; echo "$MOSAIC_TEST_POSTGRES"; echo "$MOSAIC_TEST_HOMESERVER"; echo ready; wait`)
	r.testbed.Env = append(os.Environ(), "TMPDIR="+temporary)
	// A terminal's Ctrl-C goes to the whole group; here it is the testbed's alone to pass on.
	r.testbed.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, err := r.testbed.StdoutPipe()
	require.NoError(t, err)
	r.testbed.Stderr = io.Discard
	require.NoError(t, r.testbed.Start())
	t.Cleanup(func() { _ = r.testbed.Process.Kill() })
	lines := bufio.NewScanner(output)
	for lines.Scan() && lines.Text() != "ready" {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "postgres://"):
			r.postgres = line
		case strings.HasPrefix(line, "http://"):
			r.homeserver = line
		default:
			r.pids = append(r.pids, line)
		}
	}
	require.Len(t, r.pids, 2)
	require.True(t, r.answers(t.Context()), "both servers answer while the command runs")
	return r
}

func (r running) answers(ctx context.Context) bool {
	connection, err := pgx.Connect(ctx, r.postgres)
	if err != nil {
		return false
	}
	defer func() { _ = connection.Close(ctx) }()
	response, err := http.Get(r.homeserver + "/_matrix/client/versions")
	if err != nil {
		return false
	}
	return response.Body.Close() == nil
}

// requireNothingLeft looks for the servers, the command, and the temporary folder.
func (r running) requireNothingLeft(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		left, err := filepath.Glob(filepath.Join(r.folder, "*"))
		return err == nil && len(left) == 0
	}, time.Minute, 50*time.Millisecond, "the temporary folder")
	for _, pid := range r.pids {
		require.Eventually(t, func() bool { return !isRunning(pid) }, time.Minute, 50*time.Millisecond, "process %s", pid)
	}
	require.Eventually(t, func() bool { return len(r.processes()) == 0 }, time.Minute, 50*time.Millisecond, "processes of the folder")
	_, err := http.Get(r.homeserver + "/_matrix/client/versions")
	require.Error(t, err, "the homeserver is gone")
}

// processes are those that run and name the testbed's folder.
func (r running) processes() []string {
	var found []string
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range all {
		words, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(words), r.folder+"/mosaic-matrix-") && isRunning(filepath.Base(filepath.Dir(file))) {
			found = append(found, strings.ReplaceAll(string(words), "\x00", " "))
		}
	}
	return found
}

func isRunning(pid string) bool {
	status, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(status), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func TestNothingIsLeftAfterTheTestbedIsKilled(t *testing.T) {
	t.Parallel()
	r := start(t)
	require.NoError(t, r.testbed.Process.Signal(syscall.SIGKILL))
	_ = r.testbed.Wait()
	r.requireNothingLeft(t)
}

func TestNothingIsLeftAfterCtrlC(t *testing.T) {
	t.Parallel()
	r := start(t)
	require.NoError(t, r.testbed.Process.Signal(syscall.SIGINT))
	require.Error(t, r.testbed.Wait())
	r.requireNothingLeft(t)
}
