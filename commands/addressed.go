package commands

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Addressed says whether a line is for us, and returns what is left of it: `!mosaic …` in any case, one of the short forms (`!dispatch`,
// `!budget`, `!board`, `!vote`, `!status`), a mention at its beginning (`@bot:server: …`, a display name, a matrix.to link), or
// anything at all in a direct chat. mentionNames are the Matrix ID and display names that mean us. A display name without a colon
// counts only before a command, since people also talk about us.
func Addressed(text, prefix string, mentionNames []string, direct bool) (rest string, ok bool) {
	text = strings.TrimFunc(text, isBlank)
	if rest, ok := afterPrefix(text, prefix); ok {
		return rest, true
	}
	if rest, ok := afterAlias(text, prefix); ok {
		return rest, true
	}
	for _, name := range mentionNames {
		if rest, ok := afterMention(text, name); ok {
			return rest, true
		}
	}
	if direct {
		return text, true
	}
	return "", false
}

func afterPrefix(text, prefix string) (rest string, ok bool) {
	rest, ok = cutFold(text, strings.TrimSpace(prefix))
	if !ok || prefix == "" {
		return "", false
	}
	r, _ := utf8.DecodeRuneInString(rest)
	if rest != "" && !isBlank(r) && r != ':' && r != ',' {
		return "", false
	}
	return strings.TrimLeftFunc(strings.TrimLeft(rest, ":,"), isBlank), true
}

// aliases are the commands that may follow the prefix's sign at once.
var aliases = []string{"dispatch", "budget", "board", "vote", "status"}

// Short says whether a line begins with a short form, which may be another bot's where a room is not the fleet's own.
func Short(text, prefix string) bool {
	_, short := afterAlias(strings.TrimFunc(text, isBlank), prefix)
	return short
}

func afterAlias(text, prefix string) (rest string, ok bool) {
	sign := prefix[:len(prefix)-len(strings.TrimLeftFunc(prefix, func(r rune) bool { return !unicode.IsLetter(r) }))]
	after, ok := strings.CutPrefix(text, sign)
	if sign == "" || !ok {
		return "", false
	}
	for _, alias := range aliases {
		if rest, ok := cutFold(after, alias); ok && (rest == "" || isBlank(firstRune(rest))) {
			return alias + rest, true
		}
	}
	return "", false
}

func afterMention(text, name string) (rest string, ok bool) {
	if name == "" {
		return "", false
	}
	if rest, ok := afterLink(text, name); ok {
		return rest, true
	}
	marked := strings.HasPrefix(name, "@")
	rest, ok = cutFold(text, name)
	for _, form := range []string{"@" + name, "@[" + name + "]"} {
		if !ok {
			rest, ok = cutFold(text, form)
			marked = marked || ok
		}
	}
	if !ok {
		return "", false
	}
	after := strings.TrimLeftFunc(strings.TrimLeft(rest, ":,"), isBlank)
	switch {
	case rest == "", strings.ContainsRune(":,", firstRune(rest)):
		return after, true
	case !isBlank(firstRune(rest)):
		return "", false
	}
	return after, marked || startsCommand(after)
}

// afterLink is what follows a Markdown link to the Matrix ID, as some clients write a mention.
func afterLink(text, id string) (rest string, ok bool) {
	label, target, found := strings.Cut(text, "](https://matrix.to/#/")
	if !found || !strings.HasPrefix(label, "[") || strings.ContainsAny(label[1:], "[]\n") {
		return "", false
	}
	target, rest, found = strings.Cut(target, ")")
	linked, err := url.PathUnescape(target)
	if !found || err != nil || !strings.EqualFold(linked, id) {
		return "", false
	}
	return strings.TrimLeftFunc(strings.TrimLeft(rest, ":,"), isBlank), true
}

// startsCommand says whether a line begins with the name of a command or group.
func startsCommand(text string) bool {
	first, _, _ := strings.Cut(oneLine(text), " ")
	word := commandWord(first)
	return slices.ContainsFunc(registry, func(c *command) bool {
		return slices.ContainsFunc(c.names(), func(name string) bool {
			head, _, _ := strings.Cut(name, " ")
			return head == word
		})
	})
}

// cutFold cuts a prefix in any case.
func cutFold(text, prefix string) (rest string, ok bool) {
	want := []rune(prefix)
	for len(want) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if size == 0 || unicode.ToLower(r) != unicode.ToLower(want[0]) {
			return "", false
		}
		text, want = text[size:], want[1:]
	}
	return text, true
}
