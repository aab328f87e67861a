package commands

import (
	"context"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// verbosities are how much a room is told of the budget, and what each means.
var verbosities = []struct {
	name  register.Verbosity
	means string
}{
	{register.VerbosityLow, "only refusals, and what eases them"},
	{register.VerbosityMedium, "every step of a window, warnings ahead of one, and what lifts windows or changes the routing"},
	{register.VerbosityHigh, "also every admission that was lowered or queued"},
}

func roomVerbosityCommand() *command {
	var means []string
	for _, v := range verbosities {
		means = append(means, string(v.name)+": "+v.means)
	}
	return &command{
		name:     "room verbosity",
		summary:  "How much this room is told of the budget: low, medium or high.",
		about:    strings.Join(means, "; ") + ". A refusal rings whatever is chosen, and nothing else does.",
		roles:    operators,
		examples: []string{"room verbosity low --room !budget:example.org", "room verbosity medium --room !budget:example.org"},
		grammar:  func() grammar { return new(roomVerbosityGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			room, err := send[register.RoomBinding](ctx, s, call)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: room, Mood: MoodDone, Markdown: verbosityText(room)}, nil
		},
	}
}

type roomVerbosityGrammar struct {
	Verbosity string `arg:"" help:"low, medium or high."`
	Room      string `placeholder:"ROOM" help:"The Matrix room ID; this room if it is left out."`
}

func (g *roomVerbosityGrammar) request(r *reader) request {
	names := make([]string, len(verbosities))
	for i, v := range verbosities {
		names[i] = string(v.name)
	}
	chosen := register.Verbosity(r.choice("The verbosity", g.Verbosity, names...))
	room := r.text("--room", g.Room, 255)
	if room == "" {
		room = r.origin.Room
	}
	if room == "" {
		r.refuse(problem("--room is missing: which room do you mean? Say it in the room itself, or name the room's ID."))
		room = "!none"
	}
	return request{mutation: new(register.SetRoomVerbosity(room, chosen))}
}

func verbosityText(room register.RoomBinding) string {
	for _, v := range verbosities {
		if v.name == room.Verbosity {
			return "**This room's verbosity is " + string(v.name) + "**: " + v.means + "."
		}
	}
	return "**The room's verbosity is " + escape(string(room.Verbosity)) + ".**"
}
