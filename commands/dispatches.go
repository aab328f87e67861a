package commands

import (
	"context"
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

var states = []string{"queued", "ready", "running", "done", "failed", "cancelled", "refused"}

func listCommand() *command {
	return &command{
		name:     "list",
		aliases:  []string{"ls", "dispatches"},
		summary:  "The newest dispatches, of some states if you name them.",
		examples: []string{"list", "list queued", "list --state running,ready"},
		grammar:  func() grammar { return new(listGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			wanted, err := argumentsOf[[]register.DispatchState](call)
			if err != nil {
				return Reply{}, err
			}
			list, err := s.api.Dispatches(ctx, s.by, "", 20, wanted...)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: list, Mood: MoodDone, Markdown: listText(list, wanted, s.zone)}, nil
		},
	}
}

type listGrammar struct {
	States []string `arg:"" optional:"" placeholder:"STATE…" choices:"queued,ready,running,done,failed,cancelled,refused" help:"queued, ready, running, done, failed, cancelled or refused."`
	State  string   `placeholder:"STATE" choices:"queued,ready,running,done,failed,cancelled,refused" help:"The same as a flag; several are separated by commas."`
}

func (g *listGrammar) request(r *reader) request {
	wanted := []register.DispatchState{}
	for _, typed := range append(g.States, g.State) {
		for one := range strings.SplitSeq(typed, ",") {
			if state := r.choice("The state", strings.TrimSpace(one), states...); state != "" {
				wanted = append(wanted, register.DispatchState(state))
			}
		}
	}
	return request{arguments: wanted}
}

func listText(list register.DispatchList, wanted []register.DispatchState, zone *time.Location) string {
	what := ""
	for i, state := range wanted {
		if i > 0 {
			what += " or "
		}
		what += string(state)
	}
	if len(list.Dispatches) == 0 {
		if what == "" {
			return "**No dispatch yet.** Ask for work: " + say(`dispatch coder "…"`)
		}
		return "**No dispatch is " + what + ".**"
	}
	items := make([]string, len(list.Dispatches))
	for i, d := range list.Dispatches {
		items[i] = dispatchLine(d, list.Now, zone)
	}
	headline := "**" + count(len(items), "dispatch", "dispatches") + "**"
	if what != "" {
		headline = "**" + count(len(items), "dispatch", "dispatches") + " " + what + "**"
	}
	if list.Next != "" {
		headline = fmt.Sprintf("**The newest %d**", len(items))
	}
	return bullets(headline, items...)
}

// dispatchLine is a dispatch in one line of a list.
func dispatchLine(d register.Dispatch, now time.Time, zone *time.Location) string {
	text := "**" + d.ID + "** " + ending(d) + on(d)
	if d.State == register.DispatchStateQueued && !d.PromisedStart.IsZero() {
		text += ", starts " + ahead(d.PromisedStart, now, zone)
	}
	return text + " · " + escape(d.Role) + ": " + escape(cut(oneLine(d.Brief), 60))
}

func showCommand() *command {
	return &command{
		name:     "show",
		summary:  "One dispatch: its brief, state, spend and result.",
		examples: []string{"show D-12"},
		grammar:  func() grammar { return new(dispatchArgument) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			d, err := s.dispatchOf(ctx, call)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: d, Mood: MoodDone, Markdown: showText(d, s.now(), s.zone)}, nil
		},
	}
}

// dispatchArgument is the grammar of a command that reads one dispatch.
type dispatchArgument struct {
	Dispatch string `arg:"" placeholder:"D-12" kind:"dispatch" help:"The dispatch, such as D-12."`
}

func (g *dispatchArgument) request(r *reader) request {
	return request{arguments: r.dispatch("", g.Dispatch)}
}

func (s *session) dispatchOf(ctx context.Context, call Call) (register.Dispatch, error) {
	id, err := argumentsOf[string](call)
	if err != nil {
		return register.Dispatch{}, err
	}
	return s.api.Dispatch(ctx, s.by, id)
}

func showText(d register.Dispatch, now time.Time, zone *time.Location) string {
	lines := []string{"**" + d.ID + " " + decided(d, "") + "**", because(d, zone)}
	lines = append(lines, fmt.Sprintf("For %s (%s), asked by %s %s", escape(d.Role), escape(d.BriefClass), escape(d.CreatedBy), since(d.CreatedAt, now)))
	if len(d.Estimate) > 0 {
		lines = append(lines, "Estimate: "+amounts(d.Estimate))
	}
	if d.ContextTokens > 0 {
		lines = append(lines, "Context of a session: "+amount(d.ContextTokens*budget.Micro, register.UnitTokens))
	}
	if d.RetryOf != "" {
		lines = append(lines, "Retry of "+d.RetryOf)
	}
	if len(d.DependsOn) > 0 {
		lines = append(lines, "After: "+listing(d.DependsOn, "and"))
	}
	lines = append(lines, worked(d, now), spent(d), progressLine(d), resultLine(d), wayOut(d))
	return paragraph(lines...) + "\n\n" + quote(cut(d.Brief, 1500), 12)
}

// worked says who runs or ran it and for how long.
func worked(d register.Dispatch, now time.Time) string {
	switch {
	case d.StartedAt.IsZero():
		return ""
	case d.FinishedAt.IsZero():
		return "Running for " + length(now.Sub(d.StartedAt)) + by(d)
	}
	return "Ran " + length(d.FinishedAt.Sub(d.StartedAt)) + by(d)
}

func by(d register.Dispatch) string {
	if d.Worker == "" {
		return ""
	}
	return " by " + escape(d.Worker)
}

// spent says what a run has cost, or costs so far.
func spent(d register.Dispatch) string {
	switch {
	case len(d.Actuals) > 0:
		return "Spent: " + amounts(d.Actuals)
	case d.Unmetered != "":
		return "Unmetered: " + escape(cut(d.Unmetered, 200))
	case len(d.Metered) > 0:
		return "Spent so far: " + amounts(d.Metered)
	}
	return ""
}

func progressLine(d register.Dispatch) string {
	if d.Progress == "" || d.State != register.DispatchStateRunning {
		return ""
	}
	return "Progress: " + escape(cut(oneLine(d.Progress), 200))
}

func resultLine(d register.Dispatch) string {
	var lines []string
	if d.Result.Summary != "" {
		lines = append(lines, "Result: "+escape(cut(oneLine(d.Result.Summary), 600)))
	}
	if d.Result.Reference != "" {
		lines = append(lines, wholeResult(d))
	}
	return paragraph(lines...)
}

// wholeResult says where the result lies; a path is one of the worker's machine.
func wholeResult(d register.Dispatch) string {
	where := "Whole result: "
	if strings.HasPrefix(d.Result.Reference, "/") && d.Worker != "" {
		where = "Whole result, on the machine of " + escape(d.Worker) + ": "
	}
	return where + escape(cut(d.Result.Reference, 300))
}

func cancelCommand() *command {
	return &command{
		name:     "cancel",
		summary:  "Cancel an open dispatch; a running worker is told at its next heartbeat.",
		roles:    operators,
		examples: []string{`cancel D-12 "no longer needed"`, "cancel D-12"},
		grammar:  func() grammar { return new(cancelGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			d, err := send[register.Dispatch](ctx, s, call)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: d, Mood: MoodDone, Markdown: paragraph("**"+d.ID+" cancelled**", escape(d.Reason), spent(d))}, nil
		},
	}
}

type cancelGrammar struct {
	Dispatch string `arg:"" placeholder:"D-12" kind:"dispatch" help:"The dispatch, such as D-12."`
	Reason   string `arg:"" optional:"" kind:"text" placeholder:"reason" help:"Why, for whoever reads it later."`
	sure
}

func (g *cancelGrammar) request(r *reader) request {
	id, reason := r.dispatch("", g.Dispatch), r.text("The reason", g.Reason, 500)
	return request{mutation: new(register.CancelDispatch(id, reason)), arguments: id, confirmed: g.Yes}
}
