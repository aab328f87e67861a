package bot

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Killed at every step between hearing a command and knowing that its reply was sent, the bot does it once and answers once.
func TestKilledAtAnyPointACommandHasOneEffectAndOneReply(t *testing.T) {
	t.Parallel()
	setup(t).survives(t, "sync.decrypted", "sync.journalled", "command.prepared", "gateway.answered", "reply.queued", "send.encrypted", "send.answered")
}

// survives has the bot killed at each point in the course of a command, which all the same has one effect and one reply.
func (b *bench) survives(t *testing.T, points ...string) {
	t.Helper()
	running := b.process(t)
	b.talk(t)
	for i, point := range points {
		b.answered(t, b.say(t, "!mosaic status"), "") // it runs and has dealt with the last
		b.quiet(t)
		terminate(t, running)
		armed := b.process(t, faultVariable+"="+point+"@"+filepath.Join(t.TempDir(), "fired"))
		asked := b.say(t, "!mosaic dispatch coder \"killed at "+point+"\"")
		requireKilled(t, armed, point)
		running = b.process(t)
		b.answered(t, asked, "D-")
		b.signed(t, asked, "✅")
		b.quiet(t)
		require.Len(t, b.replies(asked), 1, point)
		require.Equal(t, []string{"✅"}, b.signs(asked), point)
		require.Len(t, b.fleet.listDispatches(t), i+1, point)
	}
}

// leaves has the bot talk with ada and stop when there is nothing left to do.
func (b *bench) leaves(t *testing.T) {
	t.Helper()
	running := b.process(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	terminate(t, running)
}

func TestKilledInTheMiddleOfAnEventItIsSaidOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.process(t)
	b.talk(t)
	for _, point := range []string{"event.read", "event.queued"} {
		asked := b.say(t, "!mosaic dispatch coder \"killed at "+point+"\"")
		b.answered(t, asked, "D-")
		b.quiet(t)
		terminate(t, running)
		armed := b.process(t, faultVariable+"="+point+"@"+filepath.Join(t.TempDir(), "fired"))
		b.fleet.run(t)
		requireKilled(t, armed, point)
		running = b.process(t)
		b.answered(t, asked, "all green")
		b.quiet(t)
		require.Len(t, b.replies(asked), 3, "%s: the reply, running and done", point)
	}
}

func TestAMessageWhoseAnswerWasLostIsNotSentTwice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	lost := b.losesTwoAnswers()
	b.answeredOnce(t)
	require.EqualValues(t, 2, lost.Load(), "a lost answer must be found in the room, not asked for by sending again")
}

// losesTwoAnswers takes the bot's next two messages and gives no answer.
func (b *bench) losesTwoAnswers() *atomic.Int32 {
	lost := new(atomic.Int32)
	b.homeserver.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if !sends(r) || lost.Add(1) > 2 {
			return false
		}
		b.homeserver.forward.ServeHTTP(httptest.NewRecorder(), r)
		cut()
		return true
	})
	return lost
}

// answeredOnce asks for the status and requires one answer and one sign.
func (b *bench) answeredOnce(t *testing.T) {
	t.Helper()
	asked := b.say(t, "!mosaic status")
	b.answered(t, asked, "")
	b.signed(t, asked, "✅")
	b.quiet(t)
	require.Len(t, b.replies(asked), 1)
	require.Len(t, b.signs(asked), 1)
}

func TestAMessageThatDidNotArriveIsSentAgainWithTheSameBytes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	var lost atomic.Int32
	b.homeserver.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if sends(r) && lost.Add(1) <= 2 {
			cut()
		}
		return false
	})
	asked := b.say(t, "!mosaic status")
	b.answered(t, asked, "")
	b.signed(t, asked, "✅")
	b.quiet(t)
	require.Len(t, b.replies(asked), 1)
	require.Greater(t, b.count(t, `SELECT count(*) FROM outbox WHERE attempts >= 2 AND state = 'sent'`), 0)
}

func TestARateLimitIsHonouredFromTheBody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	var first, next atomic.Int64
	b.homeserver.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !sends(r) {
			return false
		}
		now := time.Now().UnixMilli()
		if first.CompareAndSwap(0, now) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"errcode":"M_LIMIT_EXCEEDED","error":"slow down","retry_after_ms":1500}`))
			return true
		}
		next.CompareAndSwap(0, now)
		return false
	})
	asked := b.say(t, "!mosaic status")
	b.answered(t, asked, "")
	b.quiet(t)
	require.GreaterOrEqual(t, next.Load()-first.Load(), int64(1450), "nothing may be sent before the time the homeserver asked for")
	require.Len(t, b.replies(asked), 1)
}

func TestTheOutboxSurvivesAHomeserverThatIsAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	asked := b.say(t, "!mosaic dispatch coder \"through the dark\"")
	b.homeserver.set(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	time.AfterFunc(3*time.Second, func() { b.homeserver.set(nil) })
	b.answered(t, asked, "D-1")
	b.signed(t, asked, "✅")
	b.quiet(t)
	require.Len(t, b.replies(asked), 1)
}

func terminate(t *testing.T, process *exec.Cmd) {
	t.Helper()
	require.NoError(t, process.Process.Signal(syscall.SIGTERM))
	state, err := process.Process.Wait()
	require.NoError(t, err)
	require.Zero(t, state.ExitCode(), "a bot told to stop ends well")
}

func requireKilled(t *testing.T, process *exec.Cmd, point string) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- process.Wait() }()
	select {
	case <-ended:
	case <-time.After(patience):
		require.FailNow(t, "not killed", "the fault point %s was not reached", point)
	}
	status, ok := process.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok && status.Signaled() && status.Signal() == syscall.SIGKILL, "%s: %s", point, process.ProcessState)
}
