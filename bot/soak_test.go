package bot

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
)

// ownHomeserver is one that a test may restart; it becomes that of all localtest gives out.
type ownHomeserver struct {
	t       *testing.T
	dir     string
	options local.HomeserverOptions
	running local.Homeserver
}

func newOwnHomeserver(t *testing.T) *ownHomeserver {
	t.Helper()
	module, err := local.FindUpwards(filepath.Join("deploy", "homeserver", "go.mod"))
	require.NoError(t, err)
	h := &ownHomeserver{t: t, dir: t.TempDir(), options: local.HomeserverOptions{
		Volatile: true, Binaries: filepath.Join(filepath.Dir(module), "..", "..", local.StateFolder, "bin"),
	}}
	h.start()
	t.Cleanup(func() { h.running.Stop() })
	t.Setenv("MOSAIC_TEST_HOMESERVER", h.running.URL())
	t.Setenv("MOSAIC_TEST_HOMESERVER_SECRET", h.running.SharedSecret())
	return h
}

func (h *ownHomeserver) start() {
	h.t.Helper()
	running, err := local.StartHomeserver(h.t.Context(), os.Getenv("MOSAIC_TEST_SERVER"), h.dir, h.options)
	require.NoError(h.t, err)
	h.running = running
}

// restart loses what the homeserver remembers only in memory, such as transaction IDs. It lets syncs under way end first: a Dendrite that
// stops in the middle of one answers with a token beyond events it leaves out, and the client never sees them.
func (h *ownHomeserver) restart() {
	h.t.Helper()
	time.Sleep(time.Second)
	h.running.Stop()
	h.start()
}

// One effect and one answer, always: the process is killed at each step in turn, and the homeserver restarted before it comes back.
func TestKilledAtEveryStepWithTheHomeserverRestartedACommandHasOneEffectAndOneReply(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv("SOAK"))
	if err != nil {
		t.Skip("this takes long; `make soak` runs it")
	}
	homeserver := newOwnHomeserver(t)
	b := setup(t)
	running := b.process(t)
	b.talk(t)
	done := 0
	for round := range rounds {
		began := time.Now()
		for _, point := range []string{
			"sync.decrypted", "sync.journalled", "command.prepared", "gateway.answered", "reply.queued", "send.encrypted", "send.answered", "event.read", "event.queued",
		} {
			b.answered(t, b.say(t, "!mosaic status"), "") // it runs and has dealt with the last
			b.quiet(t)
			terminate(t, running)
			armed := b.process(t, faultVariable+"="+point+"@"+filepath.Join(t.TempDir(), "fired"))
			asked := b.say(t, "!mosaic dispatch coder \"killed at "+point+"\"")
			requireKilled(t, armed, point)
			homeserver.restart()
			running = b.process(t)
			done++
			b.answered(t, asked, "D-"+strconv.Itoa(done))
			b.signed(t, asked, "✅")
			b.fleet.run(t)
			b.answered(t, asked, "all green")
			b.quiet(t)
			require.Len(t, b.replies(asked), 3, "%s: the answer, running and done", point)
			require.Equal(t, []string{"✅"}, b.signs(asked), point)
			requireOnce(t, b.ada.Seen(), id.UserID(b.options.UserID))
		}
		t.Logf("round %d of %d: %s", round+1, rounds, time.Since(began).Round(time.Second))
	}
	require.Equal(t, rounds*9, b.count(t, `SELECT count(*) FROM journal WHERE call::jsonb ->> 'command' = 'dispatch' AND state = 'done'`))
}
