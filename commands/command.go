// Package commands is the operators' language: one registry of commands, from which grammar, help, hints and replies come,
// the same in a room and on a TTY. It knows the register's client and nothing of Matrix or SQL.
package commands

import (
	"encoding/json"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// Asked is one command as a person gave it, with what is needed to understand it as meant.
type Asked struct {
	// Text is the line without prefix or mention, as typed on a phone; it may hold further lines (a brief). Ignored if Words is set.
	Text string
	// Words are arguments a shell has split already; they are taken to the letter.
	Words []string
	// Structured is the command as a client that completes commands sends it; then Text only shows it.
	Structured *Structured
	// Attachment is a text file sent with the line; it is the brief, or follows the one on the line.
	Attachment string
	// At is the instant the command arrived; relative times (+5h) resolve against it.
	At time.Time
	// Said is when it was said by the homeserver's clock, which votes are counted by; zero on a terminal.
	Said time.Time
	// Zone is how wall-clock times are read and shown; nil is UTC.
	Zone *time.Location
	// Origin is kept with a dispatch or proposal, so that reports find their way back.
	Origin register.Origin
}

// Call is a command understood: a finished request that is stored before its first attempt and sent byte for byte on every one.
type Call struct {
	// Command is the canonical name, such as "budget set".
	Command string `json:"command"`
	// Mutation is what changes the register; nil for a command that only reads. Its bytes are final, with one exception: the path of
	// a vote holds {seat} until Run reads whose seat the actor holds. The roster of a proposal never changes, so every attempt
	// resolves to the same path.
	Mutation *register.Mutation `json:"mutation,omitempty"`
	// Arguments are those of a reading command, and what a reply to a mutation needs beside the answer.
	Arguments json.RawMessage `json:"arguments,omitempty"`
	// Confirmed says that whoever asked wants it done without being asked back.
	Confirmed bool `json:"confirmed,omitempty"`
	// Said is the command as it was understood, for a refusal to show again; nil for one that was not typed.
	Said *Said `json:"said,omitempty"`
	// Zone is the IANA name replies show instants in.
	Zone string `json:"zone"`
}

// Mood is how a command ended, for whoever shows it by one sign.
type Mood string

const (
	MoodDone    Mood = "done"    // ✅
	MoodWaiting Mood = "waiting" // ⏸️ accepted, waits (queued)
	MoodRefused Mood = "refused" // ❌ understood and not done
)

// Reply is the answer to a command.
type Reply struct {
	// Markdown is CommonMark that reads well on a phone; Plain makes the plain-text body of it.
	Markdown string
	// Data is the typed result, for --json.
	Data any
	Mood Mood
	// Picture goes with the words; nil where there is none.
	Picture *Picture
	// File goes with the words: what is to be kept or read by a program; its text is empty where there is none.
	File File
}

// Notice is what an event of the fleet reads like in a room.
type Notice struct {
	// Markdown is CommonMark; Plain makes the plain-text body of it.
	Markdown string
	// Rings says that it must wake someone: it is sent as text that mentions people, else as a silent notice.
	Rings bool
	// File is what was too long for a message; its text is plain, and empty if there is none.
	File File
}

// File is a text to be attached to what is said.
type File struct {
	Name string
	Text string
}
