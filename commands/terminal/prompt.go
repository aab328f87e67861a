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

// completer offers the registry's commands word by word.
func completer() readline.AutoCompleter {
	tree := map[string][]string{}
	var order []string
	for _, name := range commands.Names() {
		group, rest, _ := strings.Cut(name, " ")
		if _, seen := tree[group]; !seen {
			order = append(order, group)
		}
		if tree[group] = append(tree[group], rest); rest == "" {
			tree[group] = tree[group][:len(tree[group])-1]
		}
	}
	items := make([]readline.PrefixCompleterInterface, 0, len(order))
	for _, group := range order {
		var below []readline.PrefixCompleterInterface
		for _, rest := range tree[group] {
			below = append(below, readline.PcItem(rest))
		}
		items = append(items, readline.PcItem(group, below...))
	}
	return readline.NewPrefixCompleter(items...)
}
