package bot

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// running has a worker take the only ready dispatch.
func (b *bench) running(t *testing.T) register.Claim {
	t.Helper()
	var claim register.Claim
	b.fleet.send(t, b.fleet.worker, register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}), &claim)
	require.NotEmpty(t, claim.ID)
	return claim
}

func (b *bench) stateOf(t *testing.T, dispatch string) register.DispatchState {
	t.Helper()
	d, err := b.fleet.admin.Dispatch(t.Context(), register.By{}, dispatch)
	require.NoError(t, err)
	return d.State
}

// talkOfThree has ada and a second operator in the room.
func (b *bench) talkOfThree(t *testing.T) *client.Client {
	t.Helper()
	ben := localtest.Person(t, "Ben")
	b.talkWith(t, ben)
	return ben
}

// talkWith makes somebody an operator and has ada take them and the bot into a room.
func (b *bench) talkWith(t *testing.T, ben *client.Client) {
	t.Helper()
	b.fleet.identify(t, "ben", ben.UserID.String(), register.FleetRoleOperator)
	b.meets(t, ben)
}

func TestRunningWorkIsCancelledOnlyAfterItsAskerConfirmsAndOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	ben := b.talkOfThree(t)
	b.answered(t, b.say(t, `!mosaic dispatch coder "long work"`), "D-1")
	b.running(t)

	asked := b.say(t, "!mosaic cancel D-1 wrong branch")
	prompt := b.answered(t, asked, "Cancel D-1, which is running")
	require.Contains(t, prompt.Body, "!mosaic confirm C1")
	require.Equal(t, event.MsgText, prompt.MsgType, "a question wakes whoever asked")
	require.Equal(t, []id.UserID{b.ada.UserID}, prompt.Mentions)

	others, err := ben.Say(t.Context(), b.room, "!mosaic confirm C1")
	require.NoError(t, err)
	b.answered(t, others, "asked you nothing as C1")
	_, err = ben.React(t.Context(), b.room, prompt.EventID, "✅")
	require.NoError(t, err)
	b.answered(t, b.say(t, "!mosaic confirm C2"), "asked you nothing as C2")
	require.Equal(t, register.DispatchStateRunning, b.stateOf(t, "D-1"), "only whoever was asked can confirm")

	yes := b.say(t, "!mosaic confirm C1")
	b.answered(t, yes, "D-1 cancelled")
	require.Equal(t, []string{"✅"}, b.signed(t, yes, "✅"))
	b.answered(t, b.say(t, "!mosaic confirm C1"), "was confirmed already")
	require.Equal(t, register.DispatchStateCancelled, b.stateOf(t, "D-1"))
}

func TestAQuestionIsNotAnsweredAfterItsTimeNorAfterANo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var clock clock
	b.options.Now = clock.now
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic pause"), "paused")

	asked := b.say(t, "!mosaic resume")
	b.answered(t, asked, "Let the fleet run again?")
	clock.moveOn(questionAge + time.Minute)
	b.answered(t, b.say(t, "!mosaic confirm C1"), "more than 5 min ago")

	again := b.say(t, "!mosaic resume")
	prompt := b.answered(t, again, "confirm C2")
	_, err := b.ada.React(t.Context(), b.room, prompt.EventID, "❌")
	require.NoError(t, err)
	b.signed(t, again, "❌")
	b.answered(t, b.say(t, "!mosaic confirm C2"), "You said no to C2")
	pause, err := b.fleet.admin.Pause(t.Context(), register.By{})
	require.NoError(t, err)
	require.True(t, pause.Paused)

	b.answered(t, b.say(t, "!mosaic resume --yes"), "The fleet runs")
}

func TestAReactionCannotConfirmWhatLoosens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic pause"), "paused")
	asked := b.say(t, "!mosaic resume")
	prompt := b.answered(t, asked, "confirm C1")
	require.NotContains(t, prompt.Body, "react ✅")
	_, err := b.ada.React(t.Context(), b.room, prompt.EventID, "✅")
	require.NoError(t, err)
	b.answered(t, asked, "A reaction cannot confirm this")
	pause, err := b.fleet.admin.Pause(t.Context(), register.By{})
	require.NoError(t, err)
	require.True(t, pause.Paused)
	b.answered(t, b.say(t, "!mosaic confirm C1"), "The fleet runs")
}

func TestAStopSignCancelsWhatWaitsAndAsksAboutWhatRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	waiting := b.say(t, `!mosaic dispatch coder "waits"`)
	b.answered(t, waiting, "D-1")
	_, err := b.ada.React(t.Context(), b.room, waiting, "🛑")
	require.NoError(t, err)
	b.answered(t, waiting, "D-1 cancelled")
	require.Equal(t, register.DispatchStateCancelled, b.stateOf(t, "D-1"))

	asked := b.say(t, `!mosaic dispatch coder "runs"`)
	b.answered(t, asked, "D-2")
	b.running(t)
	told := b.answered(t, asked, "running")
	_, err = b.ada.React(t.Context(), b.room, told.EventID, "🛑")
	require.NoError(t, err)
	prompt := b.answered(t, asked, "Cancel D-2, which is running")
	require.Equal(t, register.DispatchStateRunning, b.stateOf(t, "D-2"))
	_, err = b.ada.React(t.Context(), b.room, prompt.EventID, "👍🏽")
	require.NoError(t, err)
	b.answered(t, asked, "D-2 cancelled")
	require.Equal(t, register.DispatchStateCancelled, b.stateOf(t, "D-2"))
	require.Empty(t, b.signs(told.EventID))
}

func TestAStopSignOfSomeoneWhoMayNotCancelStopsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	vera := localtest.Person(t, "Vera")
	b.fleet.identify(t, "vera", vera.UserID.String(), register.FleetRoleViewer)
	mallory := localtest.Person(t, "Mallory")
	b.meets(t, vera, mallory)
	asked := b.say(t, `!mosaic dispatch coder "stays"`)
	b.answered(t, asked, "D-1")
	_, err := vera.React(t.Context(), b.room, asked, "🛑")
	require.NoError(t, err)
	b.answered(t, asked, "vera may not cancel work")
	_, err = mallory.React(t.Context(), b.room, asked, "🛑")
	require.NoError(t, err)
	b.answered(t, asked, "do not know you")
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	require.Equal(t, register.DispatchStateReady, b.stateOf(t, "D-1"))
}

func TestInItsThreadADispatchIsCancelledByAWord(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	asked := b.say(t, `!mosaic dispatch coder "waits"`)
	b.answered(t, asked, "D-1")
	_, err := b.ada.ReplyInThread(t.Context(), b.room, asked, "cancel that plan of yours")
	require.NoError(t, err)
	_, err = b.ada.ReplyInThread(t.Context(), b.room, asked, "Cancel.")
	require.NoError(t, err)
	b.answered(t, asked, "D-1 cancelled")
	b.quiet(t)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM journal WHERE call LIKE '%cancel%'`), "talk is no command")
}

// admins makes ada one.
func (b *bench) adaIsAdmin(t *testing.T) {
	t.Helper()
	b.fleet.identify(t, "ada", b.ada.UserID.String(), register.FleetRoleAdmin)
}

func (b *bench) overrides(t *testing.T) int {
	t.Helper()
	list, err := b.fleet.admin.Overrides(t.Context(), register.By{}, true, "")
	require.NoError(t, err)
	return len(list.Overrides)
}

func TestAnOverrideIsAskedBackBeforeItSpends(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var clock clock
	b.options.Now = clock.now
	b.adaIsAdmin(t)
	b.start(t)
	ben := b.talkOfThree(t)
	b.answered(t, b.say(t, "!mosaic budget set --provider claude --limit 500 --unit credits --reset-at +5h"), "500 credits")

	const line = `!mosaic budget override claude 40 --cycles 2 --reason "the audit"`
	asked := b.say(t, line)
	prompt := b.answered(t, asked, "Grant 40 credits more pace on claude, for 2 cycles?")
	require.Contains(t, prompt.Body, "of 500 credits used")
	require.Contains(t, prompt.Body, "Why: the audit")
	require.Contains(t, prompt.Body, "!mosaic confirm C1")
	require.NotContains(t, prompt.Body, "react ✅", "a sign nobody signed cannot spend")
	require.Equal(t, event.MsgText, prompt.MsgType)
	require.Equal(t, []id.UserID{b.ada.UserID}, prompt.Mentions)

	_, err := b.ada.React(t.Context(), b.room, prompt.EventID, "✅")
	require.NoError(t, err)
	b.answered(t, asked, "A reaction cannot confirm this")
	others, err := ben.Say(t.Context(), b.room, "!mosaic confirm C1")
	require.NoError(t, err)
	b.answered(t, others, "asked you nothing as C1")
	require.Zero(t, b.overrides(t), "only whoever was asked can confirm, and by a signed word")

	b.answered(t, b.say(t, "!mosaic confirm C1"), "O-1: 40 credits more pace on claude, for 2 cycles")
	b.answered(t, b.say(t, "!mosaic confirm C1"), "was confirmed already")
	require.Equal(t, 1, b.overrides(t))

	b.answered(t, b.say(t, line), "confirm C2")
	clock.moveOn(questionAge + time.Minute)
	b.answered(t, b.say(t, "!mosaic confirm C2"), "more than 5 min ago")
	require.Equal(t, 1, b.overrides(t), "silence grants nothing")

	b.answered(t, b.say(t, line+" --yes"), "O-2: 40 credits more pace on claude")
	require.Equal(t, 2, b.overrides(t))
}

func TestWhatSomeoneMayNotDoIsRefusedAtOnceAndNotAskedBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.adaIsAdmin(t)
	b.start(t)
	ben := b.talkOfThree(t)
	b.answered(t, b.say(t, "!mosaic budget set --provider claude --limit 500 --unit credits --reset-at +5h"), "500 credits")
	asked, err := ben.Say(t.Context(), b.room, `!mosaic budget override claude 40 --reason "mine"`)
	require.NoError(t, err)
	b.answered(t, asked, "that takes the role admin")
	b.answered(t, b.say(t, `!mosaic budget override codex 40 --reason "x"`), "There is no budget window main of codex")
	require.Zero(t, b.count(t, `SELECT count(*) FROM question`))
	require.Zero(t, b.overrides(t))
}

func TestCancellingInTheThreadOfADispatchIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	for i, cancel := range []func(asked id.EventID) (id.EventID, error){
		func(asked id.EventID) (id.EventID, error) { return b.ada.React(t.Context(), b.room, asked, "🛑") },
		func(asked id.EventID) (id.EventID, error) {
			return b.ada.ReplyInThread(t.Context(), b.room, asked, "cancel")
		},
		func(asked id.EventID) (id.EventID, error) {
			return b.ada.ReplyInThread(t.Context(), b.room, asked, "!mosaic cancel because it is late")
		},
	} {
		dispatch := fmt.Sprintf("D-%d", i+1)
		asked := b.say(t, `!mosaic dispatch coder "waits"`)
		b.answered(t, asked, dispatch)
		b.signed(t, asked, "✅")
		_, err := cancel(asked)
		require.NoError(t, err)
		b.answered(t, asked, dispatch+" cancelled")
		b.unsigned(t, asked) // in the transaction that would have told it again
		b.quiet(t)
		require.Len(t, b.replies(asked), 2, "the answer to the dispatch, and the one to its cancelling")
	}

	asked := b.say(t, `!mosaic dispatch coder "waits"`)
	b.answered(t, asked, "D-4")
	elsewhere := b.say(t, "!mosaic cancel D-4")
	b.answered(t, elsewhere, "D-4 cancelled")
	b.answered(t, asked, "D-4 cancelled")
}

// unsigned waits until nothing of the bot stands on an event.
func (b *bench) unsigned(t *testing.T, on id.EventID) {
	t.Helper()
	require.Eventually(t, func() bool { return len(b.signs(on)) == 0 }, patience, tick)
}
