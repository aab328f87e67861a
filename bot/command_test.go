package bot

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

func TestACommandInAnEncryptedRoomIsAnsweredOnceInItsThread(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)

	asked := b.say(t, "!mosaic status")
	reply := b.answered(t, asked, "")
	require.Equal(t, event.MsgNotice, reply.MsgType, "a reply must not ring")
	require.True(t, reply.WasEncrypted)
	require.GreaterOrEqual(t, reply.Trust, id.TrustStateCrossSignedTOFU, "the bot's device must show as verified")
	require.Empty(t, reply.Mentions)
	require.Contains(t, reply.Content, "m.mentions", "mentions are always set explicitly")
	require.Equal(t, []string{"✅"}, b.signed(t, asked, "✅"))
	b.quiet(t)
	require.Len(t, b.replies(asked), 1)
	require.Equal(t, 2, b.count(t, `SELECT count(*) FROM outbox WHERE created_at > (SELECT arrived_at FROM journal WHERE event_id = $1)
		AND content LIKE '%' || $1 || '%'`, asked), "a quick command is answered by one message and one sign")
}

func TestACommandInAThreadIsAnsweredThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)

	root := b.say(t, "what shall we do?")
	asked, err := b.ada.ReplyInThread(t.Context(), b.room, root, "!mosaic status")
	require.NoError(t, err)
	reply := b.answered(t, root, "")
	require.Equal(t, "✅", b.signed(t, asked, "✅")[0])
	require.Equal(t, root, reply.ThreadRoot)
}

func TestARoomOfVersion12IsARoomLikeAnyOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	room, err := b.ada.CreateRoom(t.Context(), client.Room{Name: "twelve", Version: "12", Invite: []id.UserID{id.UserID(b.options.UserID), b.third(t)}})
	require.NoError(t, err)
	require.NotContains(t, room.String(), ":")
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, id.UserID(b.options.UserID)))
	b.room = room
	b.answered(t, b.say(t, "!mosaic dispatch coder \"twelve\""), "D-1")
}

func TestAQuotedReplyIsReadWithoutItsQuote(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)

	first := b.say(t, "hello")
	asked, err := b.ada.SayRaw(t.Context(), b.room, event.EventMessage, map[string]any{
		"msgtype": "m.text", "body": "> <" + b.ada.UserID.String() + "> hello\n\n!mosaic status",
		"m.relates_to": map[string]any{"m.in_reply_to": map[string]any{"event_id": first}},
	})
	require.NoError(t, err)
	b.answered(t, asked, "")
}

func TestADirectChatTakesPlainCommands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	room, err := b.ada.DirectChat(t.Context(), id.UserID(b.options.UserID))
	require.NoError(t, err)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, id.UserID(b.options.UserID)))
	b.room = room
	b.answered(t, b.say(t, "status"), "")
}

func TestWhatIsNoCommandIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)

	idle := b.say(t, "good morning")
	echoed, err := b.ada.SayRaw(t.Context(), b.room, event.EventMessage, map[string]any{"msgtype": "m.notice", "body": "!mosaic status"})
	require.NoError(t, err)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	for _, untouched := range []id.EventID{idle, echoed} {
		require.Empty(t, b.replies(untouched))
		require.Empty(t, b.signs(untouched))
	}
}

func TestAStrangerGetsOneLineOnceAndNothingElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	mallory := localtest.Person(t, "Mallory")
	b.meets(t, mallory)

	first, err := mallory.Say(t.Context(), b.room, "!mosaic dispatch coder \"mine gold\"")
	require.NoError(t, err)
	b.answered(t, first, "do not know you")
	second, err := mallory.Say(t.Context(), b.room, "!mosaic status")
	require.NoError(t, err)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	require.Len(t, b.replies(first), 1)
	require.Empty(t, b.replies(second))
	require.Empty(t, append(b.signs(first), b.signs(second)...), "no acknowledgement before authorisation")
	require.Empty(t, b.fleet.listDispatches(t))
}

func TestAnEditedCommandDoesNotRunAgainAndTheReplySaysSoOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)

	asked := b.say(t, "!mosaic dispatch coder \"write a poem\"")
	b.answered(t, asked, "D-1")
	for _, text := range []string{"!mosaic dispatch coder \"write a novel\"", "!mosaic dispatch coder \"write a saga\""} {
		_, err := b.ada.Edit(t.Context(), b.room, asked, text)
		require.NoError(t, err)
	}
	b.answered(t, asked, "An edit does not run")
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	require.Len(t, b.replies(asked), 2)
	require.Len(t, b.fleet.listDispatches(t), 1)
}

func TestACommandTakenBackBeforeItRanIsDropped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")

	b.gateway.set(unavailable)
	asked := b.say(t, "!mosaic dispatch coder \"oops\"")
	b.answered(t, asked, "Kept")
	_, err := b.ada.Redact(t.Context(), b.room, asked, "")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.count(t, `SELECT count(*) FROM journal WHERE redacts = $1`, asked) == 1 }, patience, tick)
	b.gateway.set(nil)
	b.answered(t, b.say(t, "!mosaic status"), "")
	require.Empty(t, b.fleet.listDispatches(t))
}

func TestWithTheGatewayDownACommandIsKeptToldOnceAndRunOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "") // now the bot knows ada

	b.gateway.set(unavailable)
	first := b.say(t, "!mosaic dispatch coder \"one\"")
	second := b.say(t, "!mosaic dispatch coder \"two\"")
	b.answered(t, first, "Kept")
	b.answered(t, second, "Kept")
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT coalesce(max(extract(epoch FROM retry_at - arrived_at)), 0)::int FROM journal WHERE event_id = $1`, first) >= 2
	}, patience, tick, "it must be tried again")
	b.gateway.set(nil)
	b.answered(t, first, "D-1")
	b.answered(t, second, "D-2")
	b.quiet(t)
	require.Len(t, b.replies(first), 2, "told once, then answered")
	require.Len(t, b.replies(second), 2)
	require.Len(t, b.fleet.listDispatches(t), 2)
	require.Equal(t, []string{"✅"}, b.signed(t, first, "✅"))
}

func TestAStrangerIsNotToldThatTheGatewayIsDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	mallory := localtest.Person(t, "Mallory")
	b.meets(t, mallory)
	b.answered(t, b.say(t, "!mosaic status"), "")

	b.gateway.set(unavailable)
	strange, err := mallory.Say(t.Context(), b.room, "!mosaic status")
	require.NoError(t, err)
	b.answered(t, b.say(t, "!mosaic status"), "Kept")
	require.Empty(t, b.replies(strange))
	b.gateway.set(nil)
	b.answered(t, strange, "do not know you")
}

func TestTheHourglassShowsOnlyWhileACommandIsSlow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)

	quick := b.say(t, "!mosaic dispatch coder \"quick\"")
	b.answered(t, quick, "D-1")
	release := make(chan struct{})
	b.gateway.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/dispatches") {
			<-release
		}
		return false
	})
	slowly := b.say(t, "!mosaic dispatch coder \"slow\"")
	b.signed(t, slowly, "⏳")
	close(release)
	b.answered(t, slowly, "D-2")
	require.Eventually(t, func() bool { return len(b.signs(slowly)) == 1 && b.signs(slowly)[0] == "✅" }, patience, tick)
	for _, seen := range b.ada.Seen() {
		require.False(t, seen.ReactionTo == quick && seen.Reaction == "⏳", "a quick command must show no hourglass")
	}
}

func TestTheSameSyncTwiceRunsACommandOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var repeated atomic.Int64
	b.homeserver.set(repeatSyncs(b.homeserver, &repeated))
	b.start(t)
	b.talk(t)

	asked := b.say(t, "!mosaic dispatch coder \"once\"")
	b.answered(t, asked, "D-1")
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	require.Greater(t, repeated.Load(), int64(2))
	require.Len(t, b.replies(asked), 1)
	require.Len(t, b.fleet.listDispatches(t), 1)
}

func TestWhatWasSaidBeforeTheBotJoinedIsHistory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	room, err := b.ada.CreateRoom(t.Context(), client.Room{Name: "ops", Invite: []id.UserID{b.third(t)}})
	require.NoError(t, err)
	b.room = room
	before := b.say(t, "!mosaic status")
	require.NoError(t, b.ada.Invite(t.Context(), room, id.UserID(b.options.UserID)))
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, id.UserID(b.options.UserID)))
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	require.Empty(t, b.replies(before))
}

func TestBehindAGapOf500EventsAllCommandsRunInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	away := b.process(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	require.NoError(t, away.Process.Kill())
	_, _ = away.Process.Wait()

	var asked []id.EventID
	for range 4 {
		asked = append(asked, b.say(t, "!mosaic dispatch coder \"work\""))
		for range 125 {
			b.say(t, "chatter")
		}
	}
	b.start(t)
	for i, event := range asked {
		b.answered(t, event, "D-"+string(rune('1'+i)))
	}
	require.Len(t, b.fleet.listDispatches(t), 4)
}

func unavailable(w http.ResponseWriter, _ *http.Request) bool {
	w.WriteHeader(http.StatusServiceUnavailable)
	return true
}

// quiet waits until the bot has nothing left to do and ada has seen it all.
func (b *bench) quiet(t *testing.T) {
	t.Helper()
	database := b.bots(t)
	require.Eventually(t, func() bool {
		var open int
		err := database.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM journal WHERE state IN ('new', 'waiting', 'prepared'))
			+ (SELECT count(*) FROM outbox WHERE state IN ('queued', 'sending'))`).Scan(&open)
		return err == nil && open == 0
	}, patience, tick)
	var last id.EventID
	err := database.QueryRow(t.Context(), `SELECT event_id FROM outbox WHERE state = 'sent' AND room_id = $1 ORDER BY sent_at DESC LIMIT 1`, b.room).Scan(&last)
	require.NoError(t, err)
	_, err = b.ada.WaitFor(soon(t), client.Is(last))
	require.NoError(t, err)
	time.Sleep(100 * time.Millisecond) // what should not come cannot be waited for
}

// signed waits until the bot's signs on an event include key.
func (b *bench) signed(t *testing.T, on id.EventID, key string) []string {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(strings.Join(b.signs(on), ""), key) }, patience, tick)
	return b.signs(on)
}
