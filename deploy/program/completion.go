package program

import (
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
)

// The scripts ask the program itself for each word, so that they never fall behind it.
var (
	//go:embed completion.bash
	completionBash string
	//go:embed completion.zsh
	completionZsh string
	//go:embed completion.fish
	completionFish string
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (c *completionCommand) Run() error {
	fmt.Print(map[string]string{"bash": completionBash, "zsh": completionZsh, "fish": completionFish}[c.Shell])
	return nil
}

type completeCommand struct {
	Words []string `arg:"" optional:"" passthrough:"" help:"The words so far, the program's name first; the last is the one being typed."`
}

// Run prints a line a word: the word, a tab and what it is. It says nothing of what it does not understand.
func (c *completeCommand) Run(parser *kong.Kong) error {
	if len(c.Words) < 2 {
		return nil
	}
	for _, offered := range completions(parser.Model.Node, c.Words[1:]) {
		fmt.Fprintf(os.Stdout, "%s\t%s\n", offered.Word, strings.Join(strings.Fields(offered.About), " "))
	}
	return nil
}

// completions are what may stand in place of the last of words, on this program's own command line.
func completions(node *kong.Node, words []string) []commands.Completion {
	typed, before := words[len(words)-1], words[:len(words)-1]
	var waiting *kong.Flag
	taken := 0
	for i, word := range before {
		if waiting != nil {
			waiting = nil
			continue
		}
		if name, _, valued := strings.Cut(word, "="); strings.HasPrefix(word, "--") {
			if flag := flagNamed(node, strings.TrimPrefix(name, "--")); flag != nil && !flag.IsBool() && !valued {
				waiting = flag
			}
			continue
		}
		if node.Name == "exec" {
			return commands.Complete(words[i:])
		}
		if child := childNamed(node, word); child != nil {
			node = child
			continue
		}
		taken++
	}
	switch {
	case waiting != nil:
		return begun(values(waiting.Value), typed)
	case strings.HasPrefix(typed, "-"):
		return begun(flags(node), typed)
	case node.Name == "exec":
		return commands.Complete([]string{typed})
	}
	offered := children(node)
	if taken < len(node.Positional) {
		offered = append(offered, values(node.Positional[taken])...)
	}
	return begun(offered, typed)
}

func begun(offered []commands.Completion, typed string) []commands.Completion {
	return slices.DeleteFunc(offered, func(c commands.Completion) bool { return !strings.HasPrefix(c.Word, typed) })
}

func childNamed(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

func children(node *kong.Node) []commands.Completion {
	var offered []commands.Completion
	for _, child := range node.Children {
		if !child.Hidden {
			offered = append(offered, commands.Completion{Word: child.Name, About: child.Help})
		}
	}
	return offered
}

// flags are those of a command and of the program; a secret belongs into the environment and is not offered.
func flags(node *kong.Node) []commands.Completion {
	var offered []commands.Completion
	for at := node; at != nil; at = at.Parent {
		for _, flag := range at.Flags {
			if !flag.Hidden {
				offered = append(offered, commands.Completion{Word: "--" + flag.Name, About: flag.Help})
			}
		}
	}
	return offered
}

func flagNamed(node *kong.Node, name string) *kong.Flag {
	for at := node; at != nil; at = at.Parent {
		for _, flag := range at.Flags {
			if flag.Name == name {
				return flag
			}
		}
	}
	return nil
}

func values(value *kong.Value) []commands.Completion {
	var offered []commands.Completion
	if value.Enum != "" {
		for _, choice := range value.EnumSlice() {
			if choice != "" {
				offered = append(offered, commands.Completion{Word: choice, About: value.Help})
			}
		}
	}
	return offered
}
