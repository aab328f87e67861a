package commands

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// word is one piece of a typed line: a run without spaces, a quoted text, or a code block.
type word struct {
	text       string // without its quotes; else as typed, without invisible characters
	start, end int    // where it stands in the line, in bytes
	line       int    // how many line breaks stand before it
	quoted     bool
	open       bool // begins with a quote or code block that is never closed
}

// split parts a typed text into words. Quotes of any language hold a word together when they open at its beginning and close at its
// end; three backticks hold a block together. An apostrophe inside a word is no quote.
func split(text string) []word {
	var words []word
	line := 0
	l := lexer{text: text, hopeless: map[string]bool{}}
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		if r == '\n' {
			line++
		}
		if isBlank(r) {
			at += size
			continue
		}
		found := l.nextWord(at)
		found.line = line
		line += strings.Count(text[at:found.end], "\n")
		words, at = append(words, found), found.end
	}
	return words
}

// lexer finds words; it remembers which closing quotes it has searched for in vain, so that a text full of openers costs no more than its length.
type lexer struct {
	text     string
	hopeless map[string]bool
}

func (l *lexer) nextWord(start int) word {
	text := l.text
	if block, ok := codeBlock(text, start); ok {
		return block
	}
	block := strings.HasPrefix(text[start:], fence)
	if inside, end, ok := l.quoted(start); ok && !block {
		return word{text: inside, start: start, end: end, quoted: true}
	}
	opener, size := utf8.DecodeRuneInString(text[start:])
	open := block || isDoubleQuote(opener) && wantsClosing(text[start+size:])
	end := start + len(text[start:])
	if space := strings.IndexFunc(text[start:], unicode.IsSpace); space >= 0 {
		end = start + space
	}
	if equals := strings.IndexByte(text[start:end], '='); equals > 0 {
		// name="a b" is a name and its value.
		if _, _, ok := l.quoted(start + equals + 1); ok {
			end = start + equals + 1
		}
	}
	return word{text: visible(text[start:end]), start: start, end: end, open: open}
}

// quoted is the quoted text that begins at start, if one does.
func (l *lexer) quoted(start int) (inside string, end int, ok bool) {
	opener, size := utf8.DecodeRuneInString(l.text[start:])
	for _, closers := range closing[opener] {
		search := string(opener) + closers
		if l.hopeless[search] {
			continue
		}
		if inside, end, ok := quotedText(l.text, start+size, opener, closers); ok {
			return inside, end, true
		}
		l.hopeless[search] = true
	}
	return "", 0, false
}

const fence = "```"

// codeBlock is the text between two lines of three backticks, without the name of a language.
func codeBlock(text string, start int) (word, bool) {
	if !strings.HasPrefix(text[start:], fence) {
		return word{}, false
	}
	inside, _, closed := strings.Cut(text[start+len(fence):], fence)
	if !closed {
		return word{}, false
	}
	end := start + len(fence) + len(inside) + len(fence)
	if language, rest, lines := strings.Cut(inside, "\n"); lines && !strings.ContainsFunc(strings.TrimSpace(language), unicode.IsSpace) {
		inside = strings.TrimSuffix(rest, "\n")
	}
	return word{text: inside, start: start, end: end, quoted: true}, true
}

// closing lists what may close each opening quote: its own closers first, then what a phone mixes in.
var closing = map[rune][]string{
	'"': {`"`, "”“″"}, '“': {"”", "“", `"`}, '”': {"”", `"`}, '„': {"“”", `"`}, '‟': {"”"}, '″': {"″"}, '＂': {"＂"}, '〝': {"〞〟"},
	'«': {"»"}, '»': {"«", "»"}, '「': {"」"}, '『': {"』"}, '《': {"》"}, '〈': {"〉"},
	'\'': {"'", "’"}, '‘': {"’", "'"}, '’': {"’"}, '‚': {"‘’"}, '‹': {"›"}, '›': {"‹"}, '`': {"`"},
}

func isDoubleQuote(r rune) bool {
	return strings.ContainsRune("\"“”„‟«»＂〝「『《〈", r)
}

// wantsClosing says whether what follows a double quote is more than an inch mark's surroundings.
func wantsClosing(rest string) bool {
	r, _ := utf8.DecodeRuneInString(rest)
	return rest != "" && !isBlank(r)
}

// quotedText finds the closer that ends a word, past quotes of the same kind inside. A backslash before a closer keeps it in the text.
func quotedText(text string, start int, opener rune, closers string) (inside string, end int, ok bool) {
	var out strings.Builder
	depth := 0
	nests := !strings.ContainsRune(closers, opener)
	for at := start; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		after, skipped := utf8.DecodeRuneInString(text[at+size:])
		switch {
		case r == '\\' && skipped > 0 && strings.ContainsRune(closers, after):
			at += size
			r, size = after, skipped
		case nests && r == opener:
			depth++
		case strings.ContainsRune(closers, r) && depth > 0:
			depth--
		case strings.ContainsRune(closers, r):
			if tail, ends := endsWord(text[at+size:]); ends {
				return out.String(), at + size + tail, true
			}
		}
		out.WriteString(text[at : at+size])
		at += size
	}
	return "", 0, false
}

// endsWord says whether a word may end here: before white space, or before the full stop a phone adds to the end.
func endsWord(rest string) (tail int, ok bool) {
	r, _ := utf8.DecodeRuneInString(rest)
	if rest == "" || isBlank(r) {
		return 0, true
	}
	if strings.ContainsRune(".,;", r) && strings.TrimFunc(rest[1:], isBlank) == "" {
		return 1, true
	}
	return 0, false
}

// isBlank says whether r only separates: white space of any kind, or nothing to see.
func isBlank(r rune) bool { return unicode.IsSpace(r) || invisible(r) }

func invisible(r rune) bool {
	switch r {
	case 0x00AD, 0x034F, 0x061C, 0x180E, 0xFEFF, 0xFE0E, 0xFE0F:
		return true
	}
	return r >= 0x200B && r <= 0x200F || redirects(r) || r >= 0x2060 && r <= 0x2064
}

func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if invisible(r) {
			return -1
		}
		return r
	}, text)
}

// isDash says whether r is one of the dashes a phone makes of a hyphen.
func isDash(r rune) bool {
	return r == '-' || r >= 0x2010 && r <= 0x2015 || r == 0x2212 || r == 0xFE58 || r == 0xFE63 || r == 0xFF0D
}

// straightDashes makes every dash a hyphen.
func straightDashes(text string) string {
	return strings.Map(func(r rune) rune {
		if isDash(r) {
			return '-'
		}
		return r
	}, text)
}

// cutDashes takes the dashes off the front of a word; sure says that they cannot be a dash of prose (two hyphens, or more than one dash).
func cutDashes(text string) (rest string, dashes int, sure bool) {
	rest = strings.TrimLeftFunc(text, isDash)
	dashes = utf8.RuneCountInString(text[:len(text)-len(rest)])
	return rest, dashes, dashes > 1
}
