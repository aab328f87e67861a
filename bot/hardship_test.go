package bot

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// refused is work that pace refuses, for the board to lift.
func (f *fleet) refused(t *testing.T) register.Dispatch {
	t.Helper()
	var out register.Dispatch
	f.send(t, f.admin, register.CreateDispatch(register.DispatchRequest{
		Role: "coder", Brief: "Ship it", Model: "opus", Exact: true, Deadline: time.Now().Add(5 * time.Minute),
		Estimate: []register.EstimateAmount{{Unit: register.UnitCredits, Micros: 400_000_000}},
	}), &out)
	require.Equal(t, register.DispatchStateRefused, out.State)
	return out
}

// lifted counts how often a dispatch was lifted.
func (b *bench) lifted(t *testing.T, dispatch string) int {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), b.db.Superuser)
	require.NoError(t, err)
	defer connection.Close(t.Context())
	var count int
	require.NoError(t, connection.QueryRow(t.Context(), `SELECT count(*) FROM fleet.overrides WHERE 'D-' || dispatch_id = $1`, dispatch).Scan(&count))
	return count
}

func TestAGatewayThatIsAwayForTwentySecondsLosesNoVoteAndActsOnce(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	work := b.fleet.refused(t)
	p, message := b.opens(t, register.ProposalRequest{Title: "Lift it", Action: register.Action{Kind: register.ActionKindOverride, Dispatch: work.ID}})
	_, err := b.ben.WaitFor(soon(t), client.Is(message))
	require.NoError(t, err)
	b.gateway.set(unavailable)
	back := time.Now().Add(20 * time.Second)
	for _, person := range []*client.Client{b.ada, b.ben} {
		for _, key := range []string{"❌", "👍"} { // a change of mind while nobody counts
			_, err := person.React(t.Context(), b.room, message, key)
			require.NoError(t, err)
		}
	}
	time.Sleep(time.Until(back))
	require.Empty(t, b.fleet.proposal(t, p.ID).Votes)
	b.gateway.set(nil)
	passed := b.becomes(t, p.ID, func(p register.Proposal) bool { return p.State != register.ProposalStateOpen })
	require.Equal(t, register.ProposalStatePassed, passed.State)
	require.True(t, passed.Outcome.CarriedOut, passed.Outcome.Text)
	require.Len(t, passed.Votes, 2)
	b.quiet(t)
	require.Equal(t, 1, b.lifted(t, work.ID))
}

// votesWhileTheBotIsStopped has three seats approve what lifts a dispatch, unanimously, while the bot is stopped, and the deadline pass.
func (b *board) votesWhileTheBotIsStopped(t *testing.T) (p register.Proposal, message id.EventID, work register.Dispatch, reactions []id.EventID) {
	t.Helper()
	cleo := localtest.Person(t, "Cleo")
	b.fleet.identify(t, "cleo", cleo.UserID.String(), register.FleetRoleBoard)
	b.fleet.seat(t, "coo", "cleo")
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, cleo.UserID))
	b.raise(t, 50)
	work = b.fleet.refused(t)
	deadline := time.Now().Add(40 * time.Second)
	p, message = b.opens(t, register.ProposalRequest{
		Title: "Lift it", Pass: register.PassRuleUnanimous, ClosesAt: deadline, Action: register.Action{Kind: register.ActionKindOverride, Dispatch: work.ID},
	})
	people := []*client.Client{b.ada, b.ben, cleo}
	for _, person := range people {
		_, err := person.WaitFor(soon(t), client.Is(message))
		require.NoError(t, err)
	}
	b.halt()
	for _, person := range people {
		reaction, err := person.React(t.Context(), b.room, message, "✅")
		require.NoError(t, err)
		reactions = append(reactions, reaction)
	}
	require.True(t, time.Now().Before(deadline), "the machine is too slow for this test's deadline")
	time.Sleep(time.Until(deadline.Add(2 * time.Second)))
	return p, message, work, reactions
}

// TestVotesOfTheLastMinuteCountWhateverHidesThemAfterwards has three seats vote while the bot is stopped. It hears them after the
// deadline, with the gateway away; then a moderator removes one from sight, which takes it out of the relations too.
func TestVotesOfTheLastMinuteCountWhateverHidesThemAfterwards(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	p, message, work, reactions := b.votesWhileTheBotIsStopped(t)
	b.gateway.set(unavailable)
	b.running, b.halt = b.startUntil(t)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM journal WHERE type = 'm.reaction' AND event_id = ANY($1)`, []string{string(reactions[0]), string(reactions[1]), string(reactions[2])}) == 3
	}, patience, tick)
	_, err := b.ada.Redact(t.Context(), b.room, reactions[1], "")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM journal WHERE redacts = $1`, reactions[1]) == 1
	}, patience, tick)
	b.showsRemoved(t, reactions[1])
	left, err := b.running.reactionsTo(t.Context(), b.room, message)
	require.NoError(t, err)
	for _, one := range left {
		require.False(t, one.ID == reactions[1] && one.Unsigned.RedactedBecause == nil, "the homeserver no longer shows what was removed")
	}
	b.gateway.set(nil)
	passed := b.becomes(t, p.ID, func(p register.Proposal) bool { return p.State != register.ProposalStateOpen })
	require.Equal(t, register.ProposalStatePassed, passed.State)
	require.Equal(t, 3, passed.Tally.Approve)
	require.True(t, passed.Outcome.CarriedOut, passed.Outcome.Text)
	b.answered(t, message, "The vote stands")
	b.quiet(t)
	require.Equal(t, 1, b.lifted(t, work.ID))
}

// TestAVoteThatAModeratorRemovedWhileTheBotWasStoppedCountsAllTheSame has three seats vote while the bot is stopped, the deadline pass, a
// moderator remove one vote and the homeserver hide another from its relations. Where the homeserver no longer has what was removed, its
// sender is asked again, and that counts as of then.
func TestAVoteThatAModeratorRemovedWhileTheBotWasStoppedCountsAllTheSame(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	p, message, work, reactions := b.votesWhileTheBotIsStopped(t)
	_, err := b.ada.Redact(t.Context(), b.room, reactions[1], "")
	require.NoError(t, err)
	b.homeserver.set(hideFromRelations(b.homeserver, reactions[2]))
	b.running, b.halt = b.startUntil(t)
	told, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(b.room), func(seen client.Seen) bool {
		return strings.Contains(seen.Body, "The vote stands") || strings.Contains(seen.Body, "before I could read it")
	})
	require.NoError(t, err, "the redaction is reported")
	require.Contains(t, told.Body, b.ben.UserID.String())
	if !strings.Contains(told.Body, "The vote stands") {
		require.Equal(t, []id.UserID{b.ben.UserID}, told.Mentions)
		b.becomes(t, p.ID, func(p register.Proposal) bool { return p.Tally.Approve == 2 })
		b.quiet(t)
		require.Equal(t, register.ProposalStateOpen, b.fleet.proposal(t, p.ID).State, "it waits for what was removed")
		_, err := b.ada.React(t.Context(), b.room, message, "❌")
		require.NoError(t, err)
		b.answered(t, message, "closed to votes")
		_, err = b.ben.React(t.Context(), b.room, message, "✅")
		require.NoError(t, err)
	}
	passed := b.becomes(t, p.ID, func(p register.Proposal) bool { return p.State != register.ProposalStateOpen })
	require.Equal(t, register.ProposalStatePassed, passed.State)
	require.Equal(t, 3, passed.Tally.Approve)
	require.Empty(t, passed.Unread)
	for _, vote := range passed.Votes {
		require.False(t, vote.CastAt.After(p.ClosesAt))
	}
	require.True(t, passed.Outcome.CarriedOut, passed.Outcome.Text)
	b.quiet(t)
	require.Equal(t, 1, b.lifted(t, work.ID))
}

// hideFromRelations has the homeserver leave an event out of what it relates to a message.
func hideFromRelations(p *proxy, hidden id.EventID) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/relations/") {
			return false
		}
		answer := httptest.NewRecorder()
		p.forward.ServeHTTP(answer, r)
		var page map[string]any
		if json.Unmarshal(answer.Body.Bytes(), &page) == nil {
			chunk, _ := page["chunk"].([]any)
			page["chunk"] = slices.DeleteFunc(chunk, func(one any) bool { evt, _ := one.(map[string]any); return evt["event_id"] == hidden.String() })
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer.Code)
		_ = json.NewEncoder(w).Encode(page)
		return true
	}
}

func TestAReactionRemovedBeforeTheBotReadItIsToldToItsSender(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	_, err := b.ben.WaitFor(soon(t), client.Is(b.message.EventID))
	require.NoError(t, err)
	var levels event.PowerLevelsEventContent
	require.NoError(t, b.running.client.StateEvent(t.Context(), b.room, event.StatePowerLevels, "", &levels))
	levels.SetUserLevel(b.ada.UserID, 50)
	_, err = b.running.client.SendStateEvent(t.Context(), b.room, event.StatePowerLevels, "", &levels)
	require.NoError(t, err)
	b.quiet(t)
	b.halt()
	reaction, err := b.ben.React(t.Context(), b.room, b.message.EventID, "✅")
	require.NoError(t, err)
	_, err = b.ada.Redact(t.Context(), b.room, reaction, "")
	require.NoError(t, err)
	b.showsRemoved(t, reaction)
	b.running, b.halt = b.startUntil(t)
	if original, err := b.running.client.GetUnredactedEventContent(t.Context(), b.room, reaction); err == nil && original.Content.Raw["m.relates_to"] != nil {
		b.tally(t, 1, 0) // this homeserver still shows what it was
		b.answered(t, b.message.EventID, "The vote stands")
		return
	}
	told, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(b.room), client.Contains("before I could read it"))
	require.NoError(t, err)
	require.Equal(t, []id.UserID{b.ben.UserID}, told.Mentions, "it rings who has to vote again")
}

// TestTheTallyIsThatOfASimpleModelThoughTheBotIsKilledAtRandom plays reactions, changes and redactions on a real homeserver.
func TestTheTallyIsThatOfASimpleModelThoughTheBotIsKilledAtRandom(t *testing.T) {
	t.Parallel()
	b := setupBoard(t)
	b.fleet.send(t, b.fleet.admin, register.PutBoard(register.BoardRequest{SettleSeconds: new(3600)}), nil)
	_, err := b.ben.WaitFor(soon(t), client.Is(b.message.EventID))
	require.NoError(t, err)
	b.quiet(t)
	b.halt()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	verdicts := map[string]register.Verdict{"✅": "approve", "👍🏽": "approve", "❌": "reject", "👎": "reject", "⚪": "abstain"}
	keys := []string{"✅", "👍🏽", "❌", "👎", "⚪"}
	type reaction struct {
		event id.EventID
		key   string
	}
	people := []*client.Client{b.ada, b.ben}
	standing := map[*client.Client][]reaction{}
	cast, withdrawn := 0, 0
	process := b.process(t)
	for step := range 24 {
		if step%6 == 5 {
			time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
			require.NoError(t, process.Process.Kill())
			_, _ = process.Process.Wait()
			process = b.process(t)
		}
		person := people[random.IntN(len(people))]
		mine := standing[person]
		if len(mine) > 0 && random.IntN(3) == 0 {
			at := random.IntN(len(mine))
			_, err := person.Redact(t.Context(), b.room, mine[at].event, "")
			require.NoError(t, err)
			withdrawn++
			standing[person] = append(append([]reaction{}, mine[:at]...), mine[at+1:]...)
			continue
		}
		key := keys[random.IntN(len(keys))]
		sent, err := person.React(t.Context(), b.room, b.message.EventID, key)
		if err != nil {
			continue // the homeserver takes no second reaction with the same key
		}
		cast++
		standing[person] = append(standing[person], reaction{sent, key})
		time.Sleep(5 * time.Millisecond) // so that no two of one person have one instant
	}
	want := map[register.Verdict]int{}
	for _, person := range people {
		if mine := standing[person]; len(mine) > 0 {
			want[verdicts[mine[len(mine)-1].key]]++
		}
	}
	now := b.becomes(t, b.proposal.ID, func(p register.Proposal) bool {
		open := b.count(t, `SELECT count(*) FROM journal WHERE state IN ('new', 'waiting', 'prepared')`)
		heard := b.count(t, `SELECT count(*) FROM journal WHERE type = 'm.reaction'`)
		removed := b.count(t, `SELECT count(*) FROM journal WHERE type = 'm.room.redaction'`)
		return open == 0 && heard >= cast && removed >= withdrawn
	})
	now = b.fleet.proposal(t, b.proposal.ID)
	require.Equal(t, fmt.Sprint(want["approve"], want["reject"], want["abstain"]), fmt.Sprint(now.Tally.Approve, now.Tally.Reject, now.Tally.Abstain))
	connection, err := pgx.Connect(t.Context(), b.db.Superuser)
	require.NoError(t, err)
	defer connection.Close(t.Context())
	var twice int
	require.NoError(t, connection.QueryRow(t.Context(), `SELECT count(*) - count(DISTINCT event_id) FROM fleet.votes`).Scan(&twice))
	require.Zero(t, twice, "no reaction is counted twice")
}
