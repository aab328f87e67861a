//go:build unix && !linux

package work

import (
	"os/exec"
	"syscall"
)

// spawn runs the command to its end in a process group of its own.
func spawn(command *exec.Cmd, started func(error)) error {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return startAndWait(command, started)
}
