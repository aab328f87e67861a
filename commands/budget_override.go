package commands

import (
	"context"
	"regexp"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func budgetOverrideCommand() *command {
	return &command{
		name:    "budget override",
		summary: "Lift a window's pace, floor or own limit by an amount, for some cycles.",
		about: "The window is provider, subscription and name after colons; what is left out is the provider's own and main. " +
			"Work still passes the same gate, at the numbers the override leaves. A limit the provider reports is never lifted.",
		roles: admins,
		examples: []string{
			`budget override claude 40 --reason "The release audit must run today"`,
			`budget override claude:team-a:weekly 200k --lifts floor --cycles 2 --reason "The migration ends this week"`,
			`budget override claude 100 --lifts limit --expires "fri 17:00" --reason "Bought more"`,
		},
		grammar: func() grammar { return new(budgetOverrideGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			change, err := send[register.OverrideChange](ctx, s, call)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: change, Mood: MoodDone, Markdown: overriddenText(change, s.zone)}, nil
		},
	}
}

type budgetOverrideGrammar struct {
	Window  string `arg:"" placeholder:"P[:S[:W]]" field:"window" help:"The window: claude, claude:team-a or claude:team-a:weekly."`
	Amount  string `arg:"" placeholder:"N" field:"micros" help:"How much more in each cycle, such as 40, 40k or 40credits."`
	Lifts   string `placeholder:"WHAT" help:"pace, floor or limit; pace unless given."`
	Cycles  string `placeholder:"N" help:"For how many cycles, the current one included; 1 unless given."`
	Expires string `placeholder:"T" kind:"time" field:"expires_at" help:"When it ends at the latest, such as +2h or fri 17:00."`
	Reason  string `required:"" placeholder:"TEXT" help:"Why, for whoever reads it later."`
	sure
}

func (g *budgetOverrideGrammar) request(r *reader) request {
	provider, subscription, window := r.window(g.Window)
	body := register.OverrideRequest{
		Provider: provider, Subscription: subscription, Window: window,
		Lifts:  register.Lift(r.choice("--lifts", g.Lifts, "pace", "floor", "limit")),
		Reason: r.required("--reason", g.Reason, 500), ExpiresAt: r.instant("--expires", g.Expires),
	}
	if amounts := r.estimates("The amount", []string{g.Amount}); len(amounts) == 1 {
		body.Micros, body.Unit = amounts[0].Micros, amounts[0].Unit
		if body.Micros == 0 {
			r.refuse(problemf("The amount: %s lifts nothing; give an amount above zero, such as 40.", read(g.Amount)))
		}
	}
	if g.Cycles != "" {
		body.Cycles = r.number("--cycles", g.Cycles, 1, 1000, "2")
	}
	return request{mutation: new(register.GrantOverride(body)), confirmed: g.Yes}
}

// window reads a window as it is typed: provider, subscription and name after colons.
func (r *reader) window(typed string) (provider, subscription, name string) {
	parts := strings.Split(straightDashes(typed), ":")
	if len(parts) > 3 {
		r.refuse(problemf("The window: %s has %d parts; write provider, subscription and window, such as claude:team-a:weekly.", read(typed), len(parts)))
		return "", "", ""
	}
	parts = append(parts, "", "")
	provider = r.provider("The window's provider", parts[0])
	if provider == "" {
		r.refuse(problemf("The window: %s names no provider; write such as claude:team-a:weekly.", read(typed)))
	}
	return provider, r.account("The window's subscription", parts[1]), r.name("The window's name", parts[2], "weekly")
}

func overriddenText(change register.OverrideChange, zone *time.Location) string {
	o := change.Override
	lines := []string{"**" + o.ID + ": " + overrideLine(o, change.Now, zone) + "**"}
	if o.Reason != "" {
		lines = append(lines, "Why: "+escape(o.Reason))
	}
	return paragraph(append(lines, replannedText(change.Replanned), "To end it: "+say("budget revoke "+o.ID))...)
}

// overrideLine is an override in a few words: how much of what, where and for how long.
func overrideLine(o register.Override, now time.Time, zone *time.Location) string {
	text := amount(o.Micros, o.Unit) + " more " + string(o.Lifts) + " on " + windowName(o.Provider, o.Subscription, o.Window)
	if o.EndedAt.IsZero() {
		text += ", for " + count(o.CyclesLeft, "cycle", "cycles")
	}
	if !o.ExpiresAt.IsZero() && o.EndedAt.IsZero() {
		text += ", until " + ahead(o.ExpiresAt, now, zone)
	}
	return text
}

func replannedText(ids []string) string {
	if len(ids) == 0 {
		return "No waiting work was moved by it."
	}
	return "Waiting work planned anew: " + listing(ids, "and")
}

func budgetOverridesCommand() *command {
	return &command{
		name:     "budget overrides",
		summary:  "What is lifted now, by whom, why and for how long.",
		examples: []string{"budget overrides", "budget overrides --all"},
		grammar:  func() grammar { return new(budgetOverridesGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			all, err := argumentsOf[bool](call)
			if err != nil {
				return Reply{}, err
			}
			list, err := s.api.Overrides(ctx, s.by, all, "")
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: list, Mood: MoodDone, Markdown: overridesText(list, s.zone)}, nil
		},
	}
}

type budgetOverridesGrammar struct {
	All bool `help:"Also those that are over."`
}

func (g *budgetOverridesGrammar) request(*reader) request { return request{arguments: g.All} }

func overridesText(list register.OverrideList, zone *time.Location) string {
	if len(list.Overrides) == 0 {
		return "**Nothing is lifted.** An admin lifts a window with " + say(`budget override claude 40 --reason "why"`)
	}
	items := make([]string, len(list.Overrides))
	for i, o := range list.Overrides {
		items[i] = "**" + o.ID + "** " + overrideLine(o, list.Now, zone) + " · by " + escape(o.GrantedBy)
		if o.Proposal != "" {
			items[i] += " after " + o.Proposal
		}
		if o.Reason != "" {
			items[i] += ": " + escape(o.Reason)
		}
		if o.EndedWhy != "" {
			items[i] += " · over: " + escape(o.EndedWhy)
		}
	}
	return bullets("**"+count(len(items), "override", "overrides")+"**", items...)
}

func budgetRevokeCommand() *command {
	return &command{
		name:     "budget revoke",
		summary:  "End an override before its time; what was admitted under it stays admitted.",
		roles:    admins,
		examples: []string{"budget revoke O-3", `budget revoke O-3 --reason "The audit is done"`},
		grammar:  func() grammar { return new(budgetRevokeGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			change, err := send[register.OverrideChange](ctx, s, call)
			if err != nil {
				return Reply{}, err
			}
			text := paragraph("**"+change.Override.ID+" has ended: "+overrideLine(change.Override, change.Now, s.zone)+"**", replannedText(change.Replanned))
			return Reply{Data: change, Mood: MoodDone, Markdown: text}, nil
		},
	}
}

type budgetRevokeGrammar struct {
	Override string `arg:"" placeholder:"O-3" help:"The override, such as O-3; budget overrides lists them."`
	Reason   string `placeholder:"TEXT" help:"Why, for whoever reads it later."`
}

var overrideID = regexp.MustCompile(`^#?(?:[Oo]-?)?([1-9][0-9]{0,17})$`)

func (g *budgetRevokeGrammar) request(r *reader) request {
	id := r.id("", g.Override, overrideID, "O-", "an override", "O-3")
	return request{mutation: new(register.RevokeOverride(id, r.text("--reason", g.Reason, 500)))}
}
