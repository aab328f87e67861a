package commands

import (
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// ProposalMessage is the board's message for a proposal as it stands: the action in plain words, the tally, who has not voted, when it
// closes and how to vote; for a closed one its result. It tells no distances in time, since it is edited and read at any time.
func ProposalMessage(p register.Proposal, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	head := fmt.Sprintf("**%s: %s**", p.ID, escape(p.Title))
	if p.State != register.ProposalStateOpen {
		head = fmt.Sprintf("**%s %s: %s**", p.ID, p.State, escape(p.Title))
	}
	text := head
	if p.Body != "" {
		text += "\n\n" + quote(cut(p.Body, 2000), 20) + "\n\n"
	} else {
		text += "  \n"
	}
	if p.State == register.ProposalStateOpen {
		return text + paragraph(actionLine(p, zone), passLine(p), tallyShort(p.Tally), missingLine(p), "Closes "+instant(p.ClosesAt, p.OpenedAt, zone)+" · opened by "+escape(p.OpenedBy),
			"Vote: react ✅ or ❌, or write "+say(fmt.Sprintf(`vote %s approve "why"`, p.ID)))
	}
	return text + result(p, zone)
}

// tallyShort is the count of the votes in one line.
func tallyShort(t register.Tally) string {
	text := fmt.Sprintf("✅ %d · ❌ %d", t.Approve, t.Reject)
	if t.Conditional > 0 {
		text += fmt.Sprintf(" · conditional %d", t.Conditional)
	}
	if t.Abstain > 0 {
		text += fmt.Sprintf(" · abstain %d", t.Abstain)
	}
	return text + fmt.Sprintf(" · %d of %d voted", t.Seats-len(t.Missing), t.Seats)
}

func missingLine(p register.Proposal) string {
	if len(p.Tally.Missing) == 0 {
		return ""
	}
	return "Not voted: " + escape(strings.Join(p.Tally.Missing, ", "))
}

// result is a closed proposal's result: the votes by seat with their reasons, and what became of the action.
func result(p register.Proposal, zone *time.Location) string {
	lines := []string{tallyShort(p.Tally), outcomeLine(p, zone)}
	for _, vote := range p.Votes {
		line := fmt.Sprintf("%s (%s): %s", escape(vote.Seat), escape(vote.Actor), vote.Verdict)
		if vote.Reason != "" {
			line += ", “" + escape(cut(oneLine(vote.Reason), 200)) + "”"
		}
		lines = append(lines, line)
	}
	return paragraph(append(lines, missingLine(p))...)
}

// outcomeLine says what became of the linked action.
func outcomeLine(p register.Proposal, zone *time.Location) string {
	switch {
	case p.State == register.ProposalStateOpen:
		return ""
	case p.Outcome.CarriedOut:
		return "Carried out: " + explained(p.Outcome.Text, p.OpenedAt, zone)
	case p.Outcome.Text != "":
		return "Passed, but not carried out: " + explained(p.Outcome.Text, p.OpenedAt, zone)
	case p.State == register.ProposalStateExpired:
		return "It closed without enough votes; nothing is carried out."
	case p.State == register.ProposalStateRejected:
		return "Nothing is carried out."
	}
	return "There was nothing to carry out."
}
