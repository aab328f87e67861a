//go:build unix

package work

import (
	"os/exec"
	"syscall"
)

func startAndWait(command *exec.Cmd, started func(error)) error {
	err := command.Start()
	started(err)
	if err != nil {
		return err
	}
	err = command.Wait()
	// What the child left running in its group ends with it.
	_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
	return err
}

// terminate asks the whole group to stop; KILL follows after the grace period.
func terminate(command *exec.Cmd) error {
	return syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
}
