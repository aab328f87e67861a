package commands

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// anySeat stands in a prepared vote's path until Run reads which seat the actor holds.
const anySeat = "{seat}"

func voteCommand() *command {
	return &command{
		name:     "vote",
		aliases:  []string{"board vote"},
		summary:  "Cast, change or withdraw the vote of your seat.",
		about:    "Abstain counts for the quorum only. A conditional vote needs its condition as the reason. With two seats, --seat says which one votes.",
		roles:    voters,
		examples: []string{"vote P-7 approve", `vote P-7 reject "the audit can wait until the reset"`, `vote P-7 conditional "after the freeze"`, "vote P-7 withdraw"},
		grammar:  func() grammar { return new(voteGrammar) },
		run:      runVote,
	}
}

type voteGrammar struct {
	Proposal string `arg:"" placeholder:"P-7" kind:"proposal" help:"The proposal, such as P-7."`
	Verdict  string `arg:"" placeholder:"approve|reject|conditional|abstain|withdraw" choices:"approve,reject,conditional,abstain,withdraw" help:"approve, reject, conditional or abstain; withdraw takes your vote back."`
	Reason   string `arg:"" optional:"" kind:"text" placeholder:"why" help:"Why."`
	Seat     string `placeholder:"SEAT" help:"Which of your seats votes, if you hold more than one."`
}

// verdicts are the words a vote may be given in.
var verdicts = map[string]string{"yes": "approve", "approved": "approve", "no": "reject", "rejected": "reject", "✅": "approve", "👍": "approve", "❌": "reject", "👎": "reject", "⚠": "conditional", "⚪": "abstain"}

// voteArguments are what the reply to a vote needs, and where its seat is read.
type voteArguments struct {
	Proposal string `json:"proposal"`
}

func (g *voteGrammar) request(r *reader) request {
	typed := strings.TrimRight(strings.ToLower(visible(g.Verdict)), ".,:")
	if meant := verdicts[typed]; meant != "" {
		typed = meant
	}
	proposal := r.proposal("", g.Proposal)
	verdict := r.choice("The verdict", typed, "approve", "reject", "conditional", "abstain", "withdraw")
	reason := r.text("The reason", g.Reason, 2000)
	if verdict == "conditional" && strings.TrimSpace(reason) == "" {
		r.refuse(problemf("A conditional vote needs its condition as a reason, such as conditional \"after the freeze\"."))
	}
	seat := anySeat
	if g.Seat != "" {
		seat = r.name("--seat", strings.ToLower(g.Seat), "cto")
	}
	// In a room a command is heard only if it came encrypted from a verified device; on a terminal the voter's own token vouches.
	signed := r.origin.Transport == register.OriginTransportMatrix
	if verdict == "withdraw" {
		back := register.WithdrawVoteParams{At: maybe(r.said)}
		if signed {
			back.Signed, back.ByEvent = &signed, maybe(r.origin.Event)
		}
		return request{mutation: new(register.TakeBack(proposal, seat, back)), arguments: voteArguments{Proposal: proposal}}
	}
	ballot := register.VoteRequest{Verdict: register.Verdict(verdict), Reason: reason, EventID: r.origin.Event, At: r.said, Signed: signed}
	return request{mutation: new(register.CastVote(proposal, seat, ballot)), arguments: voteArguments{Proposal: proposal}}
}

func runVote(ctx context.Context, s *session, call Call) (Reply, error) {
	call, seat, err := s.seated(ctx, call)
	if err != nil {
		return Reply{}, err
	}
	p, err := send[register.Proposal](ctx, s, call)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Data: p, Mood: MoodDone, Markdown: votedText(p, seat, s.zone)}, nil
}

// seated puts the actor's seat into a vote's path. The roster of a proposal never changes, so a retry sends the same path.
func (s *session) seated(ctx context.Context, call Call) (Call, string, error) {
	if call.Mutation == nil {
		return call, "", fmt.Errorf("carrying out %q: the stored call holds no request", call.Command)
	}
	path := call.Mutation.Path
	address, after, _ := strings.Cut(path, "?")
	placeholder := "/" + url.PathEscape(anySeat)
	if !strings.HasSuffix(address, placeholder) {
		return call, address[strings.LastIndexByte(address, '/')+1:], nil
	}
	arguments, err := argumentsOf[voteArguments](call)
	if err != nil {
		return call, "", err
	}
	who, err := s.api.WhoAmI(ctx, s.by)
	if err != nil {
		return call, "", err
	}
	p, err := s.api.Proposal(ctx, s.by, arguments.Proposal)
	if err != nil {
		return call, "", err
	}
	seat, err := seatOf(p, who)
	if err != nil {
		return call, "", err
	}
	mutation := *call.Mutation
	mutation.Path = strings.TrimSuffix(address, placeholder) + "/" + url.PathEscape(seat)
	if after != "" {
		mutation.Path += "?" + after
	}
	call.Mutation = &mutation
	return call, seat, nil
}

// seatOf is the one seat that who holds on a proposal's roster; none or several is a refusal.
func seatOf(p register.Proposal, who register.Identity) (string, error) {
	var held, deputising, seats []string
	for _, seat := range p.Roster {
		seats = append(seats, seat.Seat)
		switch who.Name {
		case seat.Identity:
			held = append(held, seat.Seat)
		case seat.Deputy:
			deputising = append(deputising, seat.Seat)
		}
	}
	if len(held) == 0 {
		held = deputising
	}
	switch len(held) {
	case 1:
		return held[0], nil
	case 0:
		return "", &register.Error{
			Status: 403, Code: register.ProblemCodeNotSeated,
			Detail: fmt.Sprintf("You hold no seat on %s; it is voted on by %s.", p.ID, listing(seats, "and")),
		}
	}
	return "", &register.Error{
		Status: 403, Code: register.ProblemCodeNotSeated,
		Detail:  fmt.Sprintf("You hold several seats on %s: %s.", p.ID, listing(held, "and")),
		Example: fmt.Sprintf("vote %s approve --seat %s", p.ID, held[0]),
	}
}

func votedText(p register.Proposal, seat string, zone *time.Location) string {
	verdict := "none"
	for _, vote := range p.Votes {
		if vote.Seat == seat {
			verdict = string(vote.Verdict)
		}
	}
	if p.State != register.ProposalStateOpen {
		return paragraph(fmt.Sprintf("**%s %s**, your vote as %s: %s", p.ID, p.State, escape(seat), verdict), tallyShort(p.Tally), outcomeLine(p, zone))
	}
	return paragraph(fmt.Sprintf("**Your vote as %s on %s: %s**", escape(seat), p.ID, verdict), tallyShort(p.Tally), missingLine(p), settlingLine(p, zone),
		"Closes "+instant(p.ClosesAt, p.OpenedAt, zone))
}

// maybe is nil for nothing.
func maybe[Value comparable](value Value) *Value {
	var nothing Value
	if value == nothing {
		return nil
	}
	return &value
}
