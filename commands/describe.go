package commands

import (
	"encoding/json"
	"strings"

	"github.com/alecthomas/kong"
)

// Description is what a client needs to complete a command: its parameters by key, in the order they are written.
type Description struct {
	Command    string
	Aliases    []string
	About      string
	Parameters []Parameter
	// Tail is the key of the parameter that takes the rest of the line, or empty.
	Tail string
}

// Parameter is a flag or an argument of a command.
type Parameter struct {
	Key      string
	About    string
	Optional bool
	Switch   bool     // it is given or not
	Many     bool     // it may be given several times
	Choices  []string // the words it accepts; empty if it is free
}

// Describe describes every command.
func Describe() []Description {
	described := make([]Description, len(registry))
	for i, c := range registry {
		described[i] = c.describe()
	}
	return described
}

// describe puts the free text that takes the rest of the line behind all that is required.
func (c *command) describe() Description {
	m := newModel(c.name, c.grammar())
	d := Description{Command: c.name, Aliases: c.aliases, About: c.summary}
	tail := m.tail()
	for _, argument := range m.node.Positional {
		if argument != tail {
			d.Parameters = append(d.Parameters, parameterOf(argument, !argument.Required))
		}
	}
	required, optional := []Parameter{}, []Parameter{}
	for _, flag := range m.node.Flags {
		if flag.Required {
			required = append(required, parameterOf(flag.Value, false))
		} else {
			optional = append(optional, parameterOf(flag.Value, true))
		}
	}
	d.Parameters = append(d.Parameters, required...)
	if tail != nil {
		d.Tail = tail.Name
		d.Parameters = append(d.Parameters, parameterOf(tail, !tail.Required))
	}
	d.Parameters = append(d.Parameters, optional...)
	return d
}

func parameterOf(value *kong.Value, optional bool) Parameter {
	return Parameter{
		Key: value.Name, About: value.Help, Optional: optional, Switch: value.IsBool(),
		Many: value.IsSlice() || value.IsCumulative(), Choices: choicesOf(value),
	}
}

// Structured is a command as a client that completed it sends it: its values by key, to the letter.
type Structured struct {
	Command   string
	Arguments json.RawMessage
}

// takeStructured is what a structured command comes to before kong sees it.
func takeStructured(given Structured) (*command, input, error) {
	words := strings.Fields(given.Command)
	for i, word := range words {
		words[i] = commandWord(word)
	}
	if len(words) == 0 {
		words = []string{"help"}
	}
	chosen, _, err := choose(words)
	if err != nil {
		return nil, input{}, err
	}
	values := map[string]json.RawMessage{}
	if len(given.Arguments) > 0 && json.Unmarshal(given.Arguments, &values) != nil {
		return nil, input{}, chosen.misread(Asked{}, problemf("The arguments are not given by name, as a client that completes commands gives them."))
	}
	m := newModel(chosen.name, chosen.grammar())
	var in input
	for _, argument := range m.node.Positional {
		given, err := textsOf(argument.Name, values)
		if err != nil {
			return nil, input{}, chosen.misread(Asked{}, err)
		}
		in.arguments = append(in.arguments, given...)
	}
	for _, flag := range m.node.Flags {
		given, err := textsOf(flag.Name, values)
		if err != nil {
			return nil, input{}, chosen.misread(Asked{}, err)
		}
		for _, value := range given {
			if flag.IsBool() && value == "false" {
				continue
			}
			in.flags = append(in.flags, flagValue{flag: flag, value: value})
		}
	}
	for key := range values {
		return nil, input{}, chosen.misread(Asked{}, problemf("%s is not a parameter of %s.", read(key), chosen.name))
	}
	return chosen, in, nil
}

// textsOf takes a parameter's value out of values: none, one, or several.
func textsOf(key string, values map[string]json.RawMessage) ([]string, error) {
	raw, given := values[key]
	delete(values, key)
	if !given || string(raw) == "null" {
		return nil, nil
	}
	var many []json.RawMessage
	if json.Unmarshal(raw, &many) != nil {
		many = []json.RawMessage{raw}
	}
	var texts []string
	for _, one := range many {
		var text string
		var number json.Number
		var yes bool
		switch {
		case json.Unmarshal(one, &text) == nil:
		case json.Unmarshal(one, &number) == nil:
			text = number.String()
		case json.Unmarshal(one, &yes) == nil:
			text = map[bool]string{true: "true", false: "false"}[yes]
		default:
			return nil, problemf("%s is given as %s; accepted is a text, a number, true or false.", key, read(string(one)))
		}
		if text != "" {
			texts = append(texts, text)
		}
	}
	return texts, nil
}
