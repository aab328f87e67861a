package commands

import (
	"context"
	"strings"

	"github.com/alecthomas/kong"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func helpCommand() *command {
	return &command{
		name:     "help",
		aliases:  []string{"?", "commands"},
		summary:  "What you may say; with a command's name, how it is written.",
		examples: []string{"help", "help budget set"},
		grammar:  func() grammar { return new(helpGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			words, err := argumentsOf[[]string](call)
			if err != nil {
				return Reply{}, err
			}
			// Help must not depend on the gateway: without an answer it shows everything.
			var roles []register.FleetRole
			if who, err := s.api.WhoAmI(ctx, s.by); err == nil {
				roles = append([]register.FleetRole{}, who.Roles...)
			}
			text := Help(words, roles)
			return Reply{Data: map[string]string{"help": Plain(text)}, Mood: MoodDone, Markdown: text}, nil
		},
	}
}

type helpGrammar struct {
	Words []string `arg:"" optional:"" placeholder:"COMMAND" help:"A command's name."`
}

func (g *helpGrammar) request(r *reader) request {
	words := []string{}
	for _, word := range g.Words {
		if name := commandWord(word); name != "help" {
			words = append(words, name)
		}
	}
	if found, _ := find(words); len(words) > 0 && found == nil && len(group(words[0])) == 0 {
		_, _, err := choose(words)
		r.refuse(problem(err.(*UsageError).sentence()))
	}
	return request{arguments: words}
}

// Help is what someone with these roles may say: without words every command in a line, with the name of a command or group how it
// is written. Nil roles show everything.
func Help(words []string, roles []register.FleetRole) string {
	if len(words) > 0 {
		if members := group(words[0]); len(members) > 0 {
			if found, used := find(words); found == nil || used < 2 && found.name != words[0] {
				return overview(words[0], members, roles)
			}
		}
		if found, _ := find(words); found != nil {
			return found.help()
		}
	}
	return overview("", registry, roles)
}

func overview(of string, members []*command, roles []register.FleetRole) string {
	var items []string
	name := "help"
	for _, c := range members {
		if c.allows(roles) {
			name = c.name
			items = append(items, "**"+c.name+"** · "+escape(c.summary))
		}
	}
	head := "**What you may say**"
	if of != "" {
		head = "**" + of + "**"
	}
	return bullets(head, items...) + "\n\n" + "How one of them is written: " + say("help "+name)
}

// help is how one command is written.
func (c *command) help() string {
	m := newModel(c.name, c.grammar())
	lines := []string{"**" + c.name + "** · " + escape(c.summary), escape(c.about), "Usage: " + say(m.usage(c.name))}
	for _, example := range c.examples {
		lines = append(lines, "Example: "+say(example))
	}
	text := paragraph(lines...)
	var items []string
	for _, argument := range m.node.Positional {
		items = append(items, "`"+shownArgument(argument)+"` "+escape(argument.Help))
	}
	for _, flag := range m.node.Flags {
		items = append(items, "`"+flagName(flag)+"` "+escape(flag.Help))
	}
	if len(items) == 0 {
		return text
	}
	return bullets(text, items...)
}

func flagName(flag *kong.Flag) string { return strings.Trim(shownFlag(flag), "[]") }
