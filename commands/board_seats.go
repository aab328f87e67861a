package commands

import (
	"context"
	"fmt"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// lenses are what the seats of forge's board and of the fleet's role board look at.
var lenses = map[string]string{
	"ceo": "mission", "cto": "feasibility", "cfo": "cost", "coo": "timeline",
	"moonshot": "moonshot", "contrarian": "contrarian", "technical": "technical", "business": "business", "financial": "financial",
}

func boardSeatsCommand() *command {
	return &command{
		name:     "board seats",
		aliases:  []string{"seats"},
		summary:  "The board's seats, who holds them and who deputises.",
		examples: []string{"board seats"},
		grammar:  func() grammar { return new(nothing) },
		run: func(ctx context.Context, s *session, _ Call) (Reply, error) {
			list, err := s.api.Seats(ctx, s.by)
			if err != nil {
				return Reply{}, err
			}
			if len(list.Seats) == 0 {
				return Reply{Data: list, Mood: MoodDone, Markdown: "**The board has no seats yet.** An admin seats it: " + say("board appoint ceo ada")}, nil
			}
			items := make([]string, len(list.Seats))
			for i, seat := range list.Seats {
				items[i] = seatText(seat)
			}
			return Reply{Data: list, Mood: MoodDone, Markdown: bullets("**"+count(len(items), "seat", "seats")+"**", items...)}, nil
		},
	}
}

func seatText(seat register.Seat) string {
	text := fmt.Sprintf("**%s** %s", escape(seat.Seat), escape(seat.Identity))
	if seat.Lens != "" {
		text += " · looks at " + escape(seat.Lens)
	}
	if seat.Deputy != "" {
		text += " · deputy " + escape(seat.Deputy)
	}
	if seat.Chair {
		text += " · chair"
	}
	if seat.Recused != "" {
		text += " · recused: " + escape(seat.Recused)
	}
	return text
}

func boardAppointCommand() *command {
	return &command{
		name:    "board appoint",
		summary: "Give a seat to a person or an agent; open proposals keep the board they were opened with.",
		about: "Without --lens, ceo looks at mission, cto at feasibility, cfo at cost and coo at timeline; any other name is a seat too. " +
			"A deputy's vote counts only while the holder has none.",
		roles:    admins,
		examples: []string{"board appoint ceo ada", "board appoint contrarian critic-1 --lens contrarian --deputy ben"},
		grammar:  func() grammar { return new(seatGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			seat, err := send[register.Seat](ctx, s, call)
			return Reply{Data: seat, Mood: MoodDone, Markdown: "Seated: " + seatText(seat)}, err
		},
	}
}

// seatArguments are what is asked back about a change of a seat.
type seatArguments struct {
	Seat   string `json:"seat"`
	Holder string `json:"holder,omitempty"`
}

type seatGrammar struct {
	Seat   string `arg:"" help:"The seat, such as ceo."`
	Holder string `arg:"" field:"identity" help:"Who holds it: the name of an identity."`
	Lens   string `placeholder:"TEXT" help:"What the seat looks at, such as cost."`
	Deputy string `placeholder:"NAME" help:"Whose vote counts while the holder has none."`
	sure
}

func (g *seatGrammar) request(r *reader) request {
	name := r.name("The seat", strings.ToLower(g.Seat), "ceo")
	if g.Lens == "" {
		if g.Lens = lenses[name]; g.Lens == "" {
			g.Lens = name
		}
	}
	wanted := register.SeatRequest{
		Lens: r.text("--lens", g.Lens, 128), Identity: r.name("The holder", g.Holder, "ada"), Deputy: r.name("--deputy", g.Deputy, "ben"),
	}
	return request{mutation: new(register.PutSeat(name, wanted)), arguments: seatArguments{Seat: name, Holder: wanted.Identity}, confirmed: g.Yes}
}

func boardUnseatCommand() *command {
	return &command{
		name:     "board unseat",
		summary:  "Take a seat off the board; open proposals keep the board they were opened with.",
		roles:    admins,
		examples: []string{"board unseat coo"},
		grammar:  func() grammar { return new(unseatGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			seat, err := send[register.Seat](ctx, s, call)
			return Reply{Data: seat, Mood: MoodDone, Markdown: fmt.Sprintf("**%s is no seat any more**; %s held it.", escape(seat.Seat), escape(seat.Identity))}, err
		},
	}
}

type unseatGrammar struct {
	Seat string `arg:"" help:"The seat, such as coo."`
	sure
}

func (g *unseatGrammar) request(r *reader) request {
	name := r.name("The seat", strings.ToLower(g.Seat), "coo")
	return request{mutation: new(register.RemoveSeat(name)), arguments: seatArguments{Seat: name}, confirmed: g.Yes}
}
