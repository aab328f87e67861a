package fleet

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAShareIsAlwaysOneOfAllSeats(t *testing.T) {
	t.Parallel()
	for pass, needed := range map[string][]int{
		PassMajority:  {1, 2, 2, 3, 3, 4},
		PassTwoThirds: {1, 2, 2, 3, 4, 4},
		PassUnanimous: {1, 2, 3, 4, 5, 6},
	} {
		for i, want := range needed {
			require.Equal(t, want, approvalsNeeded(i+1, pass), "%s of %d seats", pass, i+1)
		}
	}
}

// TestAnEarlyCloseIsWhatWaitingWouldHaveBroughtToo plays on every way the missing seats and the conditional ones could still go.
func TestAnEarlyCloseIsWhatWaitingWouldHaveBroughtToo(t *testing.T) {
	t.Parallel()
	verdicts := []string{"approve", "reject", "conditional", "abstain"}
	rapid.Check(t, func(t *rapid.T) {
		seats := rapid.IntRange(1, 7).Draw(t, "seats")
		quorum := rapid.IntRange(1, seats).Draw(t, "quorum")
		pass := rapid.SampledFrom([]string{PassMajority, PassTwoThirds, PassUnanimous}).Draw(t, "pass")
		chair := rapid.IntRange(-1, seats-1).Draw(t, "chair")
		var roster []Seat
		var votes []Vote
		for i := range seats {
			roster = append(roster, Seat{Seat: fmt.Sprint(i), Chair: i == chair})
			if rapid.Bool().Draw(t, "voted") {
				votes = append(votes, Vote{Seat: fmt.Sprint(i), Verdict: rapid.SampledFrom(verdicts).Draw(t, "verdict")})
			}
		}
		now := tallyOf(roster, votes, pass)
		early := now.decided(quorum)
		later := append([]Vote(nil), votes...)
		for i := range later {
			if later[i].Verdict == "conditional" {
				later[i].Accepted = rapid.Bool().Draw(t, "accepted")
			}
		}
		for _, seat := range now.Missing {
			if rapid.Bool().Draw(t, "votes later") {
				later = append(later, Vote{Seat: seat, Verdict: rapid.SampledFrom(verdicts).Draw(t, "later")})
			}
		}
		final := tallyOf(roster, later, pass)
		switch early {
		case ProposalPassed:
			require.True(t, final.passed(quorum))
			require.Equal(t, ProposalPassed, final.expired(quorum))
		case ProposalRejected:
			require.False(t, final.passed(quorum))
		default:
			best := append([]Vote(nil), votes...)
			for i := range best {
				best[i].Accepted = best[i].Verdict == "conditional"
			}
			for _, seat := range now.Missing {
				best = append(best, Vote{Seat: seat, Verdict: "approve"})
			}
			final = tallyOf(roster, best, pass)
			require.True(t, final.passed(quorum), "what is open can still pass")
		}
	})
}

func TestTheChairBreaksATieAndOnlyATie(t *testing.T) {
	t.Parallel()
	roster := []Seat{{Seat: "a", Chair: true}, {Seat: "b"}, {Seat: "c"}, {Seat: "d"}}
	votes := func(verdicts ...string) []Vote {
		var out []Vote
		for i, verdict := range verdicts {
			if verdict != "" {
				out = append(out, Vote{Seat: roster[i].Seat, Verdict: verdict})
			}
		}
		return out
	}
	for _, c := range []struct {
		pass, want string
		votes      []Vote
	}{
		{PassMajority, ProposalPassed, votes("approve", "approve", "reject", "reject")},
		{PassMajority, ProposalRejected, votes("reject", "approve", "approve", "reject")},
		{PassMajority, ProposalRejected, votes("approve", "approve", "reject", "abstain")},
		{PassMajority, ProposalOpen, votes("", "approve", "reject", "reject")},
		{PassMajority, ProposalOpen, votes("conditional", "approve", "reject", "reject")},
		{PassMajority, ProposalRejected, votes("reject", "", "", "reject")},
		{PassTwoThirds, ProposalRejected, votes("approve", "approve", "reject", "reject")},
	} {
		tally := tallyOf(roster, c.votes, c.pass)
		require.Equal(t, c.want, tally.decided(2), "%v", c.votes)
	}
	roster[0].Chair = false
	tally := tallyOf(roster, votes("approve", "approve", "reject", "reject"), PassMajority)
	require.Equal(t, ProposalRejected, tally.decided(2))
}

func TestARecusedSeatIsNoSeat(t *testing.T) {
	t.Parallel()
	roster := []Seat{{Seat: "a", Identity: "ada"}, {Seat: "b", Identity: "ben", Recused: "ben asked for it"}, {Seat: "c", Identity: "cleo"}}
	votes, _ := count(roster, []Vote{{Seat: "b", Actor: "ben", Verdict: VerdictApprove}, {Seat: "a", Actor: "ada", Verdict: VerdictApprove}}, false)
	require.Len(t, votes, 1)
	tally := tallyOf(roster, votes, PassMajority)
	require.Equal(t, Tally{Approve: 1, Seats: 2, Needed: 2, Missing: []string{"c"}}, tally)
}
