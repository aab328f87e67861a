package bot

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// board is a room bound for the board, with ada and ben seated, and an open proposal.
type board struct {
	*bench
	running  *Bot
	halt     func() // ends running; may be called again
	ben      *client.Client
	proposal register.Proposal
	message  client.Seen
}

func setupBoard(t *testing.T, changes ...func(*bench)) *board {
	t.Helper()
	b := &board{bench: setup(t), ben: localtest.Person(t, "Ben")}
	for _, change := range changes {
		change(b.bench)
	}
	b.options.CreateRooms = true
	b.fleet.identify(t, "ada", b.ada.UserID.String(), register.FleetRoleOperator, register.FleetRoleBoard)
	b.fleet.identify(t, "ben", b.ben.UserID.String(), register.FleetRoleBoard)
	carl := localtest.Register(t, "Carl")
	b.fleet.identify(t, "carl", carl.UserID, register.FleetRoleBoard)
	b.fleet.seat(t, "cto", "ada")
	b.fleet.seat(t, "cfo", "ben")
	b.fleet.seat(t, "coo", "carl")
	b.running, b.halt = b.startUntil(t)
	b.room = b.bound(t, register.RoomPurposeBoard)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, b.ada.UserID, b.ben.UserID))
	b.proposal = b.fleet.propose(t, "Buy a bigger boat")
	var err error
	b.message, err = b.ada.WaitFor(soon(t), b.fromBot(), client.In(b.room), client.Contains("bigger boat"))
	require.NoError(t, err)
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.Reacts(b.message.EventID, "⚪"))
	require.NoError(t, err)
	return b
}

// bound waits until a room is bound for a purpose.
func (b *bench) bound(t *testing.T, purpose register.RoomPurpose) id.RoomID {
	t.Helper()
	var room id.RoomID
	require.Eventually(t, func() bool {
		rooms, err := b.fleet.admin.Rooms(t.Context(), register.By{})
		if err != nil {
			return false
		}
		if found := boundFor(rooms.Rooms, purpose); len(found) == 1 {
			room = found[0]
		}
		return room != ""
	}, patience, tick)
	return room
}

func (b *board) tally(t *testing.T, approve, reject int) {
	t.Helper()
	require.Eventually(t, func() bool {
		tally := b.fleet.proposal(t, b.proposal.ID).Tally
		return tally.Approve == approve && tally.Reject == reject
	}, patience, tick)
}

func TestAProposalRingsTheSeatedPeopleAndIsSeeded(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	require.Equal(t, event.MsgText, b.message.MsgType, "a proposal must ring")
	require.True(t, b.message.WasEncrypted)
	require.Len(t, b.message.Mentions, 3)
	require.Subset(t, b.message.Mentions, []id.UserID{b.ada.UserID, b.ben.UserID})
	require.Equal(t, []string{"✅", "❌", "⚠️", "⚪"}, b.signs(b.message.EventID))
	b.tally(t, 0, 0)
}

func TestAReactionIsOneVoteThatItsRedactionWithdraws(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	vote, err := b.ada.React(t.Context(), b.room, b.message.EventID, "👍🏽")
	require.NoError(t, err)
	b.tally(t, 1, 0)
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.Edits(b.message.EventID))
	require.NoError(t, err)
	_, err = b.ada.Redact(t.Context(), b.room, vote, "")
	require.NoError(t, err)
	b.tally(t, 0, 0)

	_, err = b.ada.React(t.Context(), b.room, b.message.EventID, "❌")
	require.NoError(t, err)
	b.tally(t, 0, 1)
	_, err = b.ada.React(t.Context(), b.room, b.message.EventID, "✅")
	require.NoError(t, err)
	b.tally(t, 1, 0)
	b.quiet(t)
	require.Len(t, b.fleet.proposal(t, b.proposal.ID).Votes, 1, "one live vote a seat")
}

func TestFastDoubleTapsAndReactionsAtOnceAreOneVoteASeat(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	b.fleet.send(t, b.fleet.admin, register.PutBoard(register.BoardRequest{SettleSeconds: new(3600)}), nil)
	_, err := b.ben.WaitFor(soon(t), client.Is(b.message.EventID))
	require.NoError(t, err)
	var taps sync.WaitGroup
	for _, person := range []*client.Client{b.ada, b.ben} {
		for _, key := range []string{"👍", "👍\uFE0F", "✅", "✅"} { // of two with one key the homeserver takes one
			taps.Go(func() { _, _ = person.React(t.Context(), b.room, b.message.EventID, key) })
		}
	}
	taps.Wait()
	b.tally(t, 2, 0)
	// On and off and on again, as fast as a thumb: each tap takes the last one back.
	for range 3 {
		tap, err := b.ada.React(t.Context(), b.room, b.message.EventID, "❌")
		require.NoError(t, err)
		_, err = b.ada.Redact(t.Context(), b.room, tap, "")
		require.NoError(t, err)
	}
	_, err = b.ada.React(t.Context(), b.room, b.message.EventID, "❌")
	require.NoError(t, err)
	b.tally(t, 1, 1)
	b.quiet(t)
	require.Len(t, b.fleet.proposal(t, b.proposal.ID).Votes, 2)
}

func TestVotesDecideAndTheResultIsShown(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	for _, person := range []*client.Client{b.ada, b.ben} {
		_, err := person.WaitFor(soon(t), client.Is(b.message.EventID))
		require.NoError(t, err)
		_, err = person.React(t.Context(), b.room, b.message.EventID, "✅")
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return b.fleet.proposal(t, b.proposal.ID).State == register.ProposalStatePassed }, patience, tick)
	result, err := b.ada.WaitFor(soon(t), b.fromBot(), client.InThread(b.message.EventID), client.Contains("passed"))
	require.NoError(t, err)
	require.Equal(t, event.MsgNotice, result.MsgType)
	b.quiet(t)
	var last client.Seen
	for _, seen := range b.ada.Seen() {
		if seen.EditOf == b.message.EventID {
			last = seen
		}
	}
	require.Contains(t, last.Body, "passed", "the last edit shows the end")
}

func TestStrangersDoNotVoteAndAreToldOnce(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	mallory := localtest.Person(t, "Mallory")
	_, err := b.running.client.InviteUser(t.Context(), b.room, inviteOf(mallory.UserID))
	require.NoError(t, err)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, mallory.UserID))
	for _, key := range []string{"✅", "❌"} {
		_, err := mallory.React(t.Context(), b.room, b.message.EventID, key)
		require.NoError(t, err)
	}
	b.answered(t, b.message.EventID, "do not know you")
	_, err = b.ada.React(t.Context(), b.room, b.message.EventID, "✅")
	require.NoError(t, err)
	b.tally(t, 1, 0)
	b.quiet(t)
	require.Len(t, b.replies(b.message.EventID), 1)
}

func TestAKnownPersonWithoutASeatIsToldOnce(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	dora := localtest.Person(t, "Dora")
	b.fleet.identify(t, "dora", dora.UserID.String(), register.FleetRoleBoard)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, dora.UserID))
	for _, key := range []string{"✅", "❌"} {
		_, err := dora.React(t.Context(), b.room, b.message.EventID, key)
		require.NoError(t, err)
	}
	b.answered(t, b.message.EventID, "You hold no seat")
	b.quiet(t)
	require.Len(t, b.replies(b.message.EventID), 1)
	require.Empty(t, b.fleet.proposal(t, b.proposal.ID).Votes)
}

func TestAVoteTakenBackBeforeItCountedNeverCounts(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	b.gateway.set(unavailable)
	vote, err := b.ada.React(t.Context(), b.room, b.message.EventID, "✅")
	require.NoError(t, err)
	_, err = b.ada.Redact(t.Context(), b.room, vote, "")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.count(t, `SELECT count(*) FROM journal WHERE redacts = $1`, vote) == 1 }, patience, tick)
	b.gateway.set(nil)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM journal WHERE redacts = $1 AND state = 'dropped'`, vote) == 1
	}, patience, tick)
	require.Empty(t, b.fleet.proposal(t, b.proposal.ID).Votes)
}

func TestAVoteCastWhileTheGatewayIsDownCountsLaterAndOnce(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	var refused int
	b.gateway.set(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/events") {
			return false
		}
		refused++
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	vote, err := b.ada.React(t.Context(), b.room, b.message.EventID, "✅")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM journal WHERE event_id = $1 AND retry_at IS NOT NULL`, vote) == 1
	}, patience, tick)
	b.gateway.set(nil)
	b.tally(t, 1, 0)
	b.quiet(t)
	require.Len(t, b.fleet.proposal(t, b.proposal.ID).Votes, 1)
	require.Positive(t, refused)
}

// A body that records what the bot asked, so that a vote's key can be checked.
func TestAVoteIsKeyedByItsReaction(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	asked := make(chan string, 4)
	b.gateway.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/votes/") {
			raw, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(raw)))
			var body register.VoteRequest
			_ = json.Unmarshal(raw, &body)
			asked <- r.Header.Get("Idempotency-Key") + " " + body.EventID + " " + r.Header.Get("Mosaic-Actor")
		}
		return false
	})
	vote, err := b.ada.React(t.Context(), b.room, b.message.EventID, "✅")
	require.NoError(t, err)
	b.tally(t, 1, 0)
	require.Equal(t, vote.String()+" "+vote.String()+" "+b.ada.UserID.String(), <-asked)
}
