package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// LocalConfirm is the command that answers a Question, by the number the transport gave it.
const LocalConfirm = "confirm"

// Question is what is asked back before a call is carried out.
type Question struct {
	// Markdown says what would be done, without how to answer.
	Markdown string
	// Safer says that the call can only make things safer, so that a sign nobody signed may answer it too.
	Safer bool
}

// sure is the flag of the commands that are asked back.
type sure struct {
	Yes bool `help:"Do it without being asked back."`
}

// questions are the commands that are asked back, with what is asked; an empty question means that this time there is none.
var questions = map[string]func(ctx context.Context, s *session, call Call) (Question, error){
	"cancel":          askBeforeCancel,
	"resume":          askBeforeResume,
	"budget override": askBeforeOverride,
	"board appoint":   askBeforeAppoint,
	"board unseat":    askBeforeUnseat,
	"agents retire":   askBeforeRetire,
}

// loosening are the commands that spend, or loosen what holds spending back: they need a signature, and the ID of what they are about.
// A group stands for all its commands.
var loosening = []string{
	"retry", "resume", "confirm", "run", "replay", "budget set", "budget reset", "budget override", "budget policy", "vote", "board", "identity", "room", "agents retire",
}

// Loosens says whether a call needs to be signed by a trusted device wherever it is asked for.
func Loosens(call Call) bool {
	group, _, _ := strings.Cut(call.Command, " ")
	if reads := call.Mutation == nil && !isLocal(call.Command); reads {
		return false
	}
	return slices.Contains(loosening, call.Command) || slices.Contains(loosening, group)
}

func isLocal(name string) bool {
	chosen := commandNamed(name)
	return chosen != nil && chosen.local
}

// Ask says whether a call has to be confirmed before it is carried out, and what to ask. An error for which register.Retryable holds
// leaves the call as it was; a refusal is no reason to ask, since carrying the call out will tell it, and nor is what by may not do.
func Ask(ctx context.Context, api *register.API, by register.By, call Call) (question Question, asked bool, err error) {
	ask := questions[call.Command]
	if ask == nil || call.Confirmed {
		return Question{}, false, nil
	}
	s := &session{api: api, by: register.By{Actor: by.Actor}, now: time.Now}
	if s.zone, err = zoneOf(call); err != nil {
		return Question{}, false, err
	}
	who, err := api.WhoAmI(ctx, s.by)
	if err == nil && !commandNamed(call.Command).allows(append([]register.FleetRole{}, who.Roles...)) {
		return Question{}, false, nil
	}
	if err == nil {
		question, err = ask(ctx, s, call)
	}
	var refusal *register.Error
	if errors.As(err, &refusal) && !refusal.Retry() && refusal.Status >= 400 {
		return Question{}, false, nil
	}
	return question, question.Markdown != "", err
}

func askBeforeCancel(ctx context.Context, s *session, call Call) (Question, error) {
	d, err := s.dispatchOf(ctx, call)
	if err != nil || d.State != register.DispatchStateRunning {
		return Question{}, err
	}
	return Question{Safer: true, Markdown: paragraph(
		"**Cancel "+d.ID+", which is running?** Its work so far is lost.",
		worked(d, s.now()), spent(d), progressLine(d),
	)}, nil
}

func askBeforeResume(ctx context.Context, s *session, _ Call) (Question, error) {
	pause, err := s.api.Pause(ctx, s.by)
	if err != nil || !pause.Paused {
		return Question{}, err
	}
	return Question{Markdown: paragraph("**Let the fleet run again?** What waits is judged and given out at once.", pausedLine(pause, s.now(), s.zone))}, nil
}

func askBeforeOverride(ctx context.Context, s *session, call Call) (Question, error) {
	var asked register.OverrideRequest
	if err := json.Unmarshal(call.Mutation.Body, &asked); err != nil {
		return Question{}, fmt.Errorf("reading an override: %w", err)
	}
	status, err := s.api.Budgets(ctx, s.by, asked.Provider)
	if err != nil {
		return Question{}, err
	}
	subscription, name := cmp.Or(asked.Subscription, asked.Provider), cmp.Or(asked.Window, "main")
	for _, w := range status.Windows {
		if w.Subscription == subscription && w.Window == name {
			return Question{Markdown: paragraph(append([]string{"**" + overrideQuestion(asked, w, status.Now, s.zone) + "**"}, overrideGrounds(asked, w)...)...)}, nil
		}
	}
	return Question{}, nil // the gateway says which windows there are
}

// overrideQuestion is what an override would lift and for how long.
func overrideQuestion(asked register.OverrideRequest, w register.Window, now time.Time, zone *time.Location) string {
	lifted := amount(asked.Micros, cmp.Or(asked.Unit, w.Unit)) + " more " + string(cmp.Or(asked.Lifts, register.LiftPace)) + " on " + windowOf(w)
	text := "Grant " + lifted + ", for " + count(max(asked.Cycles, 1), "cycle", "cycles")
	if !asked.ExpiresAt.IsZero() {
		text += ", until " + ahead(asked.ExpiresAt, now, zone)
	}
	return text + "?"
}

// overrideGrounds is how the window stands, and why it is to be lifted.
func overrideGrounds(asked register.OverrideRequest, w register.Window) []string {
	lines := []string{"It stands at " + bare(w.UsedMicros, w.Unit) + " of " + amount(w.LimitMicros, w.Unit) + " used, step " + string(w.Step)}
	if asked.Reason != "" {
		lines = append(lines, "Why: "+escape(oneLine(asked.Reason)))
	}
	return lines
}

// LacksBrief says whether a command is a dispatch to which only the brief is missing.
func LacksBrief(asked Asked) bool {
	var usage *UsageError
	if _, err := Prepare(asked); !errors.As(err, &usage) {
		return false
	}
	asked.Attachment = "a brief"
	_, err := Prepare(asked)
	return err == nil
}

// AskBrief asks whether a file that a dispatch only points at is the brief that is meant.
func AskBrief(call Call, file string) (Question, error) {
	var asked register.DispatchRequest
	if err := json.Unmarshal(call.Mutation.Body, &asked); err != nil {
		return Question{}, fmt.Errorf("reading a dispatch: %w", err)
	}
	brief := strings.TrimSpace(asked.Brief)
	return Question{Markdown: paragraph("**Dispatch to "+escape(asked.Role)+" with "+escape(file)+" as the brief?**",
		"It has "+count(strings.Count(brief, "\n")+1, "line", "lines")+" and begins: "+escape(cut(oneLine(brief), 120)))}, nil
}

func confirmCommand() *command {
	return &command{
		name:     LocalConfirm,
		aliases:  []string{"yes"},
		summary:  "Say yes to what you were asked back, once and while it is asked.",
		about:    "Cancelling running work, resuming, overriding, taking a seat from somebody and retiring an agent are asked back unless --yes is given. Only whoever asked can confirm.",
		examples: []string{"confirm C7"},
		grammar:  func() grammar { return new(questionArgument) },
		run:      onlyInRooms,
		local:    true,
	}
}

var questionID = regexp.MustCompile(`^#?(?:[Cc]-?)?([1-9][0-9]{0,17})$`)

type questionArgument struct {
	Question string `arg:"" placeholder:"C7" help:"The number of the question, such as C7."`
}

func (g *questionArgument) request(r *reader) request {
	return request{arguments: r.local(g.Question, questionID, "a question", "C7")}
}
