package bot

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// opens puts another question to the board and waits until it can be voted on.
func (b *board) opens(t *testing.T, request register.ProposalRequest) (register.Proposal, id.EventID) {
	t.Helper()
	var opened register.Proposal
	b.fleet.send(t, b.fleet.admin, register.OpenProposal(request), &opened)
	message, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(b.room), client.Contains(opened.ID+": "+request.Title))
	require.NoError(t, err)
	return opened, message.EventID
}

func (b *board) becomes(t *testing.T, proposal string, what func(register.Proposal) bool) register.Proposal {
	t.Helper()
	var now register.Proposal
	require.Eventually(t, func() bool {
		now = b.fleet.proposal(t, proposal)
		return what(now)
	}, patience, tick, "%s", proposal)
	return now
}

func TestAReactionMeansTheSameInEveryClientsTaste(t *testing.T) {
	t.Parallel()
	keys := register.BoardKeys{Approve: []string{"✅", "👍"}, Reject: []string{"❌", "👎"}, Conditional: []string{"⚠️"}, Abstain: []string{"⚪"}}
	for key, verdict := range map[string]register.Verdict{
		"✅": "approve", "✅\uFE0F": "approve", "👍": "approve", "👍\uFE0F": "approve", "👍🏽": "approve", "👍🏿\uFE0F": "approve",
		"❌": "reject", "👎🏻": "reject", "⚠": "conditional", "⚠\uFE0F": "conditional", "⚠\uFE0E": "conditional", "⚪\uFE0F": "abstain", "🎉": "", "": "",
	} {
		require.Equal(t, verdict, verdictOf(key, keys), "%q", key)
	}
	require.Empty(t, verdictOf("👍", register.BoardKeys{Approve: []string{"✅"}}), "only what the board reads so")
	require.Equal(t, []string{"✅", "❌", "⚠️", "⚪"}, seedsOf(keys))
}

func TestAProposalNamesTheReactionsThatTheBoardReads(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	var rules register.BoardRequest
	rules.Keys.Approve, rules.Keys.Reject, rules.Keys.Conditional, rules.Keys.Abstain = &[]string{"🚀"}, &[]string{"🧊"}, &[]string{"🤝"}, &[]string{"🫥"}
	b.fleet.send(t, b.fleet.admin, register.PutBoard(rules), nil)
	p, message := b.opens(t, register.ProposalRequest{Title: "Sail at night"})
	shown, err := b.ada.WaitFor(soon(t), client.Is(message))
	require.NoError(t, err)
	require.Contains(t, shown.Body, "react 🚀 approve, 🧊 reject, 🤝 approve on a condition or 🫥 abstain")
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.Reacts(message, "🫥"))
	require.NoError(t, err)
	require.Equal(t, []string{"🚀", "🧊", "🤝", "🫥"}, b.signs(message))
	_, err = b.ada.React(t.Context(), b.room, message, "🚀")
	require.NoError(t, err)
	b.becomes(t, p.ID, func(p register.Proposal) bool { return p.Tally.Approve == 1 })
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.Edits(message), client.Contains("react 🚀 approve"))
	require.NoError(t, err)
}

func TestAConditionIsAskedForInTheThreadAndCountsOnceItIsSaid(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	_, err := b.ada.React(t.Context(), b.room, b.message.EventID, "⚠")
	require.NoError(t, err)
	asked, err := b.ada.WaitFor(soon(t), b.fromBot(), client.InThread(b.message.EventID), client.Contains("On which condition?"))
	require.NoError(t, err)
	require.Equal(t, []id.UserID{b.ada.UserID}, asked.Mentions, "it rings who has to answer")
	require.Empty(t, b.fleet.proposal(t, b.proposal.ID).Votes)
	_, err = b.ada.ReplyInThread(t.Context(), b.room, b.message.EventID, "only after the freeze")
	require.NoError(t, err)
	now := b.becomes(t, b.proposal.ID, func(p register.Proposal) bool { return p.Tally.Conditional == 1 })
	require.Equal(t, "only after the freeze", now.Votes[0].Reason)
	_, err = b.ada.ReplyInThread(t.Context(), b.room, b.message.EventID, "what do the others think?")
	require.NoError(t, err)
	b.quiet(t)
	require.Equal(t, "only after the freeze", b.fleet.proposal(t, b.proposal.ID).Votes[0].Reason, "talk is no vote")
}

func TestAVoteThatSomebodyElseRemovesStandsAndThatIsTold(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	vote, err := b.ben.WaitFor(soon(t), client.Is(b.message.EventID))
	require.NoError(t, err)
	reaction, err := b.ben.React(t.Context(), b.room, vote.EventID, "✅")
	require.NoError(t, err)
	b.tally(t, 1, 0)
	var levels event.PowerLevelsEventContent
	require.NoError(t, b.running.client.StateEvent(t.Context(), b.room, event.StatePowerLevels, "", &levels))
	levels.SetUserLevel(b.ada.UserID, 50)
	_, err = b.running.client.SendStateEvent(t.Context(), b.room, event.StatePowerLevels, "", &levels)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := b.ada.Redact(t.Context(), b.room, reaction, "")
		return err == nil
	}, patience, tick)
	b.answered(t, b.message.EventID, "The vote stands")
	b.quiet(t)
	require.Equal(t, 1, b.fleet.proposal(t, b.proposal.ID).Tally.Approve)
}

func TestOnASignedProposalOnlyWhatAVerifiedSessionWroteCounts(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	p, message := b.opens(t, register.ProposalRequest{Title: "Sell the old boat", Signed: true})
	_, err := b.ada.React(t.Context(), b.room, message, "✅")
	require.NoError(t, err)
	now := b.becomes(t, p.ID, func(p register.Proposal) bool { return len(p.Intents) == 1 })
	require.Zero(t, now.Tally.Approve)
	b.answered(t, message, "takes signed votes only")
	command := b.say(t, "!mosaic vote "+p.ID+` reject "it still floats"`)
	now = b.becomes(t, p.ID, func(p register.Proposal) bool { return p.Tally.Reject == 1 })
	require.Equal(t, register.VoteHowSigned, now.Votes[0].How)
	require.Equal(t, command.String(), now.Votes[0].EventID)
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.Edits(message), client.Contains("Intents by reaction, not counted: cto approve"))
	require.NoError(t, err)
	_, err = b.ada.Redact(t.Context(), b.room, command, "")
	require.NoError(t, err)
	b.quiet(t)
	require.Equal(t, 1, b.fleet.proposal(t, p.ID).Tally.Reject, "a redaction is not signed")
	b.say(t, "!mosaic vote "+p.ID+" withdraw")
	b.becomes(t, p.ID, func(p register.Proposal) bool { return p.Tally.Reject == 0 })
}

func TestWhatWasVotedWhileTheBotWasStoppedCountsAfterTheDeadline(t *testing.T) {
	t.Parallel()
	setupBoard(t).requireVotesWhileStoppedCount(t)
}

func (b *board) requireVotesWhileStoppedCount(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	p, message := b.opens(t, register.ProposalRequest{Title: "Paint it red", ClosesAt: deadline})
	_, err := b.ben.WaitFor(soon(t), client.Is(message))
	require.NoError(t, err)
	b.halt()
	for _, person := range []*client.Client{b.ada, b.ben} {
		_, err := person.React(t.Context(), b.room, message, "✅")
		require.NoError(t, err)
	}
	if wait := time.Until(deadline.Add(2 * time.Second)); wait > 0 {
		time.Sleep(wait)
	}
	require.Equal(t, register.ProposalStateOpen, b.fleet.proposal(t, p.ID).State, "it waits for the room to be read")
	late, err := b.ada.React(t.Context(), b.room, message, "❌")
	require.NoError(t, err)
	b.running, b.halt = b.startUntil(t)
	closed := b.becomes(t, p.ID, func(p register.Proposal) bool { return p.State != register.ProposalStateOpen })
	require.Equal(t, register.ProposalStatePassed, closed.State)
	require.Equal(t, 2, closed.Tally.Approve)
	require.Empty(t, closed.Unread)
	for _, vote := range closed.Votes {
		require.NotEqual(t, late.String(), vote.EventID, "it came after the deadline")
	}
}

func TestOnlyThoseWhoHaveNotVotedAreRemindedOnceAndItRings(t *testing.T) {
	t.Parallel()
	var clock clock
	b := setupBoard(t, func(b *bench) { b.options.Now = clock.now })
	p, message := b.opens(t, register.ProposalRequest{Title: "Rent a pier", ClosesAt: time.Now().Add(6 * time.Hour)})
	_, err := b.ada.React(t.Context(), b.room, message, "✅")
	require.NoError(t, err)
	b.becomes(t, p.ID, func(p register.Proposal) bool { return p.Tally.Approve == 1 })
	clock.moveOn(3*time.Hour + time.Minute) // it comes at half-time
	reminder, err := b.ada.WaitFor(soon(t), b.fromBot(), client.InThread(message), client.Contains("waits for your vote"))
	require.NoError(t, err)
	require.Equal(t, event.MsgText, reminder.MsgType, "a notice rings no phone")
	require.Len(t, reminder.Mentions, 2)
	require.NotContains(t, reminder.Mentions, b.ada.UserID)
	b.quiet(t)
	count := 0
	for _, seen := range b.ada.Seen() {
		if seen.EditOf == "" && seen.ThreadRoot == message && seen.MsgType == event.MsgText {
			count++
		}
	}
	require.Equal(t, 1, count)
}

func TestAnHourBeforeTheEndThoseWhoAreStillMissingAreRungAgain(t *testing.T) {
	t.Parallel()
	var clock clock
	b := setupBoard(t, func(b *bench) { b.options.Now = clock.now })
	p, message := b.opens(t, register.ProposalRequest{Title: "Rent a pier", ClosesAt: time.Now().Add(6 * time.Hour)})
	_, err := b.ada.React(t.Context(), b.room, message, "✅")
	require.NoError(t, err)
	b.becomes(t, p.ID, func(p register.Proposal) bool { return p.Tally.Approve == 1 })
	reminders := func(count int) client.Seen {
		var rung []client.Seen
		require.Eventually(t, func() bool {
			rung = nil
			for _, seen := range b.ada.Seen() {
				if seen.ThreadRoot == message && seen.EditOf == "" && seen.MsgType == event.MsgText {
					rung = append(rung, seen)
				}
			}
			return len(rung) >= count
		}, patience, tick)
		require.Len(t, rung, count)
		require.Contains(t, rung[count-1].Body, p.ID+" waits for your vote")
		return rung[count-1]
	}
	clock.moveOn(3*time.Hour + time.Minute)
	require.Len(t, reminders(1).Mentions, 2, "at half-time: ben and carl")
	clock.moveOn(4*time.Hour + 58*time.Minute)
	b.quiet(t)
	reminders(1)
	_, err = b.ben.WaitFor(soon(t), client.Is(message))
	require.NoError(t, err)
	_, err = b.ben.React(t.Context(), b.room, message, "❌")
	require.NoError(t, err)
	b.becomes(t, p.ID, func(p register.Proposal) bool { return p.Tally.Reject == 1 })
	clock.moveOn(5*time.Hour + time.Minute)
	last := reminders(2)
	require.Len(t, last.Mentions, 1, "an hour before the end: carl")
	require.NotContains(t, last.Mentions, b.ada.UserID)
	require.NotContains(t, last.Mentions, b.ben.UserID)
	clock.moveOn(5*time.Hour + 30*time.Minute)
	b.quiet(t)
	reminders(2)
}

func TestAVoteOutsideTheBoardsRoomIsRefused(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	other := b.bound(t, register.RoomPurposeFleet)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), other, b.ada.UserID))
	_, err := b.ada.Say(t.Context(), other, "!mosaic vote "+b.proposal.ID+" approve")
	require.NoError(t, err)
	refused, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(other), client.Contains("not bound for the board"))
	require.NoError(t, err)
	require.Contains(t, refused.Body, "Example: !mosaic room bind board")
	require.Empty(t, b.fleet.proposal(t, b.proposal.ID).Votes)
}

// TestARecountHearsAReactionThatNoSyncBrought makes bot and register forget a reaction that the sync has brought already.
func TestARecountHearsAReactionThatNoSyncBrought(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	b.quiet(t)
	reaction, err := b.ada.React(t.Context(), b.room, b.message.EventID, "✅")
	require.NoError(t, err)
	b.tally(t, 1, 0)
	b.halt()
	connection, err := pgx.Connect(t.Context(), b.db.Superuser)
	require.NoError(t, err)
	defer connection.Close(t.Context())
	for _, forget := range []string{
		`DELETE FROM bot.journal WHERE event_id = $1`, `DELETE FROM fleet.votes WHERE event_id = $1`, `DELETE FROM fleet.idempotency WHERE key = $1`,
	} {
		gone, err := connection.Exec(t.Context(), forget, reaction.String())
		require.NoError(t, err)
		require.EqualValues(t, 1, gone.RowsAffected(), forget)
	}
	require.Zero(t, b.fleet.proposal(t, b.proposal.ID).Tally.Approve)
	b.running, b.halt = b.startUntil(t)
	b.tally(t, 1, 0)
}

func TestAnEncryptedAnswerToThePollIsASignedVoteAndNamesItsProposalItself(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	p, message := b.opens(t, register.ProposalRequest{Title: "Sell the old boat", Signed: true})
	other, _ := b.opens(t, register.ProposalRequest{Title: "Sell the new boat", Signed: true})
	poll, err := b.ada.WaitFor(soon(t), b.fromBot(), func(s client.Seen) bool { return s.Type == event.EventUnstablePollStart.Type })
	require.NoError(t, err)
	require.True(t, poll.WasEncrypted)
	answer := func(proposal string, verdict register.Verdict) string {
		var out string
		require.NoError(t, b.bots(t).QueryRow(t.Context(), `SELECT answer FROM poll_answer WHERE proposal = $1 AND verdict = $2`, proposal, verdict).Scan(&out))
		return out
	}
	response := func(chosen string, to id.EventID) *event.PollResponseEventContent {
		return &event.PollResponseEventContent{
			RelatesTo: event.RelatesTo{Type: event.RelReference, EventID: to}, Response: event.PollResponse{Answers: []string{chosen}},
		}
	}
	// What it relates to is not signed: a homeserver could point it at another poll.
	cast, err := b.ada.SayRaw(t.Context(), b.room, event.EventUnstablePollResponse, response(answer(other.ID, "reject"), message))
	require.NoError(t, err)
	now := b.becomes(t, other.ID, func(p register.Proposal) bool { return p.Tally.Reject == 1 })
	require.Equal(t, register.VoteHowSigned, now.Votes[0].How)
	require.Equal(t, cast.String(), now.Votes[0].EventID)
	require.Empty(t, b.fleet.proposal(t, p.ID).Votes)

	_, err = b.ada.Matrix.SendMessageEvent(t.Context(), b.room, event.EventUnstablePollResponse, response(answer(p.ID, "approve"), message), mautrix.ReqSendEvent{DontEncrypt: true})
	require.NoError(t, err)
	b.quiet(t)
	require.Empty(t, b.fleet.proposal(t, p.ID).Votes, "an answer in clear is nobody's")
}
