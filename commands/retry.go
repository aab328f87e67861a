package commands

import (
	"context"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func retryCommand() *command {
	return &command{
		name:    "retry",
		summary: "Ask again for work that failed, was cancelled or refused, as a new dispatch; each is retried once.",
		about: "The ask stays the same. A deadline or finish that is over is dropped, and the answer says so, unless you give it anew; " +
			"one that is still to come is kept.",
		roles:    operators,
		examples: []string{`retry D-12 "the branch is mended"`, "retry D-12", "retry D-12 --deadline +2h"},
		grammar:  func() grammar { return new(retryGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			d, err := send[register.Dispatch](ctx, s, call)
			if err != nil {
				return Reply{}, err
			}
			return dispatchReply(d, s.zone), nil
		},
	}
}

type retryGrammar struct {
	Dispatch string `arg:"" placeholder:"D-12" kind:"dispatch" help:"The dispatch, such as D-12."`
	Reason   string `arg:"" optional:"" kind:"text" placeholder:"reason" help:"Why, for whoever reads it later."`
	Deadline string `placeholder:"T" kind:"time" help:"The latest start, instead of the one that was asked for."`
	FinishBy string `placeholder:"T" kind:"time" help:"When it has to be over, instead of what was asked for."`
	Takes    string `placeholder:"D" kind:"duration" help:"How long the run takes, for --finish-by."`
}

func (g *retryGrammar) request(r *reader) request {
	id := r.dispatch("", g.Dispatch)
	body := register.RetryRequest{
		Reason: r.text("The reason", g.Reason, 500), Deadline: r.instant("--deadline", g.Deadline), Origin: r.origin,
	}
	body.FinishBy, body.TakesSeconds = r.finish(g.Deadline, g.FinishBy, g.Takes)
	return request{mutation: new(register.RetryDispatch(id, body))}
}
