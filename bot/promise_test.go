package bot

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAPromisedStartThatBarelyMovesEditsTheMessageThatToldItAndOneThatMovesFarIsNews(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	b.talk(t)
	asked := b.say(t, "!mosaic dispatch coder \"later\" --model haiku --exact --estimate 300credits")
	reply := b.answered(t, asked, "Promised start")
	b.quiet(t)
	for _, look := range []string{"!mosaic show D-1", "!mosaic budget explain D-1"} { // these are not what told it
		b.answered(t, b.say(t, look), "D-1")
	}
	b.quiet(t)
	d := b.fleet.listDispatches(t)[0]
	first, seq := d.PromisedStart, int64(1_000_000)
	at := first.Add(-10 * time.Minute)
	moves := func(by time.Duration, reason string) {
		seq++
		d.PromisedStart, d.Reason = first.Add(by), reason
		steps, err := running.planDispatch(t.Context(), register.Event{Seq: seq, Type: register.EventTypeDispatchQueued, Actor: byTime, At: at, Dispatch: d})
		require.NoError(t, err)
		for _, step := range steps {
			_, err := step(t.Context())
			require.NoError(t, err)
		}
		running.speaking.wake(b.room)
	}
	edited := func(message id.EventID, text string) {
		_, err := b.ada.WaitFor(soon(t), b.fromBot(), client.Edits(message), client.Contains(text))
		require.NoError(t, err)
	}
	moves(90*time.Second, "a first little move")
	edited(reply.EventID, "a first little move")
	require.Len(t, b.replies(asked), 1, "a little is no news")

	moves(150*time.Second, "more than two minutes in all")
	news := b.answered(t, asked, "more than two minutes in all")
	moves(180*time.Second, "a little beyond the news")
	edited(news.EventID, "a little beyond the news")
	require.Len(t, b.replies(asked), 2, "what counts is what was told last")

	first = first.Add(10 * time.Hour)
	moves(0, "ten hours later")
	far := b.answered(t, asked, "ten hours later")
	moves(20*time.Minute, "a twentieth of a long wait")
	edited(far.EventID, "a twentieth of a long wait")

	seq++
	steps, err := running.planDispatch(t.Context(), register.Event{Seq: seq, Type: register.EventTypeDispatchRunning, Actor: "coder-1", At: time.Now(), Dispatch: d})
	require.NoError(t, err)
	_, err = steps[0](t.Context())
	require.NoError(t, err)
	moves(0, "it waits again")
	b.answered(t, asked, "it waits again")
	require.Len(t, b.replies(asked), 5, "after it ran, that it waits again is news")
}
