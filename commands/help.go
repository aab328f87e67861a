package commands

import (
	"context"
	"slices"
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

// Help is what someone with these roles may say: without words every command or group of commands in a line, so that it fits a phone; with
// the name of a group its commands, with that of a command how it is written. Nil roles show everything.
func Help(words []string, roles []register.FleetRole) string {
	if len(words) > 0 {
		if members := group(words[0]); len(members) > 0 {
			if found, used := find(words); found == nil || used < 2 && found.name != words[0] {
				return groupHelp(words[0], permitted(members, roles))
			}
		}
		if found, _ := find(words); found != nil {
			return found.help()
		}
	}
	return overview(permitted(registry, roles))
}

func permitted(all []*command, roles []register.FleetRole) []*command {
	return slices.DeleteFunc(slices.Clone(all), func(c *command) bool { return !c.allows(roles) })
}

// overview is a line for each command; those of a group share one.
func overview(all []*command) string {
	var items []string
	members := map[string][]string{}
	for _, c := range all {
		of, member, _ := strings.Cut(c.name, " ")
		if groupDefaults[of] != "" {
			members[of] = append(members[of], member)
		}
	}
	example := "status"
	for _, c := range all {
		of, _, _ := strings.Cut(c.name, " ")
		switch {
		case groupDefaults[of] == "":
			items = append(items, "**"+c.name+"** · "+escape(c.summary))
		case len(members[of]) > 0:
			items = append(items, "**"+of+"** · "+listing(members[of], "and")+": "+say("help "+of))
			members[of] = nil
		}
		if example == "status" && len(c.roles) > 0 {
			example = c.name
		}
	}
	return bullets("**What you may say**", items...) + "\n\n" + "How one of them is written: " + say("help "+example)
}

func groupHelp(of string, members []*command) string {
	if len(members) == 0 {
		return paragraph("**"+of+"**", "None of these commands is for your roles. What you may say: "+say("help"))
	}
	items := make([]string, len(members))
	for i, c := range members {
		items[i] = "**" + c.name + "** · " + escape(c.summary)
	}
	return bullets("**"+of+"**", items...) + "\n\n" + "How one of them is written: " + say("help "+members[0].name)
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
