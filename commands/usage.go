package commands

import (
	"fmt"
	"strconv"
	"strings"
)

// UsageError says why a command was not understood. Nothing was sent.
type UsageError struct {
	// Problem is one sentence, in plain text: what was read and what is accepted.
	Problem string
	// Suggestion is the command or flag that was probably meant; it may be empty.
	Suggestion string
	// Usage is the one usage line that applies, without prefix.
	Usage string
	// Example is a whole command that works, without prefix.
	Example string
}

// Error is the problem, the suggestion, the usage and the example as plain text, a line each.
func (e *UsageError) Error() string {
	lines := []string{e.sentence()}
	if e.Usage != "" {
		lines = append(lines, "Usage: "+e.Usage)
	}
	if e.Example != "" {
		lines = append(lines, "Example: "+e.Example)
	}
	return strings.Join(lines, "\n")
}

// Markdown is the same for a room; nothing a person typed becomes markup.
func (e *UsageError) Markdown() string {
	example := ""
	if e.Example != "" {
		example = "Example: " + say(e.Example)
	}
	return paragraph(escape(e.sentence()), e.shortUsage(), example)
}

// phone is about how many characters of code two lines of a phone hold.
const phone = 80

// shortUsage is the usage line; one that would fill a phone's screen says where it is shown.
func (e *UsageError) shortUsage() string {
	found, _ := find(strings.Fields(e.Usage))
	switch {
	case e.Usage == "":
		return ""
	case len(prefix+e.Usage) > phone && found != nil:
		return "How it is written: " + say("help "+found.name)
	}
	return "Usage: " + say(e.Usage)
}

func (e *UsageError) sentence() string {
	if e.Suggestion == "" {
		return e.Problem
	}
	return fmt.Sprintf("%s Did you mean %s?", e.Problem, e.Suggestion)
}

// prefix is what replies put before a command they propose; Addressed takes it off wherever it is typed.
const prefix = "!mosaic "

// WithPrefix is a reply's Markdown where every command it proposes begins as it does there: the room's own prefix, or the
// program's name in a shell.
func WithPrefix(markdown, own string) string {
	if own = strings.TrimSpace(own); own != "" {
		own += " "
	}
	return strings.ReplaceAll(markdown, "`"+prefix, "`"+own)
}

// say shows a command as it is typed in a room. Nothing in it can end the code it stands in.
func say(command string) string {
	return "`" + prefix + strings.ReplaceAll(unmention(oneLine(command)), "`", "'") + "`"
}

// read shows what a person typed, short and without control characters.
func read(text string) string { return strconv.Quote(cut(oneLine(text), 60)) }
