package commands

import (
	"context"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func whoAmICommand() *command {
	return &command{
		name:     "whoami",
		aliases:  []string{"me"},
		summary:  "Who you are to the fleet, and what you may do.",
		examples: []string{"whoami"},
		grammar:  func() grammar { return new(nothing) },
		run: func(ctx context.Context, s *session, _ Call) (Reply, error) {
			who, err := s.api.WhoAmI(ctx, s.by)
			if err != nil {
				return Reply{}, err
			}
			seats, err := s.api.Seats(ctx, s.by)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: who, Mood: MoodDone, Markdown: whoText(who, seats)}, nil
		},
	}
}

func whoText(who register.Identity, seats register.SeatList) string {
	roles := make([]string, len(who.Roles))
	for i, role := range who.Roles {
		roles[i] = string(role)
	}
	text := "You have no role."
	if len(roles) > 0 {
		text = "Your roles: " + listing(roles, "and")
	}
	lines := []string{"**You are " + escape(who.Name) + "**, " + escape(who.Kind), text}
	if who.MatrixID != "" {
		lines = append(lines, "On Matrix: "+escape(who.MatrixID))
	}
	var held []string
	for _, seat := range seats.Seats {
		if seat.Identity == who.Name {
			held = append(held, escape(seat.Seat))
		}
	}
	if len(held) > 0 {
		lines = append(lines, "On the board: "+listing(held, "and"))
	}
	return paragraph(append(lines, "What you may do: "+say("help"))...)
}
