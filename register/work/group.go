//go:build unix

package work

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// ending is how a command ended.
type ending struct {
	// err is nil after exit code 0, an *exec.ExitError after another end, or why the command did not start.
	err error
	// stopped is why the command was told to stop before it ended by itself; nil if it was not.
	stopped error
}

// drain is how long output may still come from what has left the group.
const drain = time.Second

// runGroup runs a command to its end in a process group of its own and copies what the group prints to output. When ctx ends
// the group gets TERM, and KILL after the grace period. What the command leaves running in its group ends with it.
func runGroup(ctx context.Context, command *exec.Cmd, output io.Writer, grace time.Duration) ending {
	// The parent death signal fires when the thread that started the child ends, so it is held until the child has ended.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	reading, writing, err := os.Pipe()
	if err != nil {
		return ending{err: fmt.Errorf("making a pipe for the output: %w", err)}
	}
	defer reading.Close()
	var killAt time.Time
	command.Stdout, command.Stderr, command.SysProcAttr, command.WaitDelay = writing, writing, attributes(), grace
	command.Cancel = func() error {
		killAt = time.Now().Add(grace)
		return syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
	}
	err = command.Start()
	_ = writing.Close()
	if err != nil {
		return ending{err: err, stopped: context.Cause(ctx)}
	}
	dismiss := guard(ctx, command.Process.Pid)
	defer dismiss()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(output, reading)
	}()
	err = command.Wait()
	if command.ProcessState.Success() {
		err = nil // Wait reports the end of ctx also when the command then ended well
	}
	// Closed output is how the rest of the group shows that it has ended.
	within(copied, time.Until(killAt))
	_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
	if !within(copied, drain) {
		_ = reading.SetReadDeadline(time.Now())
		<-copied
	}
	if killAt.IsZero() {
		return ending{err: err}
	}
	return ending{err: err, stopped: context.Cause(ctx)}
}

func within(done <-chan struct{}, limit time.Duration) bool {
	select {
	case <-done:
		return true
	case <-time.After(max(0, limit)):
		return false
	}
}

// guard starts a small shell that kills the group when this worker ends, however it ends: its standard input closes then.
func guard(ctx context.Context, group int) (dismiss func()) {
	shell := exec.Command("/bin/sh", "-c", `read -r _; kill -s KILL -- "-$1"`, "sh", strconv.Itoa(group))
	shell.Env = []string{}
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := shell.StdinPipe()
	if err == nil {
		err = shell.Start()
	}
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("no guard: what the command starts can outlive a worker that is killed")
		return func() {}
	}
	return func() {
		_ = shell.Process.Kill()
		_ = shell.Wait()
		_ = pipe.Close()
	}
}
