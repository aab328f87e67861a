package work

import (
	"os/exec"
	"runtime"
	"syscall"
)

// spawn runs the command to its end in a process group of its own that cannot outlive this worker. The thread is held
// because the parent-death signal fires when the thread that started the child ends.
func spawn(command *exec.Cmd, started func(error)) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return startAndWait(command, started)
}
