package commands

import (
	"context"
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func budgetSetCommand() *command {
	return &command{
		name:    "budget set",
		summary: "Set a subscription's window: its limit and when it resets; set again, it keeps its use.",
		about:   "Without --since a new window starts now, with nothing used unless --used says so.",
		roles:   operators,
		examples: []string{
			"budget set --provider claude --limit 500 --unit credits --reset-at +5h",
			"budget set --provider claude --subscription team-a --window weekly --limit 2M --unit tokens --reset-at fri 17:00 --used 300k",
			"budget set --provider codex --limit 100 --unit percent --since 2026-11-23T09:00+01:00 --reset-at 2026-11-30T09:00+01:00 --floor 10",
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
	Provider     string `required:"" placeholder:"P" help:"Who sells the quota, such as claude."`
	Limit        string `required:"" placeholder:"N" field:"limit_micros" help:"The whole quota, such as 500, 40k, 2M or 12.50."`
	Unit         string `required:"" placeholder:"U" choices:"messages,tokens,dollars,credits,compute-minutes,percent" help:"What it counts: messages, tokens, dollars, credits, compute-minutes or percent."`
	ResetAt      string `required:"" placeholder:"T" kind:"time" help:"When it resets, such as +5h or fri 17:00."`
	Subscription string `placeholder:"S" help:"Which subscription; without it the provider's own name."`
	Window       string `placeholder:"NAME" help:"Which window of it; without it main."`
	Since        string `placeholder:"T0" kind:"time" help:"When the window began."`
	Used         string `placeholder:"N" field:"used_micros" help:"What is already spent."`
	Floor        string `placeholder:"N" field:"floor_micros" help:"What is kept back; nothing is admitted into it."`
}

func (g *budgetSetGrammar) request(r *reader) request {
	unit, err := parseUnit(g.Unit)
	r.under("--unit", err)
	return request{mutation: new(register.SetBudget(register.BudgetSetRequest{
		Provider:     r.provider("--provider", g.Provider),
		Subscription: r.account("--subscription", g.Subscription),
		Window:       r.name("--window", g.Window, "weekly"),
		Unit:         unit,
		LimitMicros:  r.amount("--limit", g.Limit),
		FloorMicros:  r.maybeAmount("--floor", g.Floor),
		UsedMicros:   r.maybeAmount("--used", g.Used),
		Since:        r.instant("--since", g.Since),
		ResetAt:      r.instant("--reset-at", g.ResetAt),
	}))}
}

func budgetResetCommand() *command {
	return &command{
		name:     "budget reset",
		summary:  "Correct when a window resets and keep its use, or start it anew with --zero.",
		roles:    operators,
		examples: []string{"budget reset --provider claude --reset-at tomorrow 9:00", "budget reset --provider claude --reset-at +5h --zero"},
		grammar:  func() grammar { return new(budgetResetGrammar) },
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
	ResetAt      string `required:"" placeholder:"T" kind:"time" help:"When it resets, such as +5h or fri 17:00."`
	Zero         bool   `help:"Start anew now with nothing spent."`
	Subscription string `placeholder:"S" help:"Which subscription; without it the provider's own name."`
	Window       string `placeholder:"NAME" help:"Which window of it; without it main."`
}

func (g *budgetResetGrammar) request(r *reader) request {
	return request{mutation: new(register.ResetBudget(register.BudgetResetRequest{
		Provider:     r.provider("--provider", g.Provider),
		Subscription: r.account("--subscription", g.Subscription),
		Window:       r.name("--window", g.Window, "weekly"),
		ResetAt:      r.instant("--reset-at", g.ResetAt),
		Zero:         g.Zero,
	}))}
}

// changeText echoes a window as it is now and as it was; why says why it begins now, where it does and was not told to.
func changeText(change register.BudgetChange, why string, zone *time.Location) string {
	w := change.After
	lines := []string{
		fmt.Sprintf("**%s: %s until %s**", windowOf(w), amount(w.LimitMicros, w.Unit), ahead(w.ResetAt, change.Now, zone)),
		began(change, why, zone),
		fmt.Sprintf("Allowance now: %s of %s · step %s", allowance(w), amount(w.LimitMicros-w.FloorMicros, w.Unit), w.Step),
	}
	if w.FloorMicros > 0 {
		lines = append(lines, "Kept back: "+amount(w.FloorMicros, w.Unit))
	}
	if before := change.Before; before.Provider != "" {
		lines = append(lines, fmt.Sprintf("Before: %s until %s, %s used", amount(before.LimitMicros, before.Unit), instant(before.ResetAt, change.Now, zone), amount(before.UsedMicros, before.Unit)))
	}
	if len(change.Replanned) > 0 {
		lines = append(lines, "Planned anew: "+escape(strings.Join(change.Replanned, ", ")))
	}
	return paragraph(lines...)
}

func began(change register.BudgetChange, why string, zone *time.Location) string {
	w := change.After
	used := amount(w.UsedMicros, w.Unit) + " used"
	if w.ReservedMicros > 0 {
		used = amount(w.UsedMicros-w.ReservedMicros, w.Unit) + " used and " + amount(w.ReservedMicros, w.Unit) + " reserved"
	}
	if change.BeganNow {
		return fmt.Sprintf("It starts now with %s%s; spending is spread evenly from here to the reset.", used, why)
	}
	return fmt.Sprintf("Since %s, %s; spending is spread evenly up to the reset.", instant(w.Since, change.Now, zone), used)
}

func windowOf(w register.Window) string { return windowName(w.Provider, w.Subscription, w.Window) }
