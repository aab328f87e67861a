package bot

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// raise gives ada a level in the board's room.
func (b *board) raise(t *testing.T, level int) {
	t.Helper()
	var levels event.PowerLevelsEventContent
	require.NoError(t, b.running.client.StateEvent(t.Context(), b.room, event.StatePowerLevels, "", &levels))
	levels.SetUserLevel(b.ada.UserID, level)
	levels.EnsureEventLevel(event.StateTombstone, min(levels.GetEventLevel(event.StateTombstone), 100))
	_, err := b.running.client.SendStateEvent(t.Context(), b.room, event.StatePowerLevels, "", &levels)
	require.NoError(t, err)
}

func TestAnOpenProposalIsPutAgainToThePeopleOfAnUpgradedRoom(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	b.raise(t, 100)
	deadline := time.Now().Add(time.Minute)
	waits, _ := b.opens(t, register.ProposalRequest{Title: "Paint it red", Pass: register.PassRuleUnanimous, ClosesAt: deadline})
	_, err := b.ben.WaitFor(soon(t), client.Is(b.message.EventID))
	require.NoError(t, err)
	_, err = b.ada.React(t.Context(), b.room, b.message.EventID, "✅")
	require.NoError(t, err)
	b.tally(t, 1, 0)
	_, err = b.ben.React(t.Context(), b.room, b.message.EventID, "⚠️")
	require.NoError(t, err)
	b.answered(t, b.message.EventID, "On which condition?")
	b.quiet(t)

	old := b.room
	require.Eventually(t, func() bool {
		var levels event.PowerLevelsEventContent
		return b.ada.Matrix.StateEvent(t.Context(), old, event.StatePowerLevels, "", &levels) == nil && levels.GetUserLevel(b.ada.UserID) == 100
	}, patience, tick)
	b.room = upgradeRoom(t, b.ada, old, "12")
	late, err := b.ada.React(t.Context(), old, b.message.EventID, "❌")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM journal WHERE event_id = $1 AND state = 'dropped' AND reason = 'the room was replaced before'`, late) == 1
	}, patience, tick)
	for _, user := range []id.UserID{b.ben.UserID, id.UserID(b.options.UserID)} {
		require.NoError(t, b.ada.Invite(t.Context(), b.room, user))
	}
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, id.UserID(b.options.UserID), b.ben.UserID))

	again, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(b.room), client.Contains("bigger boat"))
	require.NoError(t, err)
	require.Contains(t, again.Body, "cto (", "the votes so far are shown")
	require.Contains(t, again.Body, "1 of 3 voted")
	require.Len(t, again.Mentions, 3)
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.Reacts(again.EventID, "⚪"))
	require.NoError(t, err)
	require.Equal(t, []string{"✅", "❌", "⚠️", "⚪"}, b.signs(again.EventID))
	require.Equal(t, []id.UserID{b.ben.UserID}, b.answered(t, again.EventID, "before you said your condition").Mentions)
	now := b.fleet.proposal(t, b.proposal.ID)
	require.Equal(t, 1, now.Tally.Approve)
	require.Zero(t, now.Tally.Reject, "what was said in the old room after its end is no vote")

	_, err = b.ben.WaitFor(soon(t), client.Is(again.EventID))
	require.NoError(t, err)
	_, err = b.ben.React(t.Context(), b.room, again.EventID, "✅")
	require.NoError(t, err)
	b.becomes(t, b.proposal.ID, func(p register.Proposal) bool { return p.State == register.ProposalStatePassed })
	result, err := b.ada.WaitFor(soon(t), b.fromBot(), client.InThread(again.EventID), client.Contains("passed"))
	require.NoError(t, err)
	require.Equal(t, b.room, result.Room)
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.Edits(again.EventID), client.Contains("passed"))
	require.NoError(t, err)

	time.Sleep(time.Until(deadline))
	closed := b.becomes(t, waits.ID, func(p register.Proposal) bool { return p.State != register.ProposalStateOpen })
	require.Empty(t, closed.Unread, "the old room counts as read to its end")
	require.Zero(t, b.count(t, `SELECT count(*) FROM outbox WHERE state = 'failed'`))
}
