//go:build !linux

package local

import (
	"os/exec"
	"syscall"
)

const kernelEndsOrphans = false

func childAttributes(options ProcessOptions) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if options.Account != nil {
		attributes.Credential = &syscall.Credential{Uid: options.Account.UID, Gid: options.Account.GID}
	}
	return attributes
}

func startOnLastingThread(command *exec.Cmd) error { return command.Start() }
