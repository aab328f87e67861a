package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
)

var messageType = event.EventMessage

// TestBadInputGetsOneClearSentenceAndChangesNothing types each mistake of an operator into a room.
func TestBadInputGetsOneClearSentenceAndChangesNothing(t *testing.T) {
	t.Parallel()
	f := setup(t, false)
	f.setBudget(500, time.Time{})
	before := f.window()
	for _, test := range []struct {
		typed string
		says  []string
	}{
		{"!mosaic dispach coder \"x\"", []string{"dispatch", "Did you mean"}},
		{"!mosaic budget stauts", []string{"budget status", "Did you mean"}},
		{"!mosaic dispatch coder \"x\" --estimat 4", []string{"--estimate", "Did you mean"}},
		{"!mosaic budget set --provider claude --limit many --unit credits --reset-at +2h", []string{"many", "40k"}},
		{"!mosaic budget set --provider claude --limit 500 --unit credits --reset-at someday", []string{"someday", "+5h"}},
		{"!mosaic budget set --provider claude --limit 500 --unit credits --reset-at \"2026-11-30 09:00 Mars/Olympus\"", []string{"Mars/Olympus"}},
		{"!mosaic budget set --provider claude --limit 500 --unit credits --reset-at 2020-01-01T00:00Z", []string{"past"}},
		{"!mosaic budget set --provider claude --limit 0 --unit credits --reset-at +2h", []string{"limit"}},
		{"!mosaic budget set --provider claude --limit -5 --unit credits --reset-at +2h", []string{"-5"}},
		{"!mosaic budget set --provider claude --limit 500 --unit tokens --reset-at +2h", []string{"tokens", "credits"}},
		{"!mosaic budget set --provider claude --limit 500 --unit bananas --reset-at +2h", []string{"bananas", "credits"}},
		{"!mosaic dispatch coder", []string{"brief"}},
		{"!mosaic dispatch coder \"x\" --model gpt-2", []string{"gpt-2", "opus"}},
		{"!mosaic show D-999", []string{"D-999"}},
		{"!mosaic cancel 12x", []string{"12x", "D-12"}},
		{"!mosaic board propose \"Do it\" --for D-1", []string{"not bound for the board", "!mosaic room bind board"}},
	} {
		command := f.say(f.budget, test.typed)
		reply, err := f.operator.WaitFor(t.Context(), client.From(f.bot), client.InThread(command), notice)
		require.NoError(t, err, test.typed)
		t.Logf("%s\n%s\n", test.typed, reply.Body)
		for _, word := range test.says {
			require.Contains(t, reply.Body, word, test.typed)
		}
		f.marked(command, "❌")
	}
	require.Empty(t, f.dispatches())
	after := f.window()
	require.Equal(t, before.LimitMicros, after.LimitMicros)
	require.Equal(t, before.ResetAt, after.ResetAt)
	require.Equal(t, before.Unit, after.Unit)
}
