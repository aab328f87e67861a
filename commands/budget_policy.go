package commands

import (
	"context"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func budgetPolicyCommand() *command {
	return &command{
		name:    "budget policy",
		summary: "How work is routed between subscriptions, and how far each role may be lowered; with a flag, change it (admins).",
		about: "pace keeps all subscriptions on their even spread; drain spends first what resets first. " +
			"Work is never lowered below its role's lowest model; any lifts that.",
		examples: []string{"budget policy", "budget policy --route drain", "budget policy --lowest coder=sonnet --lowest reviewer=any", "budget policy --sticky no"},
		grammar:  func() grammar { return new(budgetPolicyGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			if call.Mutation == nil {
				policy, err := s.api.Policy(ctx, s.by)
				return Reply{Data: policy, Mood: MoodDone, Markdown: policyText(policy)}, err
			}
			policy, err := send[register.Policy](ctx, s, call)
			return Reply{Data: policy, Mood: MoodDone, Markdown: policyText(policy)}, err
		},
	}
}

type budgetPolicyGrammar struct {
	Route  string   `placeholder:"ROUTE" help:"pace or drain."`
	Sticky string   `placeholder:"YES|NO" help:"Whether work stays on the subscription its context is warm on."`
	Lowest []string `placeholder:"ROLE=MODEL" sep:"none" help:"The lowest model a role's work may be lowered to, such as coder=sonnet; coder=any lifts that."`
}

func (g *budgetPolicyGrammar) request(r *reader) request {
	if g.Route == "" && g.Sticky == "" && len(g.Lowest) == 0 {
		return request{arguments: struct{}{}}
	}
	body := register.PolicyRequest{Route: register.Route(r.choice("--route", g.Route, "pace", "drain"))}
	if g.Sticky != "" {
		body.Sticky = new(r.choice("--sticky", g.Sticky, "yes", "no") == "yes")
	}
	for _, typed := range g.Lowest {
		role, model, both := strings.Cut(straightDashes(typed), "=")
		if !both || role == "" || model == "" {
			r.refuse(problemf("--lowest: %s is not a role and a model, such as coder=sonnet.", read(typed)))
			continue
		}
		if model = strings.ToLower(r.text("--lowest", model, 64)); model == "any" {
			model = ""
		}
		body.Lowest = append(body.Lowest, register.LowestTier{Role: r.name("--lowest", role, "coder"), Model: model})
	}
	return request{mutation: new(register.SetPolicy(body))}
}

func policyText(p register.Policy) string {
	head := "**Work goes where the most is left for the time to the reset** (route pace)"
	if p.Route == register.RouteDrain {
		head = "**Work goes to what resets first** (route drain)"
	}
	var items []string
	switch {
	case p.Route == register.RouteDrain:
	case p.Sticky:
		items = append(items, "It stays where its context is warm, unless another subscription is clearly better")
	default:
		items = append(items, "It does not mind where its context is warm")
	}
	for _, lowest := range p.Lowest {
		items = append(items, "Work for "+escape(lowest.Role)+" is not lowered below "+escape(lowest.Model))
	}
	if len(p.Lowest) == 0 {
		items = append(items, "Every role may be lowered to any model of the ladder")
	}
	if p.SetBy != "" {
		items = append(items, "Set by "+escape(p.SetBy))
	}
	return bullets(head, items...)
}
