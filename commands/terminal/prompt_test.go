package terminal_test

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/terminal"
)

// hang gives no answer until the caller gives up, which a server notices once it has read the request.
func hang(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// prompted is a prompt somebody types at.
type prompted struct {
	keys *io.PipeWriter
	out  *serial
	stop context.CancelFunc
	done chan error
}

func (b *bundle) prompt(t *testing.T) *prompted {
	t.Helper()
	reading, writing := io.Pipe()
	ctx, stop := context.WithCancel(context.Background())
	p := &prompted{keys: writing, out: new(serial), stop: stop, done: make(chan error, 1)}
	options := b.Options
	options.In, options.Out = reading, p.out
	history := filepath.Join(t.TempDir(), "history")
	go func() { p.done <- terminal.Prompt(ctx, options, history) }()
	t.Cleanup(func() { stop(); _ = writing.Close() })
	return p
}

func (p *prompted) types(t *testing.T, keys string) {
	t.Helper()
	_, err := io.WriteString(p.keys, keys)
	require.NoError(t, err)
}

func (p *prompted) shows(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(p.out.String(), text) }, time.Minute, 10*time.Millisecond, "it never shows %q", text)
}

func (p *prompted) ends(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.done:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		require.FailNow(t, "the prompt does not end")
	}
}

func TestThePromptTakesLinesAsTheyAreTypedInARoom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.prompt(t)
	p.types(t, "dispatch coder Add a health check\n")
	p.shows(t, "D-1")
	p.types(t, "!mosaic dispatch coder \"Add another\"\n")
	p.shows(t, "D-2")
	p.types(t, "\n  \n!dispatch coder and a third\n")
	p.shows(t, "D-3")
	p.types(t, "budget stauts\n")
	require.Eventually(t, func() bool { return strings.Contains(b.said.String(), "Did you mean") }, time.Minute, 10*time.Millisecond)
	p.types(t, "show D-99\n")
	p.shows(t, "Not done.")
	p.types(t, "exit\n")
	p.ends(t)
	require.Equal(t, 3, b.dispatches(t))
}

func TestThePromptEndsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, end := range map[string]func(p *prompted){
		"exit":         func(p *prompted) { p.types(t, "exit\n") },
		"quit":         func(p *prompted) { p.types(t, " Quit \n") },
		"!mosaic exit": func(p *prompted) { p.types(t, "!mosaic exit\n") },
		"Ctrl-D":       func(p *prompted) { p.types(t, "\x04") },
		"Ctrl-C":       func(p *prompted) { p.types(t, "\x03") },
		"end of input": func(p *prompted) { require.NoError(t, p.keys.Close()) },
		"ctx":          func(p *prompted) { p.stop() },
		"ctx in a line": func(p *prompted) {
			p.types(t, "dispatch coder never sent")
			p.stop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := b.prompt(t)
			p.types(t, "whoami\n")
			p.shows(t, "olga")
			end(p)
			p.ends(t)
		})
	}
	require.Zero(t, b.dispatches(t))
}

func TestCtrlCDropsALineThatWasBegun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.prompt(t)
	p.types(t, "dispatch coder never sent\x03")
	p.types(t, "whoami\n")
	p.shows(t, "olga")
	p.types(t, "exit\n")
	p.ends(t)
	require.Zero(t, b.dispatches(t))
}

func TestALineThatWasNotAnsweredIsTheSameCommandWhenTypedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Patience = 1500 * time.Millisecond
	b.Break(losing)
	p := b.prompt(t)
	line := "dispatch coder Add a health check --deadline +2h\n"
	p.types(t, line)
	require.Eventually(t, func() bool {
		return strings.Contains(b.said.String(), "It is not known whether it was carried out. Type the same line again: it then happens at most once.")
	}, time.Minute, 10*time.Millisecond)
	b.Mend()
	p.types(t, line)
	p.shows(t, "D-1")
	require.Equal(t, 1, b.dispatches(t))
	p.types(t, line)
	p.shows(t, "D-2") // once answered, the same line is a command of its own
	p.types(t, "exit\n")
	p.ends(t)
	require.Equal(t, 2, b.dispatches(t))
}

func TestTabCompletesEveryCommand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.prompt(t)
	p.types(t, "who\t\n")
	p.shows(t, "olga")
	p.types(t, "boa\tsea\t\n")
	p.shows(t, "seat")
	p.types(t, "exit\n")
	p.ends(t)
	require.Empty(t, b.said.String(), "both were understood")

	completer := terminal.Completer()
	for _, name := range commands.Names() {
		for cut := 1; cut < len(name); cut++ {
			if name[cut] == ' ' {
				continue // the word is whole, and what follows is asked for after a space
			}
			var offered []string
			rests, _ := completer.Do([]rune(name[:cut]), cut)
			for _, rest := range rests {
				offered = append(offered, string(rest))
			}
			rest, _, _ := strings.Cut(name[cut:], " ")
			require.Contains(t, offered, rest+" ", "after %q", name[:cut])
		}
	}
}
