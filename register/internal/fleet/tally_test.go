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
		var roster []Seat
		var votes []Vote
		for i := range seats {
			roster = append(roster, Seat{Seat: fmt.Sprint(i)})
			if rapid.Bool().Draw(t, "voted") {
				votes = append(votes, Vote{Seat: fmt.Sprint(i), Verdict: rapid.SampledFrom(verdicts).Draw(t, "verdict")})
			}
		}
		early := tallyOf(roster, votes, pass).decided(quorum)
		if early == ProposalOpen {
			return
		}
		later := votes
		for _, seat := range tallyOf(roster, votes, pass).Missing {
			if rapid.Bool().Draw(t, "votes later") {
				later = append(later, Vote{Seat: seat, Verdict: rapid.SampledFrom(verdicts).Draw(t, "later")})
			}
		}
		final := tallyOf(roster, later, pass)
		if early == ProposalPassed {
			require.GreaterOrEqual(t, final.Approve, final.Needed)
		} else {
			require.Less(t, final.Approve, final.Needed)
		}
	})
}
