package commands

import (
	"context"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func pauseCommand() *command {
	return &command{
		name:     "pause",
		summary:  "Stop giving out work: nothing is admitted or claimed until resume; running work goes on.",
		roles:    operators,
		examples: []string{`pause "the provider reports an incident"`, "pause"},
		grammar:  func() grammar { return new(pauseGrammar) },
		run:      runSwitch,
	}
}

func resumeCommand() *command {
	return &command{
		name:     "resume",
		aliases:  []string{"unpause"},
		summary:  "End a pause; what waits is judged in its order, and workers get work again.",
		roles:    operators,
		examples: []string{"resume"},
		grammar:  func() grammar { return new(resumeGrammar) },
		run:      runSwitch,
	}
}

type pauseGrammar struct {
	Reason string `arg:"" optional:"" kind:"text" placeholder:"reason" help:"Why, for whoever waits."`
}

func (g *pauseGrammar) request(r *reader) request {
	return request{mutation: new(register.SetPause(register.PauseRequest{Paused: true, Reason: r.text("The reason", g.Reason, 500)}))}
}

type resumeGrammar struct{ sure }

func (g *resumeGrammar) request(*reader) request {
	return request{mutation: new(register.SetPause(register.PauseRequest{Paused: false})), confirmed: g.Yes}
}

func runSwitch(ctx context.Context, s *session, call Call) (Reply, error) {
	pause, err := send[register.Pause](ctx, s, call)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Data: pause, Mood: MoodDone, Markdown: pauseText(pause, s.now(), s.zone)}, nil
}

// pauseText says how the switch stands and what that means for work.
func pauseText(pause register.Pause, now time.Time, zone *time.Location) string {
	if pause.Paused {
		return paragraph(pausedLine(pause, now, zone), "New work is queued and nothing is claimed; running work goes on.", "Go on with "+say("resume"))
	}
	if pause.By == "" {
		return "**The fleet is not paused.**"
	}
	return paragraph("**The fleet runs**, resumed by "+escape(pause.By)+" "+instant(pause.At, now, zone), "What waited is judged in its order: "+say("status"))
}

// pausedLine is who paused the fleet, when and why.
func pausedLine(pause register.Pause, now time.Time, zone *time.Location) string {
	text := "**The fleet is paused** by " + escape(pause.By) + " since " + instant(pause.At, now, zone)
	if pause.Reason != "" {
		text += ": " + escape(oneLine(pause.Reason))
	}
	return text
}
