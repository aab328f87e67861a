package commands

import (
	"context"
	"fmt"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func boardAcceptCommand() *command {
	return &command{
		name:     "board accept",
		summary:  "Accept the conditions of the conditional votes on what you proposed; they then approve.",
		examples: []string{"board accept P-7"},
		grammar:  func() grammar { return &proposalChange{change: register.AcceptConditions} },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			return changed(ctx, s, call, "**The conditions of %s are accepted.**")
		},
	}
}

func boardCloseCommand() *command {
	return &command{
		name:     "board close",
		summary:  "End the voting early, after the settling time; for the chair or an admin.",
		examples: []string{"board close P-7"},
		grammar:  func() grammar { return &proposalChange{change: register.CloseProposal} },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			return changed(ctx, s, call, "**The voting on %s ends early.**")
		},
	}
}

func boardWithdrawCommand() *command {
	return &command{
		name:     "board withdraw",
		summary:  "Withdraw what you proposed; nothing is carried out.",
		examples: []string{"board withdraw P-7"},
		grammar:  func() grammar { return &proposalChange{change: register.WithdrawProposal} },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			return changed(ctx, s, call, "**%s is withdrawn.**")
		},
	}
}

type proposalChange struct {
	Proposal string `arg:"" placeholder:"P-7" kind:"proposal" help:"The proposal, such as P-7."`

	change func(string) register.Mutation
}

func (g *proposalChange) request(r *reader) request {
	return request{mutation: new(g.change(r.proposal("", g.Proposal)))}
}

func changed(ctx context.Context, s *session, call Call, head string) (Reply, error) {
	p, err := send[register.Proposal](ctx, s, call)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Data: p, Mood: MoodDone, Markdown: fmt.Sprintf(head, p.ID) + "\n\n" + ProposalMessage(p, s.keys(ctx, p), s.zone)}, nil
}
