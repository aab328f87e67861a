package commands

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func roomBindCommand() *command {
	return &command{
		name:     "room bind",
		summary:  "Say what a room is for: fleet, budget, board or admin; it is then told what belongs there.",
		about:    "It replaces what the room was for. Said in a room it means that room; on a terminal, or for another room, the room's ID comes first.",
		roles:    admins,
		examples: []string{"room bind !fleet:example.org fleet budget"},
		grammar:  func() grammar { return new(roomBindGrammar) },
		run:      runBind,
	}
}

func roomShowCommand() *command {
	return &command{
		name:     "room show",
		aliases:  []string{"rooms", "room list"},
		summary:  "The rooms the fleet speaks in, and what each is for.",
		examples: []string{"room show"},
		grammar:  func() grammar { return new(roomShowGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			here, err := argumentsOf[string](call)
			if err != nil {
				return Reply{}, err
			}
			rooms, err := s.api.Rooms(ctx, s.by)
			if err != nil {
				return Reply{}, err
			}
			rooms.Rooms = slices.DeleteFunc(rooms.Rooms, func(r register.RoomBinding) bool { return len(r.Purposes) == 0 })
			return Reply{Data: rooms, Mood: MoodDone, Markdown: roomsText(rooms.Rooms, here)}, nil
		},
	}
}

func roomUnbindCommand() *command {
	return &command{
		name:     "room unbind",
		summary:  "Nothing is told in a room unasked any more; commands are answered there as before.",
		about:    "Said in a room it means that room; on a terminal, or for another room, name the room's ID.",
		roles:    admins,
		examples: []string{"room unbind !fleet:example.org"},
		grammar:  func() grammar { return new(roomUnbindGrammar) },
		run:      runBind,
	}
}

type roomBindGrammar struct {
	Words []string `arg:"" name:"purpose" placeholder:"PURPOSE…" choices:"fleet,budget,board,admin" help:"fleet, budget, board or admin, one or several; before them the ID of another room."`
}

func (g *roomBindGrammar) request(r *reader) request {
	room, words := r.room(g.Words)
	purposes := []register.RoomPurpose{}
	for _, typed := range words {
		for one := range strings.SplitSeq(strings.Trim(typed, ",. "), ",") {
			if purpose := r.choice("The purpose", one, "fleet", "budget", "board", "admin"); purpose != "" {
				purposes = append(purposes, register.RoomPurpose(purpose))
			}
		}
	}
	slices.Sort(purposes)
	if purposes = slices.Compact(purposes); len(purposes) == 0 {
		r.refuse(problemf("What the room is for is missing: fleet, budget, board or admin."))
	}
	return request{mutation: new(register.BindRoom(register.RoomBinding{Room: room, Purposes: purposes})), arguments: r.origin.Room}
}

type roomUnbindGrammar struct {
	Words []string `arg:"" optional:"" name:"room" placeholder:"ROOM" help:"The ID of another room, such as !fleet:example.org."`
}

func (g *roomUnbindGrammar) request(r *reader) request {
	room, rest := r.room(g.Words)
	if len(rest) > 0 {
		r.refuse(problemf("%s is not a room's ID, which begins with !, such as !fleet:example.org; a room is unbound from all it is for.", read(rest[0])))
	}
	return request{mutation: new(register.BindRoom(register.RoomBinding{Room: room, Purposes: []register.RoomPurpose{}})), arguments: r.origin.Room}
}

type roomShowGrammar struct{}

func (g *roomShowGrammar) request(r *reader) request { return request{arguments: r.origin.Room} }

// room is the room a command is about: the one whose ID is its first word, or the one it was said in.
func (r *reader) room(words []string) (room string, rest []string) {
	room = r.origin.Room
	if len(words) > 0 && strings.HasPrefix(words[0], "!") {
		room, words = words[0], words[1:]
	}
	switch {
	case room == "":
		r.refuse(problemf("The room is missing: its ID comes first, such as !fleet:example.org; a client shows it in the room's advanced settings."))
	case !strings.HasPrefix(room, "!"), len(room) < 2, len(room) > 255, !utf8.ValidString(room), strings.ContainsFunc(room, isBlank):
		r.refuse(problemf("%s is not a room's ID, which begins with !, such as !fleet:example.org.", read(room)))
	}
	return room, words
}

func runBind(ctx context.Context, s *session, call Call) (Reply, error) {
	here, err := argumentsOf[string](call)
	if err != nil {
		return Reply{}, err
	}
	bound, err := send[register.RoomBinding](ctx, s, call)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Data: bound, Mood: MoodDone, Markdown: boundText(bound, here)}, nil
}

// toldOf is what a room of each purpose is told unasked.
var toldOf = map[register.RoomPurpose]string{
	register.RoomPurposeFleet:  "dispatches that were asked for elsewhere, agents, pauses",
	register.RoomPurposeBudget: "budgets, steps of the ladder, refusals",
	register.RoomPurposeBoard:  "proposals, and the audit's head once a day",
	register.RoomPurposeAdmin:  "what is wrong with bot and gateway, and how it is mended",
}

func boundText(bound register.RoomBinding, here string) string {
	name := roomName(bound, here)
	if len(bound.Purposes) == 0 {
		return paragraph("**"+name+" is unbound.** Nothing is told there unasked; commands are answered as before.", "What is bound: "+say("room show"))
	}
	var items []string
	for _, purpose := range bound.Purposes {
		items = append(items, "**"+escape(string(purpose))+"**: "+toldOf[purpose])
	}
	return bullets("**"+name+" is bound.** It is told of", items...)
}

func roomName(room register.RoomBinding, here string) string {
	switch {
	case room.Room == here && here != "":
		return "This room"
	case room.Alias != "":
		return escape(room.Alias)
	}
	return escape(room.Room)
}

func roomsText(rooms []register.RoomBinding, here string) string {
	if len(rooms) == 0 {
		return "**No room is bound.** An admin says in one: " + say("room bind fleet budget board")
	}
	items := make([]string, len(rooms))
	for i, room := range rooms {
		purposes := make([]string, len(room.Purposes))
		for j, purpose := range room.Purposes {
			purposes[j] = escape(string(purpose))
		}
		items[i] = "**" + roomName(room, here) + "** for " + listing(purposes, "and")
	}
	return bullets("**"+count(len(rooms), "room is bound", "rooms are bound")+"**", items...)
}
