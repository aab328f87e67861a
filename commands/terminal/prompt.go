package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/chzyer/readline"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
)

// Prompt reads commands line by line until the input or ctx ends, or someone types exit.
func Prompt(ctx context.Context, options Options, history string) error {
	if options.In == nil {
		options.In = os.Stdin
	}
	// Only this closes the input; readline itself would wait for it, with the terminal left raw.
	input := readline.NewCancelableStdin(options.In)
	defer context.AfterFunc(ctx, func() { _ = input.Close() })()
	reader, err := readline.NewEx(&readline.Config{
		Prompt: "mosaic> ", HistoryFile: history, AutoComplete: completer(), Stdout: options.Out, Stderr: options.Err, Stdin: input,
	})
	if err != nil {
		return fmt.Errorf("opening the prompt: %w", err)
	}
	defer func() { _, _ = input.Close(), reader.Close() }()
	unanswered := map[string]string{}
	for {
		line, err := reader.Readline()
		switch {
		case errors.Is(err, io.EOF), ctx.Err() != nil:
			return nil
		case errors.Is(err, readline.ErrInterrupt) && line == "":
			return nil
		case errors.Is(err, readline.ErrInterrupt):
			continue
		case err != nil:
			return fmt.Errorf("reading a command: %w", err)
		}
		line = command(line)
		switch strings.ToLower(line) {
		case "":
		case "exit", "quit":
			return nil
		default:
			carryOutLine(ctx, options, line, unanswered)
		}
	}
}

// command is a typed line without the prefix it would have in a room.
func command(line string) string {
	rest, _ := commands.Addressed(line, "!mosaic", nil, true)
	return strings.TrimSpace(rest)
}

// carryOutLine carries out one line. The same line after no answer is the same command: its key is kept in unanswered.
func carryOutLine(ctx context.Context, options Options, line string, unanswered map[string]string) {
	options.Key = unanswered[line]
	if options.Key == "" {
		options.Key = newKey()
	}
	delete(unanswered, line)
	if carryOut(ctx, options, commands.Asked{Text: line}, manner{again: "Type the same line again: it then happens at most once."}) == Unanswered {
		unanswered[line] = options.Key
	}
}

// completer completes a line as the shells do.
func completer() readline.AutoCompleter { return completing{} }

type completing struct{}

// Do implements readline.AutoCompleter: what may follow the begun word, and how much of it is typed.
func (completing) Do(line []rune, at int) (rest [][]rune, typed int) {
	words := strings.Fields(string(line[:at]))
	if len(words) == 0 || line[at-1] == ' ' {
		words = append(words, "")
	}
	begun := words[len(words)-1]
	for _, offered := range commands.Complete(words) {
		rest = append(rest, []rune(strings.TrimPrefix(offered.Word, strings.ToLower(begun))+" "))
	}
	return rest, len([]rune(begun))
}
