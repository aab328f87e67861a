package local_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
)

// TestMain lets this test program play the parent that gets killed.
func TestMain(m *testing.M) {
	if os.Getenv("LOCAL_TEST_PARENT") != "" {
		playParent()
		return
	}
	os.Exit(m.Run())
}

// playParent starts a plain child and one with a grandchild, tells their numbers, and waits to be killed.
func playParent() {
	child, err := local.StartProcess(local.ProcessOptions{Name: "child", Path: "sleep", Args: []string{"300"}})
	if err != nil {
		panic(err)
	}
	family, err := local.StartProcess(local.ProcessOptions{
		Name: "family", Path: "sh", Args: []string{"-c", "trap '' TERM; sleep 300 & echo $!; wait; wait"}, Stdout: os.Stdout, Family: true,
	})
	if err != nil {
		panic(err)
	}
	// Threads come and go in a Go program; the children must not notice.
	for range 20 {
		go func() {
			runtime.LockOSThread()
			time.Sleep(time.Millisecond)
		}()
	}
	time.Sleep(50 * time.Millisecond)
	fmt.Println(child.PID())
	fmt.Println(family.PID())
	fmt.Println("ready")
	select {}
}

func TestNoChildOutlivesAKilledParent(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)
	parent := exec.Command(program)
	parent.Env = append(os.Environ(), "LOCAL_TEST_PARENT=1")
	output, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	var pids []int
	lines := bufio.NewScanner(output)
	for lines.Scan() && lines.Text() != "ready" {
		pid, err := strconv.Atoi(lines.Text())
		require.NoError(t, err)
		pids = append(pids, pid)
	}
	require.Len(t, pids, 3)
	for _, pid := range pids {
		require.True(t, alive(pid), "process %d runs before the parent is killed", pid)
	}

	require.NoError(t, parent.Process.Kill())
	_, _ = parent.Process.Wait()

	for _, pid := range pids {
		require.Eventually(t, func() bool { return !alive(pid) }, time.Minute, 20*time.Millisecond, "process %d", pid)
	}
}

// alive says whether a process runs; one that ended and waits to be reaped does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return runtime.GOOS != "linux"
	}
	_, rest, _ := strings.Cut(string(status), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func TestStopEndsAChildThatIgnoresTheStopSignal(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "child.log")
	child, err := local.StartProcess(local.ProcessOptions{
		Name: "stubborn", Path: "sh", Args: []string{"-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"}, LogFile: log,
		Patience: 200 * time.Millisecond,
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(read(t, log), "ready") }, time.Minute, 10*time.Millisecond)
	require.Equal(t, -1, child.ExitCode())

	child.Stop()

	require.False(t, alive(child.PID()))
	require.Equal(t, 128+int(syscall.SIGKILL), child.ExitCode())
	child.Stop()
}

func TestAChildThatEndsByItselfIsNoticed(t *testing.T) {
	t.Parallel()
	child, err := local.StartProcess(local.ProcessOptions{Name: "short", Path: "sh", Args: []string{"-c", "exit 7"}, Family: true})
	require.NoError(t, err)
	<-child.Done()
	require.Error(t, child.Err())
	require.Equal(t, 7, child.ExitCode())
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}
