package commands

import (
	"context"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func roomEncryptionCommand() *command {
	return &command{
		name:    "room encryption",
		summary: "Say whether a room must be encrypted: required (as every room is unless you say so) or optional.",
		about: "Where it is optional, commands in clear are heard and answered in clear; what spends or loosens still takes an encrypted message. " +
			"Whoever runs a homeserver can read and forge what is said in clear.",
		roles:    admins,
		examples: []string{"room encryption !lobby:example.org optional"},
		grammar:  func() grammar { return new(roomEncryptionGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			here, err := argumentsOf[string](call)
			if err != nil {
				return Reply{}, err
			}
			bound, err := send[register.RoomBinding](ctx, s, call)
			if err != nil {
				return Reply{}, err
			}
			text := paragraph("**"+roomName(bound, here)+": encryption is required.**", "Nothing is heard or said there in clear.")
			if bound.Encrypted == register.RoomEncryptionOptional {
				text = paragraph("**"+roomName(bound, here)+": encryption is optional.**", "Commands in clear are heard there, but for those that spend or loosen.")
			}
			return Reply{Data: bound, Mood: MoodDone, Markdown: text}, nil
		},
	}
}

type roomEncryptionGrammar struct {
	Words []string `arg:"" name:"encryption" placeholder:"required|optional" choices:"required,optional" help:"required or optional; before it the ID of another room."`
}

func (g *roomEncryptionGrammar) request(r *reader) request {
	room, words := r.room(g.Words)
	if len(words) != 1 {
		r.refuse(problemf("One of required and optional is expected, read %s.", read(strings.Join(words, " "))))
		words = []string{""}
	}
	encrypted := register.RoomEncryption(r.choice("The encryption", words[0], "required", "optional"))
	return request{mutation: new(register.SetRoomEncryption(room, encrypted)), arguments: r.origin.Room}
}
