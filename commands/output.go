package commands

import (
	"context"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func outputCommand() *command {
	return &command{
		name:     "output",
		summary:  "The whole output of a run that is over: on a terminal as text, in a room as a file.",
		about:    "All that the register keeps of it, which is the last 1 MiB.",
		examples: []string{"output D-12"},
		grammar:  func() grammar { return new(dispatchArgument) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			d, err := s.dispatchOf(ctx, call)
			if err != nil {
				return Reply{}, err
			}
			output := register.Output{Dispatch: d.ID, Text: d.Result.Summary}
			if d.Result.OutputBytes > 0 {
				if output, err = s.api.Output(ctx, s.by, d.ID); err != nil {
					return Reply{}, err
				}
			}
			if strings.TrimSpace(output.Text) == "" {
				return noOutput(d), nil
			}
			file := WholeResult(d, output.Text)
			return Reply{Data: output, Mood: MoodDone, File: file, Markdown: outputText(file.Name, d)}, nil
		},
	}
}

func noOutput(d register.Dispatch) Reply {
	text := d.ID + " has no output yet: it is " + string(d.State) + "."
	if !d.FinishedAt.IsZero() || d.State == register.DispatchStateRefused {
		text = d.ID + " (" + ending(d) + ") has no output."
	}
	return Reply{
		Markdown: paragraph("**Not done.** "+text, "Example: "+say("show "+d.ID)), Mood: MoodRefused,
		Data: Refusal{Code: register.ProblemCodeNotFound, Detail: text, Command: "show " + d.ID},
	}
}

// outputText says in a room what the file holds.
func outputText(name string, d register.Dispatch) string {
	return paragraph("**"+name+"**", d.ID+" "+ending(d)+" · "+escape(d.Role)+": "+escape(cut(oneLine(d.Brief), 60)))
}
