package commands

import (
	"context"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func budgetSetCommand() *command {
	return &command{
		name:    "budget set",
		summary: "Set a window: its limit, whose work it meters and when it resets; set again, it keeps its use.",
		about: "Without --since, --rolling or --every a new window starts now, with nothing used unless --used says so. A rolling one opens with its " +
			"first work. --scope meters one role, project or mission, over all subscriptions unless --subscription names one; provider all is every provider.",
		roles: operators,
		examples: []string{
			"budget set --provider claude --limit 500 --unit credits --reset-at +5h",
			"budget set --provider claude --subscription team-a --window weekly --limit 2M --unit tokens --reset-at fri 17:00 --used 300k",
			"budget set --provider codex --limit 100 --unit percent --since 2026-11-23T09:00+01:00 --reset-at 2026-11-30T09:00+01:00 --floor 10",
			"budget set --provider claude --window 5h --limit 45 --unit messages --rolling 5h",
			"budget set --provider claude --window weekly --model opus --limit 200 --unit messages --every \"week on mon at 09:00\" --zone Europe/Berlin",
			"budget set --provider all --window coders --scope role:coder --limit 40 --unit dollars --every \"day at 00:00\" --hours \"mon-fri 09:00-18:00\"",
		},
		grammar: func() grammar { return new(budgetSetGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			change, err := send[register.BudgetChange](ctx, s, call)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: change, Mood: MoodDone, Markdown: changeText(change, ", since no --since was given", s.zone)}, nil
		},
	}
}

type budgetSetGrammar struct {
	Provider     string `required:"" placeholder:"P" help:"Who sells the quota, such as claude; all is every provider."`
	Limit        string `required:"" placeholder:"N" field:"limit_micros" help:"The whole quota, such as 500, 40k, 2M or 12.50."`
	Unit         string `required:"" placeholder:"U" choices:"messages,tokens,dollars,credits,compute-minutes,percent" help:"What it counts: messages, tokens, dollars, credits, compute-minutes or percent."`
	ResetAt      string `placeholder:"T" kind:"time" help:"When it resets, such as +5h or fri 17:00."`
	Rolling      string `placeholder:"D" kind:"duration" help:"It opens with its first work and lasts so long, such as 5h."`
	Every        string `placeholder:"R" kind:"text" field:"recurrence" help:"It resets so often by the clock, such as week, or day at 09:00, or 2 weeks on mon at 09:00."`
	Zone         string `placeholder:"Z" help:"The time zone of that clock, such as Europe/Berlin; without it yours."`
	Hours        string `placeholder:"H" kind:"text" help:"Spread it over working hours, such as mon-fri 09:00-18:00; none takes them away."`
	Subscription string `placeholder:"S" help:"Which subscription; without it the provider's own name. All is shared by every one of them."`
	Window       string `placeholder:"NAME" help:"Which window of it; without it main."`
	Scope        string `placeholder:"WHOSE" help:"Whose work it meters, such as role:coder, project:web or mission:q4; without it all."`
	Model        string `placeholder:"M" help:"The one model whose work it meters; without it every model."`
	Since        string `placeholder:"T0" kind:"time" help:"When the window began."`
	Used         string `placeholder:"N" field:"used_micros" help:"What is already spent."`
	Floor        string `placeholder:"N" field:"floor_micros" help:"What is kept back; nothing is admitted into it."`
}

func (g *budgetSetGrammar) request(r *reader) request {
	unit, err := parseUnit(g.Unit)
	r.under("--unit", err)
	recurrence, zone := r.recurrence(g.Rolling, g.Every, g.Zone)
	return request{mutation: new(register.SetBudget(register.BudgetSetRequest{
		Provider:     r.provider("--provider", g.Provider),
		Subscription: r.account("--subscription", g.Subscription),
		Window:       r.name("--window", g.Window, "weekly"),
		Scope:        r.scope("--scope", g.Scope),
		Model:        r.matching("--model", straightDashes(g.Model), "opus", modelPattern, "letters, digits and _ . : / -, at most 64"),
		Unit:         unit,
		LimitMicros:  r.amount("--limit", g.Limit),
		FloorMicros:  r.maybeAmount("--floor", g.Floor),
		UsedMicros:   r.maybeAmount("--used", g.Used),
		Since:        r.instant("--since", g.Since),
		ResetAt:      r.instant("--reset-at", g.ResetAt),
		Recurrence:   recurrence,
		Zone:         zone,
		Hours:        r.hours("--hours", g.Hours, zone),
	}))}
}

func budgetResetCommand() *command {
	return &command{
		name:    "budget reset",
		summary: "Correct when a window resets and keep its use, or start it anew with --zero.",
		about:   "With --zero a window that recurs knows its reset by itself. Waiting work is planned anew by it.",
		roles:   operators,
		examples: []string{
			"budget reset --provider claude --reset-at tomorrow 9:00", "budget reset --provider claude --reset-at +5h --zero",
			"budget reset --provider claude --window weekly --zero",
		},
		grammar: func() grammar { return new(budgetResetGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			change, err := send[register.BudgetChange](ctx, s, call)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: change, Mood: MoodDone, Markdown: changeText(change, "", s.zone)}, nil
		},
	}
}

type budgetResetGrammar struct {
	Provider     string `required:"" placeholder:"P" kind:"provider" help:"Who sells the quota, such as claude."`
	ResetAt      string `placeholder:"T" kind:"time" help:"When it resets, such as +5h or fri 17:00."`
	Zero         bool   `help:"Start anew now with nothing spent."`
	Subscription string `placeholder:"S" help:"Which subscription; without it the provider's own name."`
	Window       string `placeholder:"NAME" help:"Which window of it; without it main."`
}

func (g *budgetResetGrammar) request(r *reader) request {
	if g.ResetAt == "" && !g.Zero {
		r.refuse(problemf("--reset-at is missing: when it resets, such as --reset-at fri 17:00."))
	}
	return request{mutation: new(register.ResetBudget(register.BudgetResetRequest{
		Provider:     r.provider("--provider", g.Provider),
		Subscription: r.account("--subscription", g.Subscription),
		Window:       r.name("--window", g.Window, "weekly"),
		ResetAt:      r.instant("--reset-at", g.ResetAt),
		Zero:         g.Zero,
	}))}
}

func windowOf(w register.Window) string { return windowName(w.Provider, w.Subscription, w.Window) }
