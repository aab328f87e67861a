package commands

import (
	"context"
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func budgetReadingCommand() *command {
	return &command{
		name:    "budget reading",
		summary: "Say what a provider shows as used, so that the window agrees with it.",
		about: "What it shows beyond what is booked and held is booked as use outside of any dispatch. A window nobody set is made of it if it says " +
			"the reset. What hardly can be, such as use that falls before the reset, is kept but counts only if you say it again.",
		roles: operators,
		examples: []string{
			"budget reading --provider claude --window 5h --used 42% --reset-at 14:00",
			"budget reading --provider claude --used 120",
			"budget reading --provider codex --subscription team-a --window weekly --used 300k --limit 2M --unit tokens --reset-at fri 17:00 --taken-at 9:50",
		},
		grammar: func() grammar { return new(budgetReadingGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			answer, err := send[register.ReadingAnswer](ctx, s, call)
			if err != nil {
				return Reply{}, err
			}
			reply := Reply{Data: answer, Mood: MoodDone, Markdown: readingText(answer, s.zone)}
			if answer.Reading.Verdict == register.ReadingVerdictDoubted {
				reply.Mood = MoodRefused
			}
			return reply, nil
		},
	}
}

type budgetReadingGrammar struct {
	Provider     string `required:"" placeholder:"P" help:"Who sells the quota, such as claude."`
	Used         string `required:"" placeholder:"N" field:"used_micros" help:"What is used of the whole window, such as 42% or 120."`
	Subscription string `placeholder:"S" help:"Which subscription; without it the provider's own name."`
	Window       string `placeholder:"NAME" help:"Which window of it, such as 5h or weekly; without it main."`
	Limit        string `placeholder:"N" field:"limit_micros" help:"The whole quota; without it the window keeps its own."`
	Unit         string `placeholder:"U" help:"What it counts; without it what the window counts, or percent for a new one."`
	ResetAt      string `placeholder:"T" kind:"time" help:"When it resets, such as +5h or fri 17:00."`
	TakenAt      string `placeholder:"T" kind:"time" help:"When you looked; without it now. After 15 minutes it is too old to count."`
}

func (g *budgetReadingGrammar) request(r *reader) request {
	used, percent := strings.CutSuffix(strings.TrimSpace(g.Used), "%")
	unit := g.Unit
	if percent && unit == "" {
		unit = string(register.UnitPercent)
	}
	body := register.ReadingRequest{
		Provider:     r.provider("--provider", g.Provider),
		Subscription: r.account("--subscription", g.Subscription),
		Window:       r.name("--window", g.Window, "weekly"),
		UsedMicros:   r.amount("--used", used),
		ResetAt:      r.instant("--reset-at", g.ResetAt),
		TakenAt:      r.taken(g.TakenAt),
		Source:       register.ReadingSourceUserEntered,
	}
	if unit != "" {
		var err error
		body.Unit, err = parseUnit(unit)
		r.under("--unit", err)
		if percent && err == nil && body.Unit != register.UnitPercent {
			r.refuse(problemf("--used %s is a percentage, and --unit says %s. Give what is used in %s, or leave --unit out.", g.Used, body.Unit, body.Unit))
		}
	}
	if g.Limit != "" {
		body.LimitMicros = r.amount("--limit", g.Limit)
	}
	return request{mutation: new(register.RecordReading(body))}
}

// taken reads when something was looked at: a time of day is the last one, not the next.
func (r *reader) taken(typed string) time.Time {
	at := r.instant("--taken-at", typed)
	if _, clock := clockOf(strings.ToLower(strings.TrimSpace(typed))); clock && at.After(r.at) {
		return at.AddDate(0, 0, -1)
	}
	return at
}

// readingText echoes what became of a reading: the window before and after, or why nothing changed.
func readingText(answer register.ReadingAnswer, zone *time.Location) string {
	reading, w := answer.Reading, answer.After
	name := windowName(reading.Provider, reading.Subscription, reading.Window)
	if reading.Verdict == register.ReadingVerdictDoubted {
		before := answer.Before
		return paragraph(
			fmt.Sprintf("**%s: %s read, but not believed**", name, amount(reading.UsedMicros, reading.Unit)),
			explained(reading.Cause, answer.Now, zone),
			fmt.Sprintf("Nothing has changed: %s of %s used until %s", amount(before.UsedMicros, before.Unit), amount(before.LimitMicros, before.Unit), ahead(before.ResetAt, answer.Now, zone)),
		)
	}
	lines := []string{
		fmt.Sprintf("**%s: %s of %s used until %s**", name, amount(w.UsedMicros, w.Unit), amount(w.LimitMicros, w.Unit), ahead(w.ResetAt, answer.Now, zone)),
		explained(reading.Cause, answer.Now, zone),
		fmt.Sprintf("Allowance now: %s of %s · step %s", allowance(w), amount(w.LimitMicros-w.FloorMicros, w.Unit), w.Step),
	}
	if w.ReservedMicros > 0 {
		lines = append(lines, amount(w.ReservedMicros, w.Unit)+" of it are held for work under way")
	}
	if before := answer.Before; before.Provider != "" {
		lines = append(lines, fmt.Sprintf("Before: %s of %s used until %s", amount(before.UsedMicros, before.Unit), amount(before.LimitMicros, before.Unit), instant(before.ResetAt, answer.Now, zone)))
	}
	if len(answer.Replanned) > 0 {
		lines = append(lines, "Planned anew: "+escape(strings.Join(answer.Replanned, ", ")))
	}
	return paragraph(lines...)
}

// doubted says that a reading was not believed, once for each reason in a row.
func doubted(event register.Event, zone *time.Location) string {
	reading := event.Reading
	name := windowName(reading.Provider, reading.Subscription, reading.Window)
	again := fmt.Sprintf("budget reading --provider %s --subscription %s --window %s --used 42", reading.Provider, reading.Subscription, reading.Window)
	return paragraph(
		fmt.Sprintf("**%s: a reading of %s is not believed**, from %s", name, amount(reading.UsedMicros, reading.Unit), escape(reading.Reporter)),
		explained(reading.Cause, event.At, zone),
		"It is kept and changes nothing. If you know better, say what the provider shows: "+say(again),
	)
}
