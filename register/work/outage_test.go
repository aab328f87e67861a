package work_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/work"
)

// lossy carries out every request whose path ends so, cuts the first answers, and remembers the keys.
type lossy struct {
	path string
	cut  int

	mutex sync.Mutex
	keys  []string
}

func (l *lossy) carry(w http.ResponseWriter, r *http.Request, forward http.HandlerFunc) {
	if !strings.HasSuffix(r.URL.Path, l.path) {
		forward(w, r)
		return
	}
	l.mutex.Lock()
	l.keys = append(l.keys, r.Header.Get("Idempotency-Key"))
	lost := len(l.keys) <= l.cut
	l.mutex.Unlock()
	if lost {
		forward(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	forward(w, r)
}

func (l *lossy) seen() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return append([]string(nil), l.keys...)
}

// hang gives no answer until the caller gives up, which a server notices once it has read the request.
func hang(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestALostAnswerToAClaimIsNotALostClaim(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	line := &lossy{path: "/claims", cut: 3}
	b.Break(line.carry)
	options := b.options(t, "true")
	options.Once = true
	require.NoError(t, start(t, options).ended(t))
	done := b.show(t, "D-1")
	require.Equal(t, register.DispatchStateDone, done.State)
	require.Equal(t, 1, done.Attempt)
	keys := line.seen()
	require.Len(t, keys, 4)
	for _, key := range keys {
		require.Equal(t, keys[0], key)
	}
}

func TestALostAnswerToACompletionIsReportedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, "Add a health check")
	line := &lossy{path: "/complete", cut: 2}
	b.Break(line.carry)
	options := b.options(t, result(spent4))
	options.Once = true
	require.NoError(t, start(t, options).ended(t))
	keys := line.seen()
	require.Len(t, keys, 3)
	require.Equal(t, keys[0], keys[2])
	require.Equal(t, int64(4_000_000), b.committed(t))
}

func TestARunOutlivesAGatewayThatIsRestarted(t *testing.T) {
	t.Parallel()
	b := open(t)
	b.start(t)
	b.people(t)
	b.budget(t)
	b.dispatch(t, "Add a health check")
	worker := b.work(t, `echo $$ > "$here/command"`+"\n"+waiting+result(spent4))
	command := worker.number(t, "command")
	b.gateway.Stop()
	worker.goOn(t)
	ends(t, command)
	b.start(t)
	done := b.reaches(t, "D-1", register.DispatchStateDone)
	require.Equal(t, 1, done.Attempt)
	require.Equal(t, int64(4_000_000), b.committed(t))
	b.dispatch(t, "Add another")
	b.reaches(t, "D-2", register.DispatchStateDone)
	require.Equal(t, int64(8_000_000), b.committed(t))
}

func TestAGatewayThatHangsHoldsNoReportUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	hanging := make(chan struct{}, 10)
	b.Break(func(w http.ResponseWriter, r *http.Request, forward http.HandlerFunc) {
		if strings.HasSuffix(r.URL.Path, "/heartbeat") {
			hanging <- struct{}{}
			hang(r)
			return
		}
		forward(w, r)
	})
	worker := b.work(t, waiting)
	select {
	case <-hanging:
	case <-time.After(patience):
		require.FailNow(t, "no heartbeat came")
	}
	worker.goOn(t)
	ended := time.Now()
	b.reaches(t, "D-1", register.DispatchStateDone)
	require.Less(t, time.Since(ended), time.Minute)
}

func TestAClaimOnAGatewayThatHangsIsRepeated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	var hung atomic.Bool
	b.Break(func(w http.ResponseWriter, r *http.Request, forward http.HandlerFunc) {
		if strings.HasSuffix(r.URL.Path, "/claims") && hung.CompareAndSwap(false, true) {
			hang(r)
			return
		}
		forward(w, r)
	})
	options := b.options(t, "true")
	options.TTL = 5 * time.Second
	start(t, options)
	b.reaches(t, "D-1", register.DispatchStateDone)
	require.True(t, hung.Load())
}

func TestAStoppedWorkerDoesNotWaitForAGatewayThatIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	options := b.options(t, family)
	options.Grace = time.Second
	worker := start(t, options)
	worker.familyRuns(t)
	b.Break(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	asked := time.Now()
	require.NoError(t, worker.stop(t))
	require.Less(t, time.Since(asked), time.Minute)
	worker.familyEnds(t)
}

func TestOnceSaysWhenNothingIsReady(t *testing.T) {
	t.Parallel()
	b := setup(t)
	options := b.options(t, "true")
	options.Once = true
	require.ErrorIs(t, start(t, options).ended(t), work.ErrNothingReady)
}

func TestOnceSaysWhenARunCouldNotBeReported(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	b.Break(func(w http.ResponseWriter, r *http.Request, forward http.HandlerFunc) {
		if strings.HasSuffix(r.URL.Path, "/complete") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		forward(w, r)
	})
	options := b.options(t, "true")
	options.Once = true
	require.ErrorContains(t, start(t, options).ended(t), "reporting D-1")
}
