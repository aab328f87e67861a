package fleet

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// heardVote is a vote in the model: all that was ever cast, whether it arrived or not.
type heardVote struct {
	actor, seat, verdict, event string
	at                          time.Time
	arrived, back               bool
}

// modelBoard is the simple model: a list of votes, counted by hand.
type modelBoard struct {
	holders, deputies map[string]string
	votes             []*heardVote
	ends              time.Time
}

// tally counts approve, reject and abstain: of every seat the holder's newest vote that stands, else the deputy's.
func (m *modelBoard) tally() map[string]int {
	out := map[string]int{}
	for seat := range m.holders {
		verdict := m.newest(seat, m.holders[seat])
		if verdict == "" {
			verdict = m.newest(seat, m.deputies[seat])
		}
		if verdict == "" {
			verdict = "missing"
		}
		out[verdict]++
	}
	return out
}

func (m *modelBoard) newest(seat, actor string) string {
	var standing []*heardVote
	for _, vote := range m.votes {
		if vote.arrived && !vote.back && vote.seat == seat && vote.actor == actor && !vote.at.After(m.ends) {
			standing = append(standing, vote)
		}
	}
	if len(standing) == 0 {
		return ""
	}
	sort.Slice(standing, func(i, j int) bool {
		return fmt.Sprint(standing[i].at.UnixMicro(), standing[i].event) > fmt.Sprint(standing[j].at.UnixMicro(), standing[j].event)
	})
	return standing[0].verdict
}

// TestTheTallyIsThatOfASimpleModelWhateverOrderVotesComeIn plays votes, changes, withdrawals, duplicates, late and reordered events and
// changes of the board against the register, and counts by hand beside it.
func TestTheTallyIsThatOfASimpleModelWhateverOrderVotesComeIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settling(t)
	b.rules(t, func(board *Board) { board.SettleSeconds = 86400 })
	_, err := b.PutSeat(t.Context(), b.by("olga"), Seat{Seat: "ceo", Lens: "sense", Identity: "ada", Deputy: "olga"})
	require.NoError(t, err)
	voters := map[string]string{"ada": "ceo", "olga": "ceo", "ben": "cto", "cleo": "cfo"}
	names := slices.Sorted(maps.Keys(voters))
	number := 0
	rapid.Check(t, func(r *rapid.T) {
		began := b.clock.now()
		p, err := b.OpenProposal(t.Context(), b.by("olga"), Question{Title: "x", ClosesAt: began.Add(100 * time.Second)})
		require.NoError(r, err)
		model := &modelBoard{
			holders: map[string]string{"ceo": "ada", "cto": "ben", "cfo": "cleo"}, deputies: map[string]string{"ceo": "olga"}, ends: p.ClosesAt,
		}
		b.clock.pass(200 * time.Second) // everything below is heard after the deadline; its own instant counts
		_, err = b.ReadRoom(t.Context(), b.by("olga"), p.ID, Reading{Room: "!a"})
		require.NoError(r, err)
		deliver := func(vote *heardVote) {
			_, err := b.CastVote(t.Context(), b.by(vote.actor), p.ID, vote.seat, Ballot{Verdict: vote.verdict, EventID: vote.event, At: vote.at, How: HowReaction})
			if vote.at.After(model.ends) {
				requireRefused(r, CodeNotOpen, err)
				return
			}
			require.NoError(r, err)
			vote.arrived = true
		}
		r.Repeat(map[string]func(*rapid.T){
			"vote": func(r *rapid.T) {
				number++
				actor := rapid.SampledFrom(names).Draw(r, "who")
				vote := &heardVote{
					actor: actor, seat: voters[actor], event: fmt.Sprintf("$%06d", number),
					verdict: rapid.SampledFrom([]string{VerdictApprove, VerdictReject, VerdictAbstain}).Draw(r, "verdict"),
					at:      began.Add(time.Duration(rapid.IntRange(1, 104).Draw(r, "second")) * time.Second),
				}
				model.votes = append(model.votes, vote)
				if rapid.IntRange(0, 3).Draw(r, "delayed") > 0 {
					deliver(vote)
				}
			},
			"arrive late or again": func(r *rapid.T) {
				if len(model.votes) > 0 {
					deliver(rapid.SampledFrom(model.votes).Draw(r, "vote"))
				}
			},
			"take back, perhaps before it arrives": func(r *rapid.T) {
				if len(model.votes) == 0 {
					return
				}
				vote := rapid.SampledFrom(model.votes).Draw(r, "vote")
				at := model.ends
				if vote.at.After(at) {
					return
				}
				_, err := b.WithdrawVote(t.Context(), b.by(vote.actor), p.ID, vote.seat, Withdrawal{EventID: vote.event, By: vote.event + "r", At: at, How: HowReaction})
				require.NoError(r, err)
				vote.back = true
			},
			"hand a seat over": func(r *rapid.T) {
				holder := rapid.SampledFrom([]string{"ben", "coder-1"}).Draw(r, "holder")
				_, err := b.PutSeat(t.Context(), b.by("olga"), Seat{Seat: "cto", Lens: "sense", Identity: holder})
				require.NoError(r, err)
				_, err = b.CastVote(t.Context(), b.by("coder-1"), p.ID, "cto", Ballot{Verdict: VerdictApprove, EventID: "$x", At: began, How: HowReaction})
				requireRefused(r, CodeNotSeated, err)
			},
			"": func(r *rapid.T) {
				now, err := b.Proposal(t.Context(), p.ID)
				require.NoError(r, err)
				want := model.tally()
				require.Equal(r, want["missing"], len(now.Tally.Missing))
				require.Equal(r, []int{want[VerdictApprove], want[VerdictReject], want[VerdictAbstain]}, []int{now.Tally.Approve, now.Tally.Reject, now.Tally.Abstain})
				settled := want[VerdictApprove] >= 2 || want[VerdictApprove]+want["missing"] < 2
				require.Equal(r, settled, now.Settling != "")
			},
		})
		_, err = b.PutSeat(t.Context(), b.by("olga"), Seat{Seat: "cto", Lens: "sense", Identity: "ben"})
		require.NoError(r, err)
		want := model.tally()
		closed, err := b.ReadRoom(t.Context(), b.by("olga"), p.ID, Reading{Room: "!a", Through: p.ClosesAt})
		require.NoError(r, err)
		state := ProposalRejected
		if want[VerdictApprove] >= 2 {
			state = ProposalPassed
		} else if want["missing"] > 1 {
			state = ProposalExpired
		}
		require.Equal(r, state, closed.State)
	})
}

func requireRefused(t require.TestingT, code string, err error) {
	refused := refusal(err)
	require.NotNil(t, refused, "%v", err)
	require.Equal(t, code, refused.Code, refused.Detail)
}
