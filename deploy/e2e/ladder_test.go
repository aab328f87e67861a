package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestTheLadderDowngradesThenQueuesThenRefusesAndSaysSo(t *testing.T) {
	t.Parallel()
	f := setup(t, false)
	_, reply := f.ask(f.budget, "!mosaic budget set --provider claude --limit 500 --unit credits --reset-at +2h")
	require.Contains(t, reply.Body, "starts now", "a window without --since begins now, and the reply says so")

	// b is 25 credits; half of it is for opus while cheaper tiers could take over.
	f.ask(f.fleet, `!mosaic dispatch coder "One" --estimate 10`)
	require.Equal(t, "opus", f.dispatches()[0].Model)

	_, reply = f.ask(f.fleet, `!mosaic dispatch coder "Two" --estimate 10`)
	require.Equal(t, "sonnet", f.dispatches()[1].Model)
	require.True(t, f.dispatches()[1].Downgraded)
	require.Contains(t, reply.Body, "sonnet")
	f.budgetSays("downgrade")

	command, reply := f.ask(f.fleet, `!mosaic dispatch coder "Three" --estimate 100`)
	three := f.dispatches()[2]
	require.Equal(t, register.DispatchStateQueued, three.State)
	require.WithinRange(t, three.PromisedStart, time.Now(), three.CreatedAt.Add(2*time.Hour))
	require.Contains(t, reply.Body, three.PromisedStart.UTC().Format("15:04"), "the reply promises a start")
	f.marked(command, "⏸️")
	f.budgetSays("queue")

	command, reply = f.ask(f.fleet, `!mosaic dispatch coder "Four" --estimate 100 --deadline +5m`)
	four := f.dispatches()[3]
	require.Equal(t, register.DispatchStateRefused, four.State)
	require.Empty(t, four.Holds)
	require.Contains(t, reply.Body, "board propose", "a refusal says what can be done now")
	f.marked(command, "❌")
	refusal, err := f.operator.WaitFor(t.Context(), client.In(f.budget), client.From(f.bot), rings(f.operator))
	require.NoError(t, err, "a refusal rings the operator")
	require.Contains(t, refusal.Body, "D-4")
	require.True(t, refusal.WasEncrypted)

	_, reply = f.ask(f.budget, "!mosaic budget explain D-4")
	for _, model := range []string{"opus", "sonnet", "haiku"} {
		require.Contains(t, reply.Body, model)
	}
	require.EqualValues(t, 16_000_000, f.window().ReservedMicros, "only what was admitted is held")
}

// budgetSays waits for a silent notice in #budget with this word in it.
func (f *fleet) budgetSays(word string) {
	f.t.Helper()
	seen, err := f.operator.WaitFor(f.t.Context(), client.In(f.budget), client.From(f.bot), client.Contains(word), func(s client.Seen) bool {
		return s.ThreadRoot == ""
	})
	require.NoError(f.t, err)
	require.True(f.t, notice(seen) || seen.EditOf != "", "a step is a silent notice")
	require.Empty(f.t, seen.Mentions)
}

func TestAQueuedDispatchStartsWhenItWasPromised(t *testing.T) {
	t.Parallel()
	f := setup(t, false)
	f.work(quick)
	f.ask(f.budget, "!mosaic budget set --provider claude --limit 500 --unit credits --reset-at +2h")
	// Even spread frees a credit every 14.4 s: 26 credits on haiku are a credit above b, so that the reply is read before it starts.
	command, _ := f.ask(f.fleet, `!mosaic dispatch coder "Wait a little" --estimate 130`)
	queued := f.dispatches()[0]
	require.Equal(t, register.DispatchStateQueued, queued.State)

	done := f.reaches(queued.ID, register.DispatchStateDone)
	require.Equal(t, "haiku", done.Model)
	require.WithinRange(t, done.StartedAt, queued.PromisedStart.Add(-50*time.Millisecond), queued.PromisedStart.Add(20*time.Second), "on a busy machine soon after")
	f.marked(command, "✅")
	_, err := f.operator.WaitFor(t.Context(), client.From(f.bot), client.InThread(command), rings(f.operator))
	require.NoError(t, err)
}
