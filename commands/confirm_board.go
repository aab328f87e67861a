package commands

import (
	"context"
	"fmt"
	"slices"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// keptBoard is what a change of the board does not change.
const keptBoard = "Open proposals keep the board they were opened with."

// askBeforeAppoint asks only where the seat is taken from somebody.
func askBeforeAppoint(ctx context.Context, s *session, call Call) (Question, error) {
	asked, held, err := s.seatAsked(ctx, call)
	if err != nil || held.Identity == "" || held.Identity == asked.Holder {
		return Question{}, err
	}
	return Question{Markdown: paragraph(fmt.Sprintf("**Take the seat %s from %s and give it to %s?**", escape(asked.Seat), escape(held.Identity), escape(asked.Holder)), keptBoard)}, nil
}

func askBeforeUnseat(ctx context.Context, s *session, call Call) (Question, error) {
	asked, held, err := s.seatAsked(ctx, call)
	if err != nil || held.Identity == "" {
		return Question{}, err
	}
	return Question{Markdown: paragraph(fmt.Sprintf("**Take the seat %s, which %s holds, off the board?**", escape(asked.Seat), escape(held.Identity)), keptBoard)}, nil
}

// seatAsked is what a call asks for, and the seat as it stands; one that nobody holds has no identity.
func (s *session) seatAsked(ctx context.Context, call Call) (seatArguments, register.Seat, error) {
	asked, err := argumentsOf[seatArguments](call)
	if err != nil {
		return asked, register.Seat{}, err
	}
	list, err := s.api.Seats(ctx, s.by)
	if err != nil {
		return asked, register.Seat{}, err
	}
	at := slices.IndexFunc(list.Seats, func(seat register.Seat) bool { return seat.Seat == asked.Seat })
	if at < 0 {
		return asked, register.Seat{}, nil
	}
	return asked, list.Seats[at], nil
}

// askBeforeRetire asks about every agent that there is, since its name never comes back.
func askBeforeRetire(ctx context.Context, s *session, call Call) (Question, error) {
	name, err := argumentsOf[string](call)
	if err != nil {
		return Question{}, err
	}
	list, err := s.api.Agents(ctx, s.by, "", 200, register.AgentStateLive, register.AgentStateGone)
	if err != nil {
		return Question{}, err
	}
	at := slices.IndexFunc(list.Agents, func(agent register.Agent) bool { return agent.Name == name })
	if at < 0 {
		return Question{}, nil
	}
	runs := ""
	if running := list.Agents[at].Running; len(running) > 0 {
		runs = "It runs " + listing(running, "and") + ", which goes on."
	}
	return Question{Markdown: paragraph("**Retire "+escape(name)+" for good?** It gets no more work, and its name is not used again.", runs)}, nil
}
