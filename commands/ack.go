package commands

import (
	"context"
	"regexp"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func ackCommand() *command {
	return &command{
		name:    "ack",
		aliases: []string{"acknowledge"},
		summary: "Say that you have seen a refusal: it rings no more.",
		about: "A window at refuse rings the operators at once, and again after 15 and 45 minutes until one of them acknowledges it. " +
			"In a room the word alone does, and so does 👀 on the message.",
		roles:    operators,
		examples: []string{"ack", "ack R-4"},
		grammar:  func() grammar { return new(ackGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			list, err := send[register.RingList](ctx, s, call)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: list, Mood: MoodDone, Markdown: ackText(list, s.now(), s.zone)}, nil
		},
	}
}

type ackGrammar struct {
	Rings []string `arg:"" optional:"" placeholder:"R-4" kind:"ring" help:"What rings, as its message names it; without, all that does."`
}

var ringID = regexp.MustCompile(`^#?(?:[Rr]-?)?([1-9][0-9]{0,17})$`)

func (g *ackGrammar) request(r *reader) request {
	rings := make([]string, 0, len(g.Rings))
	for _, typed := range g.Rings {
		rings = append(rings, r.id("", typed, ringID, "R-", "a ring", "R-4"))
	}
	return request{mutation: new(register.AckRings(rings...))}
}

func ackText(list register.RingList, now time.Time, zone *time.Location) string {
	if len(list.Rings) == 0 {
		return paragraph("**Nothing rings.**", "How the windows stand: "+say("budget status"))
	}
	items := make([]string, len(list.Rings))
	for i, ring := range list.Rings {
		items[i] = "**" + ring.ID + "** " + escape(windowName(ring.Provider, ring.Subscription, ring.Window)) + ", acknowledged by " + escape(ring.AckedBy) +
			" " + instant(ring.AckedAt, now, zone)
	}
	if len(items) == 1 {
		return paragraph("**Acknowledged**: it rings no more.", items[0])
	}
	return bullets("**Acknowledged**: they ring no more.", items...)
}

// ackHint is how the message of a ring is acknowledged.
func ackHint(ring string) string {
	return "Seen it? 👀 or " + say("ack "+ring) + "; else it rings again after 15 and 45 minutes."
}
