package commands

import (
	"strings"
	"unicode"
)

// escape makes text from a brief, an output or a person safe to stand inside one line of a reply: no markup, no mention of a
// whole room, no control characters, no line breaks.
func escape(text string) string {
	text = unmention(oneLine(text))
	var out strings.Builder
	for i, r := range text {
		if strings.ContainsRune("\\`*_[]<>&~|", r) || i == 0 && strings.ContainsRune("#-+=", r) {
			out.WriteByte('\\')
		}
		out.WriteRune(r)
	}
	return escapeNumber(out.String())
}

// escapeNumber keeps a leading "1." or "1)" from becoming a list.
func escapeNumber(text string) string {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	if digits == 0 || digits == len(text) || text[digits] != '.' && text[digits] != ')' {
		return text
	}
	return text[:digits] + `\` + text[digits:]
}

// quote makes text of several lines a block quote of at most limit lines, cut from its front where its end matters most.
func quote(text string, limit int) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if line = escape(cut(line, 300)); line != "" {
			lines = append(lines, "> "+line)
		}
	}
	if len(lines) > limit {
		lines = append([]string{"> …"}, lines[len(lines)-limit:]...)
	}
	return strings.Join(lines, "  \n")
}

// oneLine drops control and direction characters and makes every run of white space one space.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), redirects(r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// redirects says whether r changes the direction in which a line is shown, which lets a text pretend to be another.
func redirects(r rune) bool {
	return r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069
}

// joiner is invisible; it stands inside "@room" so that no push rule finds it.
const joiner = "\u2060"

func unmention(text string) string {
	for at := 0; at < len(text); {
		found := strings.IndexByte(text[at:], '@')
		if found < 0 {
			break
		}
		at += found + 1
		if len(text) >= at+4 && strings.EqualFold(text[at:at+4], "room") {
			text = text[:at] + joiner + text[at:]
			at += len(joiner)
		}
	}
	return text
}

// cut shortens text to at most limit characters, with an ellipsis where something was left out.
func cut(text string, limit int) string {
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return strings.TrimRightFunc(string(runes[:limit-1]), unicode.IsSpace) + "…"
}

// Plain is a reply's Markdown as plain text: the same words and lines without the marks.
func Plain(markdown string) string {
	var out strings.Builder
	inCode := false
	for i := 0; i < len(markdown); i++ {
		c := markdown[i]
		switch {
		case c == '`':
			inCode = !inCode
		case inCode:
			out.WriteByte(c)
		case c == '\\' && i+1 < len(markdown):
			i++
			out.WriteByte(markdown[i])
		case strings.HasPrefix(markdown[i:], "**"):
			i++
		case strings.HasPrefix(markdown[i:], "  \n"):
			out.WriteByte('\n')
			i += 2
		default:
			out.WriteByte(c)
		}
	}
	return strings.TrimRight(out.String(), " \n")
}

// paragraph joins lines so that each stays a line of its own, in HTML as in plain text; empty ones are left out.
func paragraph(lines ...string) string {
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if line != "" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "  \n")
}

// bullets is a headline with a list under it.
func bullets(headline string, items ...string) string {
	return headline + "\n\n- " + strings.Join(items, "\n- ")
}
