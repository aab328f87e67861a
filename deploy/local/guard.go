package local

import (
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
)

// guardScript ends a process group when standard input closes, which the kernel sees to however the writer died.
const guardScript = `read -r _; kill -TERM "-$1" 2>/dev/null || exit 0
for _ in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; kill -0 "-$1" 2>/dev/null || exit 0; done
kill -KILL "-$1" 2>/dev/null; exit 0`

// sweepScript removes a folder when standard input closes, again until those who still write to it have ended.
const sweepScript = `read -r _; for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
rm -rf -- "$1" 2>/dev/null; sleep 0.25; [ -e "$1" ] || exit 0; done`

// guard is a small shell that outlives this process just long enough to end a process group.
type guard struct {
	command *exec.Cmd
	pipe    io.WriteCloser
}

func startGuard(group int) (*guard, error) { return startWatch(guardScript, strconv.Itoa(group)) }

// SweepAtExit removes a temporary folder once this process has ended, however it ended.
func SweepAtExit(dir string) error {
	sweeper, err := startWatch(sweepScript, dir)
	if err != nil {
		return err
	}
	sweepers.Store(dir, sweeper)
	return nil
}

// sweepers keeps the pipes from being collected, which would close them.
var sweepers sync.Map

func startWatch(script, argument string) (*guard, error) {
	command := exec.Command("/bin/sh", "-c", script, "sh", argument)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("opening the guard's pipe: %w", err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting the guard: %w", err)
	}
	return &guard{command: command, pipe: pipe}, nil
}

// dismiss ends the guard before the group's number can belong to somebody else.
func (g *guard) dismiss() {
	if g == nil {
		return
	}
	_ = g.command.Process.Kill()
	_ = g.command.Wait()
	_ = g.pipe.Close()
}
