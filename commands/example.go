package commands

import (
	"regexp"
	"slices"
	"strings"
)

// exampleLike is the example of a command that has most in common with what was typed, and before all the flag that a problem is about. It
// names the proposal or dispatch that was typed, so that whoever repeats it does not vote on another one.
func (c *command) exampleLike(asked Asked, problem string) string {
	text := asked.Text
	if asked.Words != nil {
		text = strings.Join(asked.Words, " ")
	}
	typed := strings.Fields(strings.ToLower(straightDashes(text)))
	flag, _, _ := strings.Cut(problem, ":")
	best, most := c.examples[0], -1
	for _, example := range c.examples {
		words := strings.Fields(example)
		slices.Sort(words)
		common := 0
		for _, word := range slices.Compact(words) {
			if word == flag {
				common += 100
			}
			if slices.Contains(typed, word) {
				common++
			}
		}
		if common > most {
			best, most = example, common
		}
	}
	for kind, pattern := range map[string]*regexp.Regexp{"P-": proposalID, "D-": dispatchID} {
		said, shown := namedIn(typed, kind, pattern), regexp.MustCompile(`\b`+kind+`\d+\b`).FindAllString(best, -1)
		if said != "" && len(shown) == 1 {
			best = strings.Replace(best, shown[0], said, 1)
		}
	}
	return best
}

// namedIn is the proposal or dispatch that typed words name: with its letter anywhere, by its number alone right after the command.
func namedIn(typed []string, kind string, pattern *regexp.Regexp) string {
	_, used := find(typed)
	for i, word := range typed {
		if parts := pattern.FindStringSubmatch(word); parts != nil && (i == used || strings.HasPrefix(word, strings.ToLower(kind))) {
			return kind + parts[1]
		}
	}
	return ""
}
