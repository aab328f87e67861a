package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
)

// transcript prints the conversation as it reads in the rooms: who, room, text, reactions; what rings a phone has a bell.
type transcript struct {
	out   io.Writer
	bold  bool
	names map[id.RoomID]string
	said  map[id.EventID]string
	lock  sync.Mutex
}

func newTranscript(out io.Writer, names map[id.RoomID]string) *transcript {
	file, ok := out.(*os.File)
	return &transcript{out: out, bold: ok && term.IsTerminal(int(file.Fd())), names: names, said: map[id.EventID]string{}}
}

// follow prints what one person sees from mark on, until ctx ends.
func (t *transcript) follow(ctx context.Context, person *client.Client, mark int) {
	for ; ; mark++ {
		// An event whose keys are late is waited for, so that the page keeps the room's order.
		seen, err := person.WaitAfter(ctx, mark, func(seen client.Seen) bool { return !seen.Undecrypted })
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			mark--
			continue
		}
		t.print(seen)
	}
}

func (t *transcript) print(seen client.Seen) {
	room, known := t.names[seen.Room]
	if !known {
		return
	}
	var text string
	switch {
	case seen.Reaction != "":
		text = fmt.Sprintf("reacts %s to “%s”", seen.Reaction, t.quote(seen.ReactionTo))
	case seen.MsgType == "":
		return
	case seen.EditOf != "":
		text = "✎ " + seen.Body
	default:
		text = seen.Body
		if seen.ThreadRoot != "" {
			text = "↳ " + text
		}
		if len(seen.Mentions) > 0 && seen.MsgType == "m.text" && seen.ThreadRoot+seen.InReplyTo != seen.EventID {
			text = "🔔 " + text
		}
	}
	if seen.EditOf == "" {
		t.remember(seen)
	}
	t.line(seen, room, text)
}

func (t *transcript) remember(seen client.Seen) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.said[seen.EventID] = seen.Body
}

// quote is the beginning of a message, enough to know which one is meant.
func (t *transcript) quote(event id.EventID) string {
	t.lock.Lock()
	defer t.lock.Unlock()
	line, _, _ := strings.Cut(t.said[event], "\n")
	if runes := []rune(line); len(runes) > 32 {
		return string(runes[:32]) + "…"
	}
	return line
}

func (t *transcript) line(seen client.Seen, room, text string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	head := fmt.Sprintf("%s  %-8s %-9s ", seen.At.Format("15:04:05"), room, client.NameOf(seen.Sender))
	indent := strings.Repeat(" ", len(head))
	if t.bold {
		head = "\033[1m" + head + "\033[0m"
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if i == 0 {
			line = head + line
		} else {
			line = indent + line
		}
		_, _ = fmt.Fprintln(t.out, strings.TrimRight(line, " "))
	}
}
