package bot

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// clock is the system's, moved on.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) moveOn(by time.Duration) { c.ahead.Store(int64(by)) }

func TestACommandThatCouldNotBeBegunInTimeIsOfferedToItsAskerOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var clock clock
	b.options.Now = clock.now
	b.start(t)
	ben := b.talkOfThree(t)
	b.answered(t, b.say(t, "!mosaic status"), "")

	b.gateway.set(unavailable)
	asked := b.say(t, "!mosaic dispatch coder \"late\"")
	b.answered(t, asked, "Kept")
	clock.moveOn(11 * time.Minute)
	b.gateway.set(nil)
	require.Contains(t, b.answered(t, asked, "Not run").Body, "You asked for this 11 min ago")
	require.Equal(t, []string{"⌛"}, b.signed(t, asked, "⌛"))
	b.quiet(t)
	require.Empty(t, b.fleet.listDispatches(t))
	clock.moveOn(0)

	others, err := ben.Say(t.Context(), b.room, "!mosaic run K1")
	require.NoError(t, err)
	b.answered(t, others, "no K1 to offer you")
	taken := b.say(t, "!mosaic run K1")
	b.answered(t, taken, "D-1")
	b.answered(t, b.say(t, "!mosaic run k1"), "was taken already")
	b.answered(t, b.say(t, "!mosaic run K2"), "no K2 to offer you")
	b.quiet(t)
	require.Len(t, b.fleet.listDispatches(t), 1)
	require.Len(t, b.replies(taken), 1)
}

func TestACommandSaidLongBeforeTheBotCameBackIsOfferedAndAQuestionAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.leaves(t)
	asked := b.say(t, "!mosaic dispatch coder \"an hour ago\"")
	question := b.say(t, "!mosaic list")
	var clock clock
	clock.moveOn(time.Hour)
	b.options.Now = clock.now
	b.start(t)
	b.answered(t, asked, "60 min ago")
	b.answered(t, question, "No dispatch yet")
	require.Empty(t, b.fleet.listDispatches(t))
}

func TestWhatWasAttemptedOnceIsCarriedOutHoweverLate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var clock clock
	b.options.Now = clock.now
	b.start(t)
	b.talk(t)
	var attempts atomic.Int32
	b.gateway.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/dispatches") {
			return false
		}
		attempts.Add(1)
		cut()
		return true
	})
	asked := b.say(t, "!mosaic dispatch coder \"begun\"")
	require.Eventually(t, func() bool { return attempts.Load() > 0 }, patience, tick)
	clock.moveOn(time.Hour)
	b.gateway.set(nil)
	b.answered(t, asked, "D-1")
}

func TestAnEventGivenUpOnIsListedWithItsReasonAndCanBeReplayed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic replay"), "Only an admin")
	b.fleet.identify(t, "ada", b.ada.UserID.String(), register.FleetRoleOperator, register.FleetRoleAdmin)
	b.gateway.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/dispatches") {
			return false
		}
		_, _ = w.Write([]byte("no JSON"))
		return true
	})
	asked := b.say(t, "!mosaic dispatch coder \"poison\"")
	passing := b.say(t, "!mosaic status")
	b.answered(t, passing, "")
	b.answered(t, asked, "I do not know whether this was done")
	require.Equal(t, 1, running.Health(t.Context()).JournalAside)
	require.Contains(t, b.answered(t, b.say(t, "!mosaic replay"), "Set aside").Body, b.ada.UserID.String())

	b.gateway.set(nil)
	b.answered(t, b.say(t, "!mosaic replay E999999"), "is not set aside")
	var number string
	require.NoError(t, b.bots(t).QueryRow(t.Context(), `SELECT 'E' || seq FROM journal WHERE state = 'aside'`).Scan(&number))
	b.answered(t, b.say(t, "!mosaic replay "+number), "tried again")
	b.answered(t, asked, "D-1")
	require.Zero(t, running.Health(t.Context()).JournalAside)
	b.answered(t, b.say(t, "!mosaic replay"), "Nothing is set aside")
}

func TestACommandTakenBackWhileTheBotWasAwayIsDropped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.leaves(t)
	asked := b.say(t, "!mosaic dispatch coder \"oops\"")
	_, err := b.ada.Redact(t.Context(), b.room, asked, "")
	require.NoError(t, err)
	b.showsRemoved(t, asked)
	b.start(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	require.Empty(t, b.fleet.listDispatches(t))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM journal WHERE event_id = $1 AND state = 'dropped'`, asked), "it is no fault of anyone's")
}
