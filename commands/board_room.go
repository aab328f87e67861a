package commands

import (
	"fmt"
	"slices"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// ForBoard says whether a command belongs into a room that is bound for the board, where all of it can see what is asked and voted.
func ForBoard(call Call) bool {
	return call.Mutation != nil && slices.Contains([]string{"vote", "board propose", "board accept", "board close", "board withdraw"}, call.Command)
}

// OutsideBoard is the answer to such a command in any other room.
func OutsideBoard() Reply {
	return Reply{
		Mood: MoodRefused, Data: Refusal{Code: register.ProblemCodeInvalid, Detail: "This room is not bound for the board.", Command: "room bind board"},
		Markdown: paragraph("**Not done.** This room is not bound for the board, which is asked and votes in its own room.",
			"Say it there, or have an admin bind this room. Example: "+say("room bind board")),
	}
}

// ReminderMessage reminds those who have not voted.
func ReminderMessage(p register.Proposal, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	how := "react to the proposal above"
	if p.Signed {
		how = "this one takes signed votes"
	}
	return paragraph(fmt.Sprintf("**%s waits for your vote: %s**", p.ID, escape(p.Title)), "Voting ends "+instant(p.ClosesAt, p.OpenedAt, zone)+". "+missingLine(p),
		"Vote: "+how+", or write "+say(fmt.Sprintf("vote %s approve", p.ID)))
}
