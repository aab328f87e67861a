package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func dispatchCommand() *command {
	return &command{
		name:    "dispatch",
		summary: "Ask for work; the ladder admits, downgrades, queues or refuses it at once.",
		about: "The brief is the rest of the line, a quoted text, a code block, or the lines that follow. " +
			"A phone's dashes and quotes outside the brief are understood; the brief itself is kept as it is.",
		roles: operators,
		examples: []string{
			`dispatch coder "Add a health check to the collector" --estimate 4`,
			`dispatch reviewer "Review the open merge requests" --model sonnet --exact --deadline +2h`,
			`dispatch tester "Test the health check" --after D-3,D-4`,
			`dispatch coder "Move the collector to the new store" --estimate 40ktokens --estimate 2percent --context 150k`,
			`dispatch coder "Write the release notes" --finish-by "fri 17:00" --takes 30m`,
			`dispatch coder "Mend the login page" --class hotfix --priority 9 --dry-run`,
		},
		grammar: func() grammar { return new(dispatchGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			d, err := send[register.Dispatch](ctx, s, call)
			if err != nil {
				return Reply{}, err
			}
			return dispatchReply(d, s.zone), nil
		},
	}
}

type dispatchGrammar struct {
	Role     string   `arg:"" help:"The role that is to do it, such as coder."`
	Brief    string   `arg:"" kind:"text" placeholder:"brief" help:"What is to be done."`
	Model    string   `placeholder:"M" help:"The highest tier that may be used; without it the highest there is."`
	Exact    bool     `help:"Never downgrade below the model."`
	Estimate []string `placeholder:"N" kind:"estimate" sep:"none" help:"What the run will spend, such as 10, 10credits or 40ktokens; give it once for each unit."`
	Deadline string   `placeholder:"T" kind:"time" help:"The latest start, such as +2h or fri 17:00; without it the dispatch waits as long as it takes."`
	FinishBy string   `placeholder:"T" kind:"time" help:"When it has to be over, instead of a latest start, which is worked out of how long the run takes."`
	Takes    string   `placeholder:"D" kind:"duration" help:"How long the run takes, such as 30m or 1h30m, for --finish-by; without it earlier runs say."`
	Context  string   `placeholder:"N" kind:"estimate" field:"context_tokens" help:"The largest context one session of the run will need, in tokens, such as 150k."`
	Attempts string   `placeholder:"1-10" field:"max_attempts" help:"How often it is tried before a lost worker fails it; 3 unless given."`
	After    string   `placeholder:"D-3,D-4" kind:"dispatch" field:"depends_on" help:"What has to be done first; it waits, and holds nothing, until all of them are."`
	Priority string   `placeholder:"0-9" help:"Higher goes first; 5 unless given."`
	Project  string   `placeholder:"NAME" help:"The project it belongs to."`
	Mission  string   `placeholder:"NAME" help:"The mission it belongs to."`
	Class    string   `placeholder:"CLASS" choices:"strategic,technical,hotfix" field:"brief_class" help:"strategic, technical or hotfix; technical unless given."`
	DryRun   bool     `help:"Say what would be decided, and reserve nothing."`
}

func (g *dispatchGrammar) request(r *reader) request {
	body := register.DispatchRequest{
		Role:       r.name("The role", g.Role, "coder"),
		Brief:      r.required("The brief", g.Brief, 65536),
		BriefClass: register.DispatchRequestBriefClass(r.choice("--class", g.Class, "strategic", "technical", "hotfix")),
		Deadline:   r.instant("--deadline", g.Deadline),
		DryRun:     g.DryRun,
		Exact:      g.Exact,
		Mission:    r.text("--mission", g.Mission, 128),
		Model:      strings.ToLower(r.text("--model", straightDashes(g.Model), 64)),
		Origin:     r.origin,
		Project:    r.text("--project", g.Project, 128),
	}
	body.Estimate = r.estimates("--estimate", g.Estimate)
	body.FinishBy, body.TakesSeconds = r.finish(g.Deadline, g.FinishBy, g.Takes)
	body.ContextTokens = r.context("--context", g.Context)
	if g.Attempts != "" {
		body.MaxAttempts = r.number("--attempts", g.Attempts, 1, 10, "2")
	}
	for one := range strings.FieldsFuncSeq(g.After, func(char rune) bool { return char == ',' || char == ' ' }) {
		body.DependsOn = append(body.DependsOn, r.dispatch("--after", one))
	}
	if g.Priority != "" {
		body.Priority = new(r.number("--priority", g.Priority, 0, 9, "7"))
	}
	return request{mutation: new(register.CreateDispatch(body))}
}

// dispatchReply words the ladder's decision; instants are told from when it fell.
func dispatchReply(d register.Dispatch, zone *time.Location) Reply {
	reply := Reply{Data: d, Mood: MoodDone}
	switch d.State {
	case register.DispatchStateQueued:
		reply.Mood = MoodWaiting
	case register.DispatchStateRefused:
		reply.Mood = MoodRefused
	}
	if d.DryRun {
		reply.Mood = MoodDone
		reply.Markdown = paragraph("**Dry run: "+decided(d, "it would be ")+".** Nothing is reserved or recorded.", because(d, zone))
		return reply
	}
	reply.Markdown = paragraph("**"+d.ID+" "+decided(d, "")+"**", because(d, zone), wayOut(d))
	return reply
}

// decided is the state in a few words: "ready on sonnet, downgraded from opus".
func decided(d register.Dispatch, would string) string {
	text := would + ending(d) + on(d)
	if d.Downgraded {
		text += ", downgraded from " + escape(d.ModelRequested)
	}
	return text
}

func on(d register.Dispatch) string {
	if d.Model == "" {
		return ""
	}
	return " on " + escape(d.Model)
}

// because says what was reserved, when it starts, and why.
func because(d register.Dispatch, zone *time.Location) string {
	var lines []string
	if d.State == register.DispatchStateQueued && !d.PromisedStart.IsZero() {
		lines = append(lines, "Promised start: **"+ahead(d.PromisedStart, d.CreatedAt, zone)+"**")
	}
	lines = append(lines, reserved(d), learnedLine(d), latestStart(d, zone))
	return paragraph(append(lines, explained(d.Reason, d.CreatedAt, zone))...)
}

// reserved says what the windows hold for a dispatch.
func reserved(d register.Dispatch) string {
	if len(d.Holds) == 0 {
		return ""
	}
	held := make([]string, len(d.Holds))
	for i, hold := range d.Holds {
		held[i] = fmt.Sprintf("%s on %s", amount(hold.Micros, hold.Unit), windowName(hold.Provider, hold.Subscription, hold.Window))
	}
	if d.DryRun {
		return "It would reserve " + listing(held, "and")
	}
	return "Reserved: " + listing(held, "and")
}

// wayOut says what can be done about a refusal, or a worker that is missing. The board may lift pace, never the cap.
func wayOut(d register.Dispatch) string {
	if lacksWorker(d) {
		return "Start one on its host: " + strings.Replace(startWorker, "coder", escape(d.Role), 1) + "; who is there: " + say("agents")
	}
	if d.State != register.DispatchStateRefused {
		return ""
	}
	if paced(d) {
		return "The board can lift the pace for it: " + say(fmt.Sprintf(`board propose "Run %s now" --for %s`, d.ID, d.ID))
	}
	return "The board cannot lift a cap. Lower the estimate, allow a cheaper model, or wait for the reset; " + say("budget explain "+d.ID) + " shows each try."
}

// paced says whether pace alone, or the line it makes, kept a dispatch from starting.
func paced(d register.Dispatch) bool {
	return slices.ContainsFunc(d.Attempts, func(a register.RoutingAttempt) bool {
		return a.Verdict == register.RoutingAttemptVerdictOverPace || a.Verdict == register.RoutingAttemptVerdictLineAhead
	})
}

// windowName is a window's shortest clear name: claude, claude/team-a, claude/team-a weekly.
func windowName(provider, subscription, window string) string {
	name := escape(provider)
	if subscription != "" && subscription != provider {
		name += "/" + escape(subscription)
	}
	if window != "" && window != "main" {
		name += " " + escape(window)
	}
	return name
}
