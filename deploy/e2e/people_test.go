package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/system"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAStrangerGetsOnePoliteLineOnceAndCommandsNothing(t *testing.T) {
	t.Parallel()
	f := setup(t, false)
	f.setBudget(500, time.Now().Add(-time.Hour))
	stranger := localtest.Person(t, "stranger")
	// The bot made the room and only it may invite: the operator asks the homeserver as the room's moderator.
	require.NoError(t, f.operator.Invite(t.Context(), f.fleet, stranger.UserID))
	require.NoError(t, stranger.WaitUntilJoined(t.Context(), f.fleet, stranger.UserID))

	var asked []id.EventID
	for range 3 {
		event, err := stranger.Say(t.Context(), f.fleet, `!mosaic dispatch coder "Mine bitcoin"`)
		require.NoError(t, err)
		asked = append(asked, event)
	}
	f.settle(f.fleet)
	require.Empty(t, f.dispatches())
	var lines int
	for _, seen := range stranger.Seen() {
		if seen.Sender != f.bot || (seen.ThreadRoot == "" && seen.Reaction == "") {
			continue
		}
		for _, command := range asked {
			if seen.ThreadRoot == command || seen.ReactionTo == command {
				lines++
			}
		}
	}
	require.Equal(t, 1, lines)
}

func TestABoardMemberMayNotSpend(t *testing.T) {
	t.Parallel()
	f := setup(t, true)
	f.setBudget(500, time.Now().Add(-time.Hour))
	command, err := f.seats["ceo"].Say(t.Context(), f.board, `!mosaic dispatch coder "I am the CEO"`)
	require.NoError(t, err)
	_, err = f.seats["ceo"].WaitFor(t.Context(), client.From(f.bot), client.InThread(command), notice)
	require.NoError(t, err)
	require.Empty(t, f.dispatches())
}

func TestTheBotAnswersAMentionAndADirectChatWithoutPrefix(t *testing.T) {
	t.Parallel()
	f := setup(t, false)
	f.setBudget(500, time.Now().Add(-time.Hour))

	mention, err := f.operator.Mention(t.Context(), f.fleet, f.bot, "budget status")
	require.NoError(t, err)
	require.Contains(t, f.reply(mention).Body, "claude")

	direct, err := f.operator.DirectChat(t.Context(), f.bot)
	require.NoError(t, err)
	require.NoError(t, f.operator.WaitUntilJoined(t.Context(), direct, f.bot))
	_, reply := f.ask(direct, "budget status")
	require.Contains(t, reply.Body, "claude")
}

func TestTheBotWorksWithAnAccessTokenAndNoPassword(t *testing.T) {
	t.Parallel()
	f := setupWith(t, false, func(options *system.Options) {
		matrix, err := mautrix.NewClient(options.Homeserver, "", "")
		require.NoError(t, err)
		session, err := matrix.Login(t.Context(), &mautrix.ReqLogin{
			Type: mautrix.AuthTypePassword, Password: options.BotPassword,
			Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: options.BotID},
		})
		require.NoError(t, err)
		options.BotPassword, options.BotAccessToken = "", session.AccessToken
	})
	_, reply := f.ask(f.fleet, "!mosaic whoami")
	require.Contains(t, reply.Body, "operator")
	f.Process("bot").Kill9()
	require.NoError(t, f.StartBot(t.Context()))
	_, reply = f.ask(f.fleet, "!mosaic whoami")
	require.Contains(t, reply.Body, "operator")
}

func TestPhoneTypingParsesAsMeant(t *testing.T) {
	t.Parallel()
	f := setup(t, false)
	f.ask(f.budget, "!Mosaic\u00a0Budget set —provider claude limit=500 —unit credits —reset—at +2h")
	require.EqualValues(t, 500_000_000, f.window().LimitMicros)

	f.ask(f.fleet, "!mosaic Dispatch coder “Don’t touch the — dash” —estimate 4")
	require.Equal(t, "Don’t touch the — dash", f.dispatches()[0].Brief)
	require.Equal(t, []register.Amount{{Unit: register.UnitCredits, Micros: 4_000_000}}, f.dispatches()[0].Estimate)
}

func TestTheBotIgnoresItsOwnWordsNoticesAndChatter(t *testing.T) {
	t.Parallel()
	f := setup(t, false)
	f.setBudget(500, time.Now().Add(-time.Hour))
	chatter := f.say(f.fleet, "shall we dispatch the coder?")
	notice, err := f.operator.SayRaw(t.Context(), f.fleet, messageType, map[string]any{"msgtype": "m.notice", "body": `!mosaic dispatch coder "loop"`})
	require.NoError(t, err)
	original := f.say(f.fleet, "never mind")
	_, err = f.operator.Edit(t.Context(), f.fleet, original, `!mosaic dispatch coder "smuggled in by an edit"`)
	require.NoError(t, err)
	f.settle(f.fleet)
	require.Empty(t, f.dispatches())
	require.Empty(t, f.fromBot(chatter))
	require.Empty(t, f.fromBot(notice))
}
