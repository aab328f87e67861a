package commands

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Completion is a word that may stand where someone types, and in short what it is.
type Completion struct {
	Word  string
	About string
}

// Complete offers what may stand in place of the last of words, which may be empty or begun; the others are what stands before it.
func Complete(words []string) []Completion {
	if len(words) == 0 {
		words = []string{""}
	}
	typed, before := words[len(words)-1], words[:len(words)-1]
	names := make([]string, 0, 2)
	for _, word := range before[:min(2, len(before))] {
		names = append(names, commandWord(word))
	}
	found, used := find(names)
	var offered []Completion
	switch {
	case len(before) == 0:
		offered = firstWords()
	case found == nil && len(before) == 1:
		offered = memberWords(names[0])
	case found == nil:
	case found.name == "help" && len(before) == used:
		offered = firstWords()
	case found.name == "help" && len(before) == used+1:
		offered = memberWords(commandWord(before[used]))
	default:
		offered = found.complete(before[used:], typed)
		if len(before) == 1 {
			offered = append(memberWords(names[0]), offered...)
		}
	}
	return slices.DeleteFunc(offered, func(c Completion) bool { return !strings.HasPrefix(c.Word, strings.ToLower(typed)) })
}

// firstWords are the words a command begins with, in the order help shows them.
func firstWords() []Completion {
	var offered []Completion
	for _, c := range registry {
		head, rest, _ := strings.Cut(c.name, " ")
		at := slices.IndexFunc(offered, func(o Completion) bool { return o.Word == head })
		switch {
		case at < 0 && rest == "":
			offered = append(offered, Completion{Word: head, About: c.summary})
		case at < 0:
			offered = append(offered, Completion{Word: head, About: rest})
		case rest != "" && commandNamed(head) == nil:
			offered[at].About += ", " + rest
		}
	}
	return offered
}

// memberWords are the second words of a group.
func memberWords(head string) []Completion {
	var offered []Completion
	for _, c := range group(head) {
		offered = append(offered, Completion{Word: strings.TrimPrefix(c.name, head+" "), About: c.summary})
	}
	return offered
}

// complete offers values, flags that may still be given, and the choices of the argument whose turn it is.
func (c *command) complete(given []string, typed string) []Completion {
	m := newModel(c.name, c.grammar())
	seen, arguments, open := m.given(given)
	if name, _, cut := strings.Cut(typed, "="); cut && strings.HasPrefix(name, "--") {
		var offered []Completion
		if flag := m.flag(strings.TrimLeft(name, "-")); flag != nil {
			for _, value := range choicesOf(flag.Value) {
				offered = append(offered, Completion{Word: name + "=" + value, About: flag.Help})
			}
		}
		return offered
	}
	if open != nil {
		return choiceWords(open.Value)
	}
	var offered []Completion
	waits := false // for an argument only the person knows
	if next := m.argument(arguments); next != nil {
		offered = choiceWords(next)
		waits = next.Required && len(offered) == 0
	}
	if waits && !strings.HasPrefix(typed, "-") {
		return offered
	}
	for _, required := range []bool{true, false} {
		for _, flag := range m.node.Flags {
			if flag.Required == required && (flag.IsSlice() || !slices.Contains(seen, flag.Name)) {
				offered = append(offered, Completion{Word: "--" + flag.Name, About: flag.Help})
			}
		}
	}
	return offered
}

// given reads the words before: which flags they hold, how many arguments, and the flag whose value is next.
func (m model) given(words []string) (flags []string, arguments int, open *kong.Flag) {
	for _, word := range words {
		name, _, valued := strings.Cut(word, "=")
		switch flag := m.flag(strings.TrimLeft(name, "-")); {
		case open != nil:
			open = nil
		case strings.HasPrefix(word, "--") && flag != nil:
			flags = append(flags, flag.Name)
			if !valued && !flag.IsBool() {
				open = flag
			}
		default:
			arguments++
		}
	}
	return flags, arguments, open
}

// argument is the one at a position; the last may stand for all that follow.
func (m model) argument(at int) *kong.Value {
	last := len(m.node.Positional) - 1
	if at > last && (last < 0 || !m.node.Positional[last].IsCumulative()) {
		return nil
	}
	return m.node.Positional[min(at, last)]
}

// choicesOf are the words a flag or argument accepts, if they can be told: its tag `choices`.
func choicesOf(value *kong.Value) []string {
	if listed := value.Tag.Get("choices"); listed != "" {
		return strings.Split(listed, ",")
	}
	return nil
}

func choiceWords(value *kong.Value) []Completion {
	var offered []Completion
	for _, choice := range choicesOf(value) {
		offered = append(offered, Completion{Word: choice, About: value.Help})
	}
	return offered
}
