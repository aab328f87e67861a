package bot

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
)

// limitedPatience is how long a backlog may take at one message in five seconds.
const limitedPatience = 4 * time.Minute

// settled waits until the bot has said all it has to say, however slowly.
func (b *bench) settled(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM outbox WHERE state IN ('queued', 'sending')`) == 0
	}, limitedPatience, time.Second)
}

// Stock Synapse takes ten messages at once and then one in five seconds, for everything the bot says in all rooms.
func TestUnderStockLimitsAFleetIsAnsweredAtOnceRungInTimeAndNothingIsLost(t *testing.T) {
	if os.Getenv("MOSAIC_TEST_LIMITS") != "stock" {
		t.Skip("the homeserver has no limits; `make test-synapse` runs this")
	}
	b := setup(t)
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.settled(t)
	time.Sleep(20 * time.Second) // the burst is earned again in part

	const many = 5
	began := time.Now()
	var asked []id.EventID
	for i := range many {
		asked = append(asked, b.say(t, fmt.Sprintf("!mosaic dispatch coder \"work %d\"", i)))
	}
	slowest := time.Duration(0)
	for i, event := range asked {
		b.answered(t, event, fmt.Sprintf("D-%d", i+1))
		slowest = max(slowest, time.Since(began))
	}
	t.Logf("%d commands were answered within %s", many, slowest.Round(10*time.Millisecond))
	require.Less(t, slowest, 25*time.Second, "answers do not wait for signs")

	b.fleet.run(t, "a quarter", "half way")
	finished := time.Now()
	b.answered(t, asked[0], "all green")
	t.Logf("the end of a run rang after %s", time.Since(finished).Round(10*time.Millisecond))
	require.Less(t, time.Since(finished), 20*time.Second, "what wakes someone waits for one message at most, not for the backlog")
	for range many - 1 {
		b.fleet.run(t, "a quarter", "half way")
	}
	finished = time.Now()
	for _, event := range asked {
		b.answered(t, event, "all green")
	}
	t.Logf("with no message to spare, %d ends rang within %s", many-1, time.Since(finished).Round(10*time.Millisecond))
	require.Less(t, time.Since(finished), 5*time.Second*(many+2), "what wakes someone goes before signs, notices and edits, and instead of stale news")
	b.settled(t)

	perCommand := map[id.EventID]int{}
	for _, seen := range b.ada.Seen() {
		if seen.Sender != id.UserID(b.options.UserID) {
			continue
		}
		perCommand[seen.ThreadRoot]++
		perCommand[seen.ReactionTo]++
	}
	for _, event := range asked {
		require.Equal(t, []string{"✅"}, b.signed(t, event, "✅"))
		require.LessOrEqual(t, perCommand[event], 2+2, "an answer and a sign; running unless its end was known before it was said, and the end")
	}
	requireOnce(t, b.ada.Seen(), id.UserID(b.options.UserID))
	for _, event := range asked {
		replies := b.replies(event)
		require.Contains(t, replies[len(replies)-1].Body, "all green", "nothing comes after the end")
	}
	require.Zero(t, b.count(t, `SELECT count(*) FROM outbox WHERE state = 'failed'`))
	require.Positive(t, b.count(t, `SELECT refusals FROM limits`), "the limits were met")
}

// requireOnce requires that nothing was said twice.
func requireOnce(t *testing.T, seen []client.Seen, bot id.UserID) {
	t.Helper()
	said := map[string]bool{}
	for _, one := range seen {
		if one.Sender != bot || one.Type != event.EventMessage.Type {
			continue
		}
		key := one.ThreadRoot.String() + one.EditOf.String() + one.Body
		require.False(t, said[key], "said twice: %s", one)
		said[key] = true
	}
}
