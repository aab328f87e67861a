package bot

import (
	"os"
	"strings"
	"syscall"
)

// faultVariable names the point at which the process kills itself, so that tests can show what survives: `point`, or
// `point@file`, which fires only while file does not exist and creates it, so that a supervisor's restart runs on.
//
// The points, in the order a command passes them: sync.decrypted (inside the transaction), sync.journalled,
// command.prepared, gateway.answered, reply.queued, send.encrypted, send.answered; and for the fleet's events
// event.read, event.queued; and for the access token token.answered.
const faultVariable = "MOSAIC_FAULT"

// fault kills the own process, as kill -9 would, if the environment asks for it at this point.
func fault(point string) {
	asked, marker, once := strings.Cut(os.Getenv(faultVariable), "@")
	if asked != point {
		return
	}
	if once {
		file, err := os.OpenFile(marker, os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return
		}
		file.Close()
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
