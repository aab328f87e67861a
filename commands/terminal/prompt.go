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
	reader, err := readline.NewEx(&readline.Config{
		Prompt: "mosaic> ", HistoryFile: history, AutoComplete: completer(), Stdout: options.Out, Stderr: options.Err,
		Stdin: readline.NewCancelableStdin(os.Stdin),
	})
	if err != nil {
		return fmt.Errorf("opening the prompt: %w", err)
	}
	defer reader.Close()
	defer context.AfterFunc(ctx, func() { _ = reader.Close() })()
	for {
		line, err := reader.Readline()
		if errors.Is(err, readline.ErrInterrupt) || errors.Is(err, io.EOF) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a command: %w", err)
		}
		line = strings.TrimSpace(line)
		if rest, addressed := commands.Addressed(line, "!mosaic", nil, true); addressed {
			line = rest
		}
		switch strings.ToLower(line) {
		case "":
		case "exit", "quit":
			return nil
		default:
			carryOut(ctx, options, commands.Asked{Text: line})
		}
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
