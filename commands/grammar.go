package commands

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// Kinds a flag or argument declares beside its type, in the tag `kind`.
const (
	kindTime     = "time"     // may be several words: fri 17:00
	kindEstimate = "estimate" // may be two words: 10 credits
	kindDuration = "duration" // may be two words: 30 min
	kindText     = "text"     // free text; as an argument it takes the rest of the line
	kindDispatch = "dispatch" // names a dispatch
	kindProposal = "proposal" // names a proposal
	kindProvider = "provider" // names a provider whose windows there are
	kindRing     = "ring"     // names what rings
)

// grammar is the flags and arguments of one command: a struct with kong's tags.
type grammar interface {
	// request makes the finished request from what kong has filled in; what it cannot read it leaves with r.
	request(r *reader) request
}

// request is what a command comes to: a mutation, or the arguments of a read (or both, when a reply needs more than the answer).
type request struct {
	mutation  *register.Mutation
	arguments any
	confirmed bool // not to be asked back
}

// problem is a whole sentence for the person who typed.
type problem string

func (p problem) Error() string { return string(p) }

func problemf(format string, values ...any) error { return problem(fmt.Sprintf(format, values...)) }

// model is what kong knows about a command's grammar.
type model struct {
	parser *kong.Kong
	node   *kong.Node
	flags  map[string]*kong.Flag // by bare name
}

// newModel builds a parser that cannot leave the process, read a file or look at the environment.
func newModel(name string, g grammar) model {
	parser, err := kong.New(g, kong.Name(name), kong.NoDefaultHelp(), kong.Exit(func(int) {}), kong.Writers(io.Discard, io.Discard))
	if err != nil {
		panic(fmt.Sprintf("the grammar of %q is wrong: %v", name, err))
	}
	m := model{parser: parser, node: parser.Model.Node, flags: map[string]*kong.Flag{}}
	for _, flag := range m.node.Flags {
		m.flags[bareName(flag.Name)] = flag
	}
	return m
}

// flag finds a flag by its name in any case, with or without its inner dashes.
func (m model) flag(name string) *kong.Flag { return m.flags[bareName(name)] }

var innerDashes = strings.NewReplacer("-", "", "_", "")

func bareName(name string) string { return innerDashes.Replace(strings.ToLower(straightDashes(name))) }

// nearFlag is the flag a mistyped name probably means, or empty.
func (m model) nearFlag(name string) string {
	names := make([]string, len(m.node.Flags))
	for i, flag := range m.node.Flags {
		names[i] = flag.Name
	}
	return nearest(straightDashes(name), names)
}

// tail is the argument that takes the rest of the line as free text, or nil.
func (m model) tail() *kong.Positional {
	if last := len(m.node.Positional) - 1; last >= 0 && kindOf(m.node.Positional[last]) == kindText {
		return m.node.Positional[last]
	}
	return nil
}

func kindOf(value *kong.Value) string { return value.Tag.Get("kind") }

// input is a command line taken apart, ready for kong.
type input struct {
	flags     []flagValue
	arguments []string
}

type flagValue struct {
	flag  *kong.Flag
	value string
}

// fill lets kong put the input into the grammar after every mistake a person can make has been named in a sentence.
func (m model) fill(in input) error {
	if err := m.check(in); err != nil {
		return err
	}
	arguments := make([]string, 0, len(in.flags)+1+len(in.arguments))
	for _, given := range in.flags {
		if given.flag.IsBool() && given.value == "" {
			arguments = append(arguments, "--"+given.flag.Name)
			continue
		}
		arguments = append(arguments, "--"+given.flag.Name+"="+given.value)
	}
	arguments = append(append(arguments, "--"), in.arguments...)
	if _, err := m.parser.Parse(arguments); err != nil {
		return problem(sentence(err.Error()))
	}
	return nil
}

func (m model) check(in input) error {
	var given []string
	for _, one := range in.flags {
		if slices.Contains(given, one.flag.Name) && !one.flag.IsSlice() {
			return problemf("--%s is given twice.", one.flag.Name)
		}
		if given = append(given, one.flag.Name); one.flag.IsBool() && !slices.Contains([]string{"", "true", "false"}, one.value) {
			return problemf("--%s takes no value, read %s.", one.flag.Name, read(one.value))
		}
	}
	if err := m.missing(in, given); err != nil {
		return err
	}
	return m.surplus(in)
}

// missing names every required flag and argument that was not given, and what a single one of them is to say.
func (m model) missing(in input, given []string) error {
	var lacking, meaning []string
	for i, argument := range m.node.Positional {
		if argument.Required && i >= len(in.arguments) {
			lacking, meaning = append(lacking, "the "+called(argument)), append(meaning, argument.Help)
		}
	}
	for _, flag := range m.node.Flags {
		if flag.Required && !slices.Contains(given, flag.Name) {
			lacking, meaning = append(lacking, "--"+flag.Name), append(meaning, flag.Help)
		}
	}
	switch len(lacking) {
	case 0:
		return nil
	case 1:
		return problem(sentence(lacking[0] + " is missing" + wanted(lacking[0], meaning[0])))
	}
	return problem(sentence(listing(lacking, "and") + " are missing"))
}

// called is what an argument is called in a sentence.
func called(argument *kong.Positional) string {
	name := strings.ReplaceAll(strings.ToLower(argument.Name), "-", " ")
	return strings.ReplaceAll(name, "matrix id", "Matrix ID")
}

// wanted continues "the role is missing" by what the role's help says of it.
func wanted(name, help string) string {
	help, _, _ = strings.Cut(strings.TrimSuffix(help, "."), ". ")
	if example, only := strings.CutPrefix(help, sentence(name)[:len(name)]+", such as "); only {
		return "; write one such as " + example
	}
	if len(help) > 1 && strings.ToLower(help[1:2]) == help[1:2] {
		help = strings.ToLower(help[:1]) + help[1:]
	}
	return ": " + help
}

func (m model) surplus(in input) error {
	last := len(m.node.Positional) - 1
	if len(in.arguments) <= last+1 || last >= 0 && m.node.Positional[last].IsCumulative() {
		return nil
	}
	return problemf("%s is one word too many.", read(in.arguments[last+1]))
}

// usage is the line that shows how a command is written.
func (m model) usage(name string) string {
	parts := []string{name}
	for _, argument := range m.node.Positional {
		shown := shownArgument(argument)
		if !argument.Required {
			shown = "[" + shown + "]"
		}
		parts = append(parts, shown)
	}
	for _, required := range []bool{true, false} {
		for _, flag := range m.node.Flags {
			if flag.Required == required {
				parts = append(parts, shownFlag(flag))
			}
		}
	}
	return strings.Join(parts, " ")
}

func shownArgument(argument *kong.Positional) string {
	name := strings.ToUpper(argument.Name)
	if argument.Tag.PlaceHolder != "" {
		name = argument.Tag.PlaceHolder
	}
	if kindOf(argument) == kindText {
		return `"` + name + `"`
	}
	return name
}

func shownFlag(flag *kong.Flag) string {
	shown := "--" + flag.Name
	if !flag.IsBool() {
		shown += " " + flag.PlaceHolder
	}
	if !flag.Required {
		shown = "[" + shown + "]"
	}
	return shown
}

// sentence begins with a capital and ends with a full stop.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.ContainsAny(text[len(text)-1:], ".!?") {
		text += "."
	}
	return text
}
