package fleet

// Tally counts the live votes of a proposal over its seats.
type Tally struct {
	Approve     int      `json:"approve"`
	Reject      int      `json:"reject"`
	Conditional int      `json:"conditional"`
	Abstain     int      `json:"abstain"`
	Seats       int      `json:"seats"`
	Needed      int      `json:"needed"`
	Missing     []string `json:"missing"`
}

// The pass rules; a share is always one of all seats, so that staying away is never an approval.
const (
	PassMajority  = "majority"
	PassTwoThirds = "two-thirds"
	PassUnanimous = "unanimous"
)

// The states of a proposal.
const (
	ProposalOpen     = "open"
	ProposalPassed   = "passed"
	ProposalRejected = "rejected"
	ProposalExpired  = "expired"
)

func tallyOf(roster []Seat, votes []Vote, pass string) Tally {
	tally := Tally{Seats: len(roster), Needed: approvalsNeeded(len(roster), pass), Missing: []string{}}
	voted := make(map[string]string, len(votes))
	for _, vote := range votes {
		voted[vote.Seat] = vote.Verdict
	}
	for _, seat := range roster {
		switch voted[seat.Seat] {
		case "approve":
			tally.Approve++
		case "reject":
			tally.Reject++
		case "conditional":
			tally.Conditional++
		case "abstain":
			tally.Abstain++
		default:
			tally.Missing = append(tally.Missing, seat.Seat)
		}
	}
	return tally
}

func approvalsNeeded(seats int, pass string) int {
	switch pass {
	case PassUnanimous:
		return seats
	case PassTwoThirds:
		return (2*seats + 2) / 3
	}
	return seats/2 + 1
}

// decided is the state the votes call for: passed once the approvals and the quorum are there, rejected once the seats that have
// not voted, or voted conditionally, cannot make up the approvals; else still open.
func (t Tally) decided(quorum int) string {
	switch {
	case t.Approve >= t.Needed && t.Seats-len(t.Missing) >= quorum:
		return ProposalPassed
	case t.Approve+t.Conditional+len(t.Missing) < t.Needed:
		return ProposalRejected
	}
	return ProposalOpen
}

// expired is the state when time is up: without a quorum nobody has decided.
func (t Tally) expired(quorum int) string {
	if t.Seats-len(t.Missing) < quorum {
		return ProposalExpired
	}
	return ProposalRejected
}
