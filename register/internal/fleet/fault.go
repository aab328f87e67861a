package fleet

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// faultVariable names the point at which the process kills itself, so that tests can show what survives: `point`, or `point:n`, which
// fires when it is passed for the n-th time.
//
// The points: admission.reserved, when a group of admissions holds all it takes and nothing is committed; admission.committed, when it
// is committed and nobody is answered.
const faultVariable = "MOSAIC_GATEWAY_FAULT"

var passed atomic.Int64

// fault kills the own process, as kill -9 would, if the environment asks for it at this point.
func fault(point string) {
	asked, times, counted := strings.Cut(os.Getenv(faultVariable), ":")
	if asked != point {
		return
	}
	if at, err := strconv.ParseInt(times, 10, 64); counted && (err != nil || passed.Add(1) < at) {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
