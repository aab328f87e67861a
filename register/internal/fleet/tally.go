package fleet

import (
	"cmp"
	"strings"
)

// The rules of voting are pure: what votes stand goes in, what they come to comes out. They are no rules of the budget, so they
// stand here and not there; a test drives them against a simple model.

// Tally counts the votes of a proposal over the seats that may vote.
type Tally struct {
	Approve     int      `json:"approve"`
	Reject      int      `json:"reject"`
	Conditional int      `json:"conditional"`
	Abstain     int      `json:"abstain"`
	Seats       int      `json:"seats"`
	Needed      int      `json:"needed"`
	Missing     []string `json:"missing"`

	// tie is what the chair makes of a tie: its verdict, chairMissing, or empty where nobody can break one.
	tie string
}

// The pass rules; a share is always one of all seats that may vote, so that staying away is never an approval.
const (
	PassMajority  = "majority"
	PassTwoThirds = "two-thirds"
	PassUnanimous = "unanimous"
)

// The states of a proposal.
const (
	ProposalOpen      = "open"
	ProposalPassed    = "passed"
	ProposalRejected  = "rejected"
	ProposalExpired   = "expired"
	ProposalWithdrawn = "withdrawn"
)

// The verdicts.
const (
	VerdictApprove     = "approve"
	VerdictReject      = "reject"
	VerdictConditional = "conditional"
	VerdictAbstain     = "abstain"
)

// How a vote came. A reaction carries no device's signature, so a homeserver could forge it; what is signed came encrypted from a
// verified device; a token vouches for whom it was issued to.
const (
	HowReaction = "reaction"
	HowSigned   = "signed"
	HowToken    = "token"
)

const chairMissing = "missing"

// count picks of the votes that stand those that count, one a seat: the holder's last, or the deputy's last while the holder has none.
// A signed proposal counts no reactions; the last one of each seat is its intent.
func count(roster []Seat, standing []Vote, signed bool) (votes, intents []Vote) {
	votes, intents = []Vote{}, []Vote{}
	for _, seat := range roster {
		if seat.Recused != "" {
			continue
		}
		var counted, intended []Vote
		for _, vote := range standing {
			switch {
			case vote.Seat != seat.Seat:
			case signed && vote.How == HowReaction:
				intended = append(intended, vote)
			default:
				counted = append(counted, vote)
			}
		}
		if vote := seat.vote(counted); vote != nil {
			votes = append(votes, *vote)
		}
		if vote := seat.vote(intended); vote != nil {
			intents = append(intents, *vote)
		}
	}
	return votes, intents
}

// vote is the seat's one live vote among those cast for it, or nil.
func (s *Seat) vote(cast []Vote) *Vote {
	if vote := lastOf(cast, s.Identity); vote != nil {
		return vote
	}
	vote := lastOf(cast, s.Deputy)
	if vote != nil {
		vote.Deputy = true
	}
	return vote
}

// lastOf is actor's last vote by the instant it was cast, whatever order it came in; of two in one instant, the one whose event has
// the greater ID, so that all who count them agree.
func lastOf(cast []Vote, actor string) *Vote {
	var last *Vote
	for i := range cast {
		if cast[i].Actor == actor && (last == nil || later(&cast[i], last)) {
			last = &cast[i]
		}
	}
	return last
}

func later(a, b *Vote) bool {
	return cmp.Or(a.CastAt.Compare(b.CastAt), strings.Compare(a.EventID, b.EventID), cmp.Compare(a.id, b.id)) > 0
}

// tallyOf counts one vote a seat. A conditional vote approves once its condition is accepted.
func tallyOf(roster []Seat, votes []Vote, pass string) Tally {
	voted := make(map[string]string, len(votes))
	for _, vote := range votes {
		voted[vote.Seat] = vote.Verdict
		if vote.Accepted {
			voted[vote.Seat] = VerdictApprove
		}
	}
	tally := Tally{Missing: []string{}}
	for _, seat := range roster {
		if seat.Recused != "" {
			continue
		}
		tally.Seats++
		verdict := voted[seat.Seat]
		switch verdict {
		case VerdictApprove:
			tally.Approve++
		case VerdictReject:
			tally.Reject++
		case VerdictConditional:
			tally.Conditional++
		case VerdictAbstain:
			tally.Abstain++
		default:
			tally.Missing = append(tally.Missing, seat.Seat)
			verdict = chairMissing
		}
		if seat.Chair && pass == PassMajority {
			tally.tie = verdict
		}
	}
	tally.Needed = approvalsNeeded(tally.Seats, pass)
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

// passed says whether the votes pass it as they are: approvals and quorum are there, or one half approves, the other rejects, and the
// chair approves.
func (t *Tally) passed(quorum int) bool {
	if t.Approve >= t.Needed {
		return t.Seats-len(t.Missing) >= quorum
	}
	return t.tie == VerdictApprove && t.Approve == t.Reject && t.Approve+t.Reject == t.Seats
}

// canPass says whether the seats that have not voted, or voted conditionally, can still pass it.
func (t *Tally) canPass() bool {
	most := t.Approve + t.Conditional + len(t.Missing)
	if most >= t.Needed {
		return true
	}
	return most == t.Reject && most+t.Reject == t.Seats && t.tie != "" && t.tie != VerdictReject
}

// decided is the state that the seats which are still to vote can no longer alter; else it is open.
func (t *Tally) decided(quorum int) string {
	switch {
	case t.passed(quorum):
		return ProposalPassed
	case !t.canPass():
		return ProposalRejected
	}
	return ProposalOpen
}

// expired is the state when time is up: without a quorum nobody has decided.
func (t *Tally) expired(quorum int) string {
	switch {
	case t.passed(quorum):
		return ProposalPassed
	case t.Seats-len(t.Missing) < quorum:
		return ProposalExpired
	}
	return ProposalRejected
}
