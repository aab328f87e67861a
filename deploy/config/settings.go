package config

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Setting is one value an operator may set.
type Setting struct {
	Key     string // in the file, dotted; empty for a secret
	Env     string
	Default string
	Help    string
	Secret  bool
}

// Settings lists every setting of a program once, by environment variable. A flag is a setting if it has a variable; it is a
// secret if it has no key in the file.
func Settings(program *kong.Node) []Setting {
	seen := map[string]bool{}
	var settings []Setting
	var walk func(*kong.Node)
	walk = func(node *kong.Node) {
		for _, flag := range node.Flags {
			if len(flag.Envs) == 0 || seen[flag.Envs[0]] {
				continue
			}
			seen[flag.Envs[0]] = true
			key := flag.Tag.Get("config")
			settings = append(settings, Setting{Key: key, Env: flag.Envs[0], Default: flag.Default, Help: flag.Help, Secret: key == ""})
		}
		for _, child := range node.Children {
			walk(child)
		}
	}
	walk(program)
	slices.SortFunc(settings, func(a, b Setting) int { return strings.Compare(a.Env, b.Env) })
	return settings
}

// Table is the settings as a Markdown table, for the README and `mosaic-matrix settings`.
func Table(settings []Setting) string {
	var text strings.Builder
	text.WriteString("| in the file | environment variable | default | what it is |\n|---|---|---|---|\n")
	for _, s := range settings {
		key, preset := "`"+s.Key+"`", "`"+s.Default+"`"
		if s.Secret {
			key = "*secret, never in a file*"
		}
		if s.Default == "" {
			preset = ""
		}
		text.WriteString("| " + key + " | `" + s.Env + "` | " + preset + " | " + s.Help + " |\n")
	}
	return text.String()
}
