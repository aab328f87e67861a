package local

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

const kernelEndsOrphans = true

func childAttributes(options ProcessOptions) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: options.OrphanSignal}
	if options.Account != nil {
		attributes.Credential = &syscall.Credential{Uid: options.Account.UID, Gid: options.Account.GID}
	}
	return attributes
}

// startOnLastingThread forks from one thread that lives as long as this process. The parent death signal fires when the
// creating thread ends, not when its process does, and Go ends threads as it sees fit.
func startOnLastingThread(command *exec.Cmd) error {
	result := make(chan error)
	lastingThread() <- func() { result <- command.Start() }
	return <-result
}

var lastingThread = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range work {
			start()
		}
	}()
	return work
})
