package commands

import (
	"context"
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func boardProposeCommand() *command {
	return &command{
		name:    "board propose",
		aliases: []string{"propose"},
		summary: "Put a question to the board; with --for D-12 its pass lifts the pace for that refused dispatch.",
		about:   "The first line of a title of several lines is the title; the rest is the body, unless --body gives one.",
		roles:   proposers,
		examples: []string{
			`board propose "Run the release audit now" --for D-12`,
			`board propose "Move the fleet to codex" --body "Half the cost for a third of the speed." --quorum 3 --pass two-thirds --closes 48h`,
			`board propose "More for the release" --override claude:40:2`,
			`board propose "Stop for the incident" --pause --signed`,
			`board propose "Pay off the debt" --dispatch "coder Remove the old store --estimate 40" --pass unanimous`,
		},
		grammar: func() grammar { return new(proposeGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			p, err := send[register.Proposal](ctx, s, call)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: p, Mood: MoodDone, Markdown: proposedText(p, s.zone)}, nil
		},
	}
}

type proposeGrammar struct {
	Title    string `arg:"" kind:"text" placeholder:"title" help:"The question, in one line."`
	Body     string `placeholder:"TEXT" kind:"text" help:"What the board should know."`
	Quorum   string `placeholder:"N" help:"Seats that must vote; without it more than half."`
	Pass     string `placeholder:"RULE" choices:"majority,two-thirds,unanimous" help:"majority, two-thirds or unanimous; majority unless given."`
	Closes   string `placeholder:"T" kind:"time" field:"closes_at" help:"When voting ends, such as 24h, which it is unless given, or fri 17:00."`
	Signed   bool   `help:"Only votes written in an encrypted room from a verified device count; reactions show an intent."`
	For      string `placeholder:"D-12" kind:"dispatch" field:"action.dispatch" help:"The refused dispatch whose pace the board is to lift."`
	Override string `placeholder:"P:N[:CYCLES]" field:"action.override" help:"Lift the pace of a provider's window by an amount, for some cycles, such as claude:40 or claude:40credits:2."`
	Pause    bool   `help:"Pause the fleet if it passes."`
	Resume   bool   `help:"Let the fleet resume if it passes."`
	Dispatch string `placeholder:"WORK" kind:"text" field:"action.request" help:"Work to dispatch if it passes, written as the command dispatch does."`
}

func (g *proposeGrammar) request(r *reader) request {
	title, more, _ := strings.Cut(strings.TrimSpace(g.Title), "\n")
	if g.Body == "" {
		g.Body = strings.TrimSpace(more)
	}
	body := register.ProposalRequest{
		Title:    r.required("The title", strings.TrimSpace(title), 200),
		Body:     r.text("--body", g.Body, 16384),
		Pass:     register.PassRule(r.choice("--pass", g.Pass, "majority", "two-thirds", "unanimous")),
		ClosesAt: r.instant("--closes", fromNow(g.Closes)),
		Origin:   r.origin,
	}
	body.Signed, body.Action = g.Signed, g.action(r)
	if g.Quorum != "" {
		body.Quorum = r.number("--quorum", g.Quorum, 1, 1000, "3")
	}
	return request{mutation: new(register.OpenProposal(body))}
}

// fromNow lets a bare length, such as 24h, mean that long from now.
func fromNow(typed string) string {
	if relativeTime.MatchString("+" + strings.ToLower(typed)) {
		return "+" + typed
	}
	return typed
}

func proposedText(p register.Proposal, zone *time.Location) string {
	lines := []string{fmt.Sprintf("**%s is open: %s**", p.ID, escape(p.Title)), actionLine(p, zone)}
	lines = append(lines, fmt.Sprintf("%s; closes %s", passLine(p), ahead(p.ClosesAt, p.OpenedAt, zone)))
	if p.Signed {
		return paragraph(append(lines, signedLine(p))...)
	}
	return paragraph(append(lines, recusedLine(p), "Vote: "+say(fmt.Sprintf("vote %s approve", p.ID))+", or react in the board's room")...)
}

// actionLine says in plain words what passing it does.
func actionLine(p register.Proposal, zone *time.Location) string {
	if p.ActionText == "" {
		return "If it passes: nothing is carried out by itself"
	}
	return "If it passes: " + explained(p.ActionText, p.OpenedAt, zone)
}

// passLine says what it takes: "2 of 3 seats must approve (majority), 2 must vote".
func passLine(p register.Proposal) string {
	return fmt.Sprintf("%d of %s must approve (%s), %d must vote", p.Tally.Needed, count(p.Tally.Seats, "seat", "seats"), p.Pass, p.Quorum)
}

func boardListCommand() *command {
	return &command{
		name:     "board list",
		aliases:  []string{"proposals", "board status"},
		summary:  "The newest proposals, of one state if you name it.",
		examples: []string{"board list", "board list open"},
		grammar:  func() grammar { return new(boardListGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			state, err := argumentsOf[register.ProposalState](call)
			if err != nil {
				return Reply{}, err
			}
			list, err := s.api.Proposals(ctx, s.by, state, "", 20)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: list, Mood: MoodDone, Markdown: proposalsText(list, state, s.now(), s.zone)}, nil
		},
	}
}

type boardListGrammar struct {
	State string `arg:"" optional:"" choices:"open,passed,rejected,expired,withdrawn" help:"open, passed, rejected, expired or withdrawn."`
}

func (g *boardListGrammar) request(r *reader) request {
	return request{arguments: r.choice("The state", g.State, "open", "passed", "rejected", "expired", "withdrawn")}
}

func proposalsText(list register.ProposalList, state register.ProposalState, now time.Time, zone *time.Location) string {
	if len(list.Proposals) == 0 {
		if state != "" {
			return "**No proposal is " + string(state) + ".**"
		}
		return "**No proposal yet.** Ask the board: " + say(`board propose "…"`)
	}
	items := make([]string, len(list.Proposals))
	for i, p := range list.Proposals {
		items[i] = fmt.Sprintf("**%s** %s · %s · %s", p.ID, p.State, escape(p.Title), tallyShort(p.Tally))
		if p.State == register.ProposalStateOpen {
			items[i] += " · closes " + ahead(p.ClosesAt, now, zone)
		}
	}
	return bullets("**"+count(len(items), "proposal", "proposals")+"**", items...)
}

func boardShowCommand() *command {
	return &command{
		name:     "board show",
		summary:  "One proposal: its action, votes and outcome.",
		examples: []string{"board show P-7"},
		grammar:  func() grammar { return new(proposalArgument) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			id, err := argumentsOf[string](call)
			if err != nil {
				return Reply{}, err
			}
			p, err := s.api.Proposal(ctx, s.by, id)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: p, Mood: MoodDone, Markdown: ProposalMessage(p, s.keys(ctx, p), s.zone)}, nil
		},
	}
}

// keys are the reactions that vote on a proposal, where it can be voted on; without them its message only says what to write.
func (s *session) keys(ctx context.Context, p register.Proposal) register.BoardKeys {
	if p.State != register.ProposalStateOpen {
		return register.BoardKeys{}
	}
	board, err := s.api.Board(ctx, s.by)
	if err != nil {
		return register.BoardKeys{}
	}
	return board.Keys
}

type proposalArgument struct {
	Proposal string `arg:"" placeholder:"P-7" kind:"proposal" help:"The proposal, such as P-7."`
}

func (g *proposalArgument) request(r *reader) request {
	return request{arguments: r.proposal("", g.Proposal)}
}

// nothing is the grammar of a command without flags and arguments.
type nothing struct{}

func (*nothing) request(*reader) request { return request{} }
