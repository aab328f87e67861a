package bot

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// onlySign waits until exactly one sign of the bot stands on an event.
func (b *bench) onlySign(t *testing.T, on id.EventID, key string) {
	t.Helper()
	require.Eventually(t, func() bool { return slices.Equal(b.signs(on), []string{key}) }, patience, tick, "%s, not %v", key, b.signs(on))
}

func TestTheSignOfACommandFollowsItsDispatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	fails := b.say(t, `!mosaic dispatch coder "will fail"`)
	b.answered(t, fails, "D-1")
	b.onlySign(t, fails, "✅")
	claim := b.running(t)
	b.fleet.send(t, b.fleet.worker, register.CompleteDispatch("D-1", register.CompleteRequest{
		Claim: claim.ID, Outcome: register.CompleteRequestOutcomeFailed, Unmetered: "x", Result: register.Result{Summary: "it broke"},
	}), nil)
	b.answered(t, fails, "it broke")
	b.onlySign(t, fails, "❌")

	waits := b.say(t, `!mosaic dispatch coder "will wait"`)
	b.answered(t, waits, "D-2")
	b.onlySign(t, waits, "✅")
	b.answered(t, b.say(t, "!mosaic pause"), "paused")
	b.onlySign(t, waits, "⏸️")
	b.answered(t, b.say(t, "!mosaic resume --yes"), "The fleet runs")
	b.onlySign(t, waits, "✅")
	b.answered(t, b.say(t, "!mosaic cancel D-2"), "D-2 cancelled")
	b.unsigned(t, waits)
}

func TestUnderLimitsThereIsNoHourglass(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	release := make(chan struct{})
	b.gateway.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/dispatches") {
			<-release
		}
		return false
	})
	running.sender.pace.refused(time.Minute) // as a homeserver that says so
	slowly := b.say(t, `!mosaic dispatch coder "slow"`)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM journal WHERE event_id = $1 AND attempts = 1 AND now() - arrived_at > interval '3 s'`, slowly) == 1
	}, patience, tick, "it takes longer than the second after which the hourglass would show")
	close(release)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM journal WHERE event_id = $1 AND state = 'done'`, slowly) == 1
	}, patience, tick)
	require.Zero(t, b.count(t, `SELECT count(*) FROM outbox WHERE ref LIKE 'hourglass:%'`), "it would only delay the answer")
}
