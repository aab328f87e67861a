package commands

import (
	"context"
	"regexp"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// Commands about what the transport keeps itself; the gateway knows nothing of it.
const (
	LocalRun    = "run"    // an offered command, by its ID
	LocalReplay = "replay" // events set aside: one, or the list of them
)

// Local says whether a call is for the transport itself, and the number it names; 0 is none.
func Local(call Call) (name string, number int64, ok bool) {
	chosen := commandNamed(call.Command)
	if chosen == nil || !chosen.local {
		return "", 0, false
	}
	number, err := argumentsOf[int64](call)
	return call.Command, number, err == nil
}

func runCommand() *command {
	return &command{
		name:     LocalRun,
		summary:  "Run a command that could not be begun in time, once, if you still want it.",
		about:    "A command that changes something is not begun long after it was asked for; the reply to it names its number instead.",
		examples: []string{"run K7"},
		grammar:  func() grammar { return new(offerArgument) },
		run:      onlyInRooms,
		local:    true,
	}
}

func replayCommand() *command {
	return &command{
		name:     LocalReplay,
		summary:  "Events the bot gave up on, with the reason; or try one of them again.",
		roles:    []register.FleetRole{register.FleetRoleAdmin},
		examples: []string{"replay", "replay E12"},
		grammar:  func() grammar { return new(asideArgument) },
		run:      onlyInRooms,
		local:    true,
	}
}

func onlyInRooms(_ context.Context, _ *session, call Call) (Reply, error) {
	return Reply{Markdown: "**Not done.** " + say(call.Command) + " is said to the bot, in a room.", Mood: MoodRefused}, nil
}

var (
	offerID = regexp.MustCompile(`^#?(?:[Kk]-?)?([1-9][0-9]{0,17})$`)
	asideID = regexp.MustCompile(`^#?(?:[Ee]-?)?([1-9][0-9]{0,17})$`)
)

type offerArgument struct {
	Offer string `arg:"" placeholder:"K7" help:"The number the reply named, such as K7."`
}

func (g *offerArgument) request(r *reader) request {
	return request{arguments: r.local(g.Offer, offerID, "an offer", "K7")}
}

type asideArgument struct {
	Event string `arg:"" optional:"" placeholder:"E12" help:"The event, as the list names it, such as E12."`
}

func (g *asideArgument) request(r *reader) request {
	if g.Event == "" {
		return request{arguments: int64(0)}
	}
	return request{arguments: r.local(g.Event, asideID, "an event", "E12")}
}
