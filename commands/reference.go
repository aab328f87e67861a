package commands

import (
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

//go:generate go run ./reference

// Reference is REFERENCE.md: every command with its usage, flags and examples.
func Reference() string {
	var out strings.Builder
	out.WriteString("# Commands\n\nGenerated from the registry by `go generate ./commands`; edit the registry, not this page.\n\n" +
		"In a room each begins with `!mosaic`, or with a mention of the bot; in a direct chat, and on a terminal after `mosaic-matrix exec`, without. " +
		"A time T is `+5h`, `+90m`, `+2d`, `17:00`, `fri 17:00`, `tomorrow 9:00`, `2026-11-30 09:00`, each with an IANA zone after it if you like, " +
		"or RFC 3339 with an offset. An amount N is digits with at most six decimals after a point and, if you like, `k`, `M` or `G`.\n")
	for _, c := range registry {
		m := newModel(c.name, c.grammar())
		out.WriteString("\n## " + c.name + "\n\n" + c.summary)
		if c.about != "" {
			out.WriteString(" " + c.about)
		}
		out.WriteString("\n\n    " + m.usage(c.name) + "\n\n")
		for _, argument := range m.node.Positional {
			out.WriteString("- `" + shownArgument(argument) + "` " + argument.Help + "\n")
		}
		for _, flag := range m.node.Flags {
			out.WriteString("- `" + flagName(flag) + "` " + flag.Help + "\n")
		}
		if len(m.node.Positional)+len(m.node.Flags) > 0 {
			out.WriteString("\n")
		}
		out.WriteString("For " + who(c.roles) + ".")
		if len(c.aliases) > 0 {
			out.WriteString(" Also: `" + strings.Join(c.aliases, "`, `") + "`.")
		}
		out.WriteString(" Examples:\n\n    " + strings.Join(c.examples, "\n    ") + "\n")
	}
	return out.String()
}

func who(roles []register.FleetRole) string {
	if len(roles) == 0 {
		return "everyone the register knows"
	}
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = string(role)
	}
	return listing(names, "and")
}
