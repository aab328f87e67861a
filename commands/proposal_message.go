package commands

import (
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// ProposalMessage is the board's message for a proposal as it stands: the action in plain words, the tally, who has not voted, when it
// closes and how to vote, with which reactions; for a closed one its result. It tells no distances in time, since it is edited and read at
// any time.
func ProposalMessage(p register.Proposal, keys register.BoardKeys, zone *time.Location) string {
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
	if p.State != register.ProposalStateOpen {
		return text + result(p, zone)
	}
	lines := []string{
		actionLine(p, zone), passLine(p), recusedLine(p), tallyShort(p.Tally), settlingLine(p, zone), missingLine(p), intentLine(p),
		"Closes " + instant(p.ClosesAt, p.OpenedAt, zone) + " · opened by " + escape(opener(p)), signedLine(p),
	}
	if !p.Signed {
		lines = append(lines, "Vote: "+tapLine(keys)+"write "+say(fmt.Sprintf(`vote %s approve "why"`, p.ID)))
	}
	return text + paragraph(append(lines, voteLines(p, zone)...)...)
}

// tapLine names the reactions that are put under a proposal, and what each means; empty where the board's keys are not known.
func tapLine(keys register.BoardKeys) string {
	var taps []string
	for _, verdict := range []struct {
		keys  []string
		means string
	}{{keys.Approve, "approve"}, {keys.Reject, "reject"}, {keys.Conditional, "approve on a condition"}, {keys.Abstain, "abstain"}} {
		if len(verdict.keys) > 0 {
			taps = append(taps, escape(verdict.keys[0])+" "+verdict.means)
		}
	}
	if len(taps) == 0 {
		return ""
	}
	return "react " + listing(taps, "or") + "; or "
}

// opener is who opened it; what the rules open names what happened.
func opener(p register.Proposal) string {
	if p.Incident == "" {
		return p.OpenedBy
	}
	return "the board's rules, since " + incidentText(p.Incident)
}

func incidentText(incident string) string {
	kind, what, _ := strings.Cut(incident, ":")
	if kind == "refused" {
		return what + " was refused"
	}
	window, _, _ := strings.Cut(what, "@")
	return window + " reached its cap"
}

func signedLine(p register.Proposal) string {
	if !p.Signed {
		return ""
	}
	return "Signed votes only: write " + say(fmt.Sprintf(`vote %s approve "why"`, p.ID)) + " in an encrypted room from a verified session, or answer the poll in the thread. Reactions show an intent and do not count."
}

func intentLine(p register.Proposal) string {
	if len(p.Intents) == 0 {
		return ""
	}
	parts := make([]string, len(p.Intents))
	for i, vote := range p.Intents {
		parts[i] = escape(vote.Seat) + " " + string(vote.Verdict)
	}
	return "Intents by reaction, not counted: " + strings.Join(parts, ", ")
}

func recusedLine(p register.Proposal) string {
	var parts []string
	for _, seat := range p.Roster {
		if seat.Recused != "" {
			parts = append(parts, escape(seat.Seat)+" ("+escape(seat.Recused)+")")
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Recused: " + strings.Join(parts, ", ")
}

// settlingLine says that the result is certain unless a vote changes, and when it is final.
func settlingLine(p register.Proposal, zone *time.Location) string {
	if p.State != register.ProposalStateOpen || p.Settling == "" {
		return ""
	}
	return fmt.Sprintf("**%s** unless a vote changes by %s", p.Settling, instant(p.SettlesAt, p.OpenedAt, zone))
}

// tallyShort is the count of the votes in one line.
func tallyShort(t register.Tally) string {
	text := fmt.Sprintf("✅ approve %d · ❌ reject %d", t.Approve, t.Reject)
	if t.Conditional > 0 {
		text += fmt.Sprintf(" · ⚠️ conditional %d", t.Conditional)
	}
	if t.Abstain > 0 {
		text += fmt.Sprintf(" · ⚪ abstain %d", t.Abstain)
	}
	return text + fmt.Sprintf(" · %d of %d voted", t.Seats-len(t.Missing), t.Seats)
}

func missingLine(p register.Proposal) string {
	if len(p.Tally.Missing) == 0 {
		return ""
	}
	return "Not voted: " + escape(strings.Join(p.Tally.Missing, ", "))
}

// result is a closed proposal's report: what became of the action, the votes by seat with when and why, dissent and conditions.
func result(p register.Proposal, zone *time.Location) string {
	lines := append([]string{tallyShort(p.Tally), outcomeLine(p, zone)}, voteLines(p, zone)...)
	if len(p.Unread) > 0 {
		lines = append(lines, "It closed although "+count(len(p.Unread), "room was", "rooms were")+" not known to be read to the end; a vote there may have come too late.")
	}
	if !p.ClosedAt.IsZero() {
		lines = append(lines, fmt.Sprintf("Opened by %s %s, closed %s", escape(opener(p)), instant(p.OpenedAt, p.OpenedAt, zone), instant(p.ClosedAt, p.OpenedAt, zone)))
	}
	return paragraph(append(lines, missingLine(p), recusedLine(p), intentLine(p))...)
}

// voteLines are the votes that count, a seat each: who, what and why, with what an agent's persona says; once it is closed also when.
func voteLines(p register.Proposal, zone *time.Location) []string {
	var lines []string
	for _, vote := range p.Votes {
		who := vote.Actor
		if vote.Persona != "" {
			who += " as " + vote.Persona
		}
		if vote.Deputy {
			who += ", deputy"
		}
		line := fmt.Sprintf("%s (%s): %s", escape(vote.Seat), escape(who), vote.Verdict)
		if vote.Accepted {
			line += ", accepted"
		}
		if vote.Reason != "" {
			line += ", “" + escape(cut(oneLine(vote.Reason), 200)) + "”"
		}
		if dissents(p, vote) {
			line += " · dissent"
		}
		if p.State != register.ProposalStateOpen && !vote.CastAt.IsZero() {
			line += " · " + instant(vote.CastAt, p.OpenedAt, zone)
		}
		lines = append(lines, line+reviewText(vote))
	}
	return lines
}

// reviewText is an agent's review in a few words; it weighs no more than the vote.
func reviewText(vote register.Vote) string {
	text := ""
	if vote.Confidence != nil {
		text += fmt.Sprintf(" · confidence %.2g", *vote.Confidence)
	}
	for _, part := range []struct {
		name string
		said []string
	}{{"concerns", vote.Concerns}, {"recommends", vote.Recommendations}, {"risks", vote.KeyRisks}} {
		if len(part.said) > 0 {
			text += " · " + part.name + ": " + escape(cut(oneLine(strings.Join(part.said, "; ")), 200))
		}
	}
	return text
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
	case p.State == register.ProposalStateWithdrawn:
		return "Withdrawn by " + escape(p.ClosedBy) + "; nothing is carried out."
	case p.State == register.ProposalStateExpired:
		return "It closed without enough votes; nothing is carried out."
	case p.State == register.ProposalStateRejected:
		return "Nothing is carried out."
	}
	return "There was nothing to carry out."
}
