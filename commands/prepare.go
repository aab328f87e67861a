package commands

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// Prepare understands one command. The error is a *UsageError: nothing was sent, and it says what to write instead.
func Prepare(asked Asked) (Call, error) {
	if asked.Zone == nil {
		asked.Zone = time.UTC
	}
	if asked.Structured != nil {
		chosen, in, err := takeStructured(*asked.Structured)
		if err != nil {
			return Call{}, err
		}
		return call(asked, chosen, in)
	}
	names := lineNames(asked)
	if len(names) == 0 {
		return call(asked, commandNamed("help"), input{})
	}
	chosen, used, err := choose(names)
	if err != nil {
		return Call{}, err
	}
	m := newModel(chosen.name, chosen.grammar())
	isTime := func(text string) bool {
		_, err := parseTime(text, asked.At, asked.Zone)
		return err == nil
	}
	var in input
	if asked.Words != nil {
		in, err = m.shellWords(asked.Words[used:], isTime)
	} else {
		line := typedLine{model: m, text: asked.Text, words: split(asked.Text)[used:], isTime: isTime}
		in, err = line.takeApart()
	}
	if errors.Is(err, errHelp) {
		return call(asked, commandNamed("help"), input{arguments: strings.Fields(chosen.name)})
	}
	if err != nil {
		return Call{}, chosen.misread(asked, err)
	}
	if asked.Attachment != "" {
		if in, err = attach(chosen, m, in, asked.Attachment); err != nil {
			return Call{}, chosen.misread(asked, err)
		}
	}
	return call(asked, chosen, in)
}

// attach makes a text file the brief, or lets it follow the one that was typed.
func attach(chosen *command, m model, in input, file string) (input, error) {
	tail := len(m.node.Positional) - 1
	if chosen.name != "dispatch" {
		return in, problemf("A file is read only as the brief of a dispatch.")
	}
	switch len(in.arguments) {
	case tail:
		in.arguments = append(in.arguments, file)
	case tail + 1:
		in.arguments[tail] += "\n\n" + file
	}
	return in, nil
}

// lineNames are the first words of a command, where its name stands.
func lineNames(asked Asked) []string {
	var names []string
	if asked.Words != nil {
		for _, word := range asked.Words[:min(2, len(asked.Words))] {
			names = append(names, commandWord(word))
		}
		return names
	}
	for _, word := range split(asked.Text) {
		if word.quoted || len(names) == 2 {
			break
		}
		names = append(names, commandWord(word.text))
	}
	if names == nil && strings.TrimFunc(asked.Text, isBlank) != "" {
		names = []string{commandWord(strings.TrimFunc(asked.Text, isBlank))}
	}
	return names
}

// choose finds the command that is meant; a group's name alone means its default.
func choose(names []string) (*command, int, error) {
	if found, used := find(names); found != nil {
		return found, used, nil
	}
	members := group(names[0])
	if fallback := groupDefaults[names[0]]; len(members) > 0 && len(names) == 1 && fallback != "" {
		return commandNamed(fallback), 1, nil
	}
	if len(members) > 0 {
		return unknownMember(names, members)
	}
	return nil, 0, unknownCommand(names)
}

func unknownMember(names []string, members []*command) (*command, int, error) {
	if names[1] == "help" || names[1] == "--help" || names[1] == "-h" {
		return commandNamed("help"), 0, nil
	}
	subs := make([]string, len(members))
	for i, member := range members {
		subs[i] = strings.TrimPrefix(member.name, names[0]+" ")
	}
	failure := &UsageError{
		Problem: read(names[0]+" "+names[1]) + " is not a command.",
		Usage:   names[0] + " " + strings.Join(subs, "|"), Example: members[0].examples[0],
	}
	if near := nearest(names[1], subs); near != "" {
		suggest(failure, commandNamed(names[0]+" "+near))
	}
	return nil, 0, failure
}

func unknownCommand(names []string) error {
	failure := &UsageError{Problem: read(names[0]) + " is not a command.", Usage: "help [COMMAND]", Example: "help"}
	if id := straightDashes(names[0]); dispatchID.MatchString(id) && id[0] == 'd' {
		return suggestRead(failure, "show", id)
	} else if proposalID.MatchString(id) && id[0] == 'p' {
		return suggestRead(failure, "board show", id)
	}
	var candidates []string
	meant := map[string]*command{}
	for _, c := range registry {
		words := strings.Fields(c.name)
		for _, candidate := range append(c.names(), words[len(words)-1]) {
			if meant[candidate] == nil {
				candidates, meant[candidate] = append(candidates, candidate), c
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(groupDefaults)) {
		candidates, meant[name] = append(candidates, name), commandNamed(groupDefaults[name])
	}
	if near := nearest(strings.Join(names, " "), candidates); near != "" {
		suggest(failure, meant[near])
		return failure
	}
	near := nearest(names[0], candidates)
	found, used := find(append([]string{near}, names[1:]...))
	switch {
	case used == 2:
		suggest(failure, found)
	case near != "":
		suggest(failure, meant[near])
	default:
		failure.Problem = read(names[0]) + " is not a command; help shows them all."
	}
	return failure
}

// suggest makes one command the suggestion, its usage the usage line and its example the example.
func suggest(failure *UsageError, meant *command) {
	if meant == nil {
		return
	}
	failure.Suggestion, failure.Usage, failure.Example = meant.name, meant.usage(), meant.examples[0]
}

func suggestRead(failure *UsageError, name, id string) error {
	suggest(failure, commandNamed(name))
	failure.Suggestion = name + " " + strings.ToUpper(id)
	failure.Example = failure.Suggestion
	return failure
}

// misread is a usage error with the one usage line that applies, and the example that is nearest to what was typed.
func (c *command) misread(asked Asked, err error) error {
	var whole problem
	text := sentence(err.Error())
	if errors.As(err, &whole) {
		text = string(whole)
	}
	return &UsageError{Problem: text, Usage: c.usage(), Example: c.exampleLike(asked, text)}
}

// call finishes a command: kong fills its grammar, and the grammar makes the request.
func call(asked Asked, chosen *command, in input) (Call, error) {
	g := chosen.grammar()
	if err := newModel(chosen.name, g).fill(in); err != nil {
		return Call{}, chosen.misread(asked, err)
	}
	r := &reader{at: asked.At, zone: asked.Zone, origin: asked.Origin, said: asked.Said}
	made := g.request(r)
	if r.problem != nil {
		return Call{}, chosen.misread(asked, r.problem)
	}
	finished := Call{Command: chosen.name, Mutation: made.mutation, Confirmed: made.confirmed, Said: saidOf(in), Zone: zoneName(asked.Zone)}
	if made.arguments != nil {
		arguments, err := json.Marshal(made.arguments)
		if err != nil {
			return Call{}, chosen.misread(asked, err)
		}
		finished.Arguments = arguments
	}
	return finished, nil
}

// zoneName is a name that time.LoadLocation knows.
func zoneName(zone *time.Location) string {
	if _, err := time.LoadLocation(zone.String()); err != nil {
		return "UTC"
	}
	return zone.String()
}
