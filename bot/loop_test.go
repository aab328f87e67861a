package bot

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

// echo says everything it sees again, in the room and in the thread, as text and as a notice; at most so many times.
func echo(ctx context.Context, who *client.Client, room id.RoomID, most int) (done chan int) {
	done = make(chan int, 1)
	go func() {
		said, mark := 0, 0
		defer func() { done <- said }()
		for said < most && ctx.Err() == nil {
			for _, seen := range who.SeenAfter(mark) {
				mark++
				if seen.Room != room || seen.Sender == who.UserID || seen.Body == "" {
					continue
				}
				kind := event.MsgText
				if said%3 == 2 {
					kind = event.MsgNotice
				}
				content := map[string]any{"msgtype": string(kind), "body": seen.Body}
				if seen.ThreadRoot != "" && said%2 == 0 {
					content = inThread(content, seen.ThreadRoot, seen.EventID)
				}
				if _, err := who.SayRaw(ctx, room, event.EventMessage, content); err != nil {
					return
				}
				if seen.Sender != who.UserID && said%4 == 0 {
					_, _ = who.React(ctx, room, seen.EventID, "✅")
				}
				said++
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return done
}

func TestTwoBotsThatEchoEverythingCannotMakeItTalkTwice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	first, second := localtest.Person(t, "Echo"), localtest.Person(t, "Echo")
	b.meets(t, first, second)
	const most = 60
	one, two := echo(t.Context(), first, b.room, most), echo(t.Context(), second, b.room, most)
	asked := b.say(t, "!mosaic dispatch coder \"write a poem\"")
	b.answered(t, asked, "D-1")
	require.GreaterOrEqual(t, <-one+<-two, 2*most, "they echoed each other without end")
	b.fleet.run(t)
	b.answered(t, asked, "all green")
	b.quiet(t)
	require.Len(t, b.fleet.listDispatches(t), 1)
	mine := 0
	for _, seen := range b.ada.Seen() {
		if seen.Sender == id.UserID(b.options.UserID) && seen.Room == b.room && seen.Type == event.EventMessage.Type {
			mine++
		}
	}
	require.LessOrEqual(t, mine, 3+2, "the answer, running, done; and one line to each stranger")
}
