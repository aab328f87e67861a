package commands

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// errHelp says that a line asked how its command is written.
const errHelp = problem("help")

func (m model) unknownFlag(name string, inText bool) error {
	if bareName(name) == "help" && !inText {
		return errHelp
	}
	unknown := "--" + cut(oneLine(name), 60) + " is not a flag here."
	if near := m.nearFlag(name); near != "" {
		unknown += " Did you mean --" + near + "?"
	}
	if tail := m.tail(); inText && tail != nil {
		unknown += " If it belongs to the " + strings.ToLower(tail.Name) + ", put the " + strings.ToLower(tail.Name) + " in quotes."
	}
	return problem(unknown)
}

func valueMissing(flag *kong.Flag) error {
	return problemf("--%s needs a value: %s%s.", flag.Name, strings.ToLower(flag.Help[:1]), strings.TrimSuffix(flag.Help[1:], "."))
}

// typedLine takes apart what follows a command's name as a phone typed it.
type typedLine struct {
	model  model
	text   string
	words  []word
	isTime func(string) bool

	at   int   // the word that is looked at
	free []int // the words of the free text on its first line
	rest string
	in   input
}

// takeApart sorts the words into flags, arguments and free text. Flags stand on the first line, or around a free text that is quoted;
// once a free text without quotes has begun, everything after its first line belongs to it untouched.
func (p *typedLine) takeApart() (input, error) {
	for p.at < len(p.words) {
		if err := p.step(); err != nil {
			return p.in, err
		}
	}
	if text, ok := p.freeText(); ok {
		p.in.arguments = append(p.in.arguments, text)
	}
	return p.in, nil
}

func (p *typedLine) step() error {
	current := p.words[p.at]
	if p.inProse() && current.line > p.words[p.free[0]].line {
		return p.takeRest()
	}
	if taken, err := p.takeFlag(); taken || err != nil {
		return err
	}
	if current.open && !p.inProse() {
		return neverClosed(current.text)
	}
	switch {
	case p.model.tail() == nil || len(p.in.arguments) < len(p.model.node.Positional)-1:
		value := current.text
		if !current.quoted {
			value = p.clean(value, p.at)
		}
		p.in.arguments = append(p.in.arguments, value)
	case current.line > p.words[0].line && !current.quoted, len(p.free) > 0 && current.line > p.words[p.free[0]].line:
		return p.takeRest()
	default:
		p.free = append(p.free, p.at)
	}
	p.at++
	return nil
}

func neverClosed(text string) error {
	if strings.HasPrefix(text, fence) {
		return problemf("A code block is opened and never closed.")
	}
	return problemf("A quote is opened before %s and never closed.", read(strings.TrimLeftFunc(text, isDoubleQuote)))
}

// inProse says whether a free text without quotes has begun.
func (p *typedLine) inProse() bool {
	return len(p.free) > 1 || len(p.free) == 1 && !p.words[p.free[0]].quoted
}

// mayBeProse says whether the next word could begin, or go on, a free text.
func (p *typedLine) mayBeProse() bool {
	return p.model.tail() != nil && (len(p.free) == 0 || p.inProse())
}

// takeRest keeps the following lines as they are; a flag at an edge of them could be meant either way, so it is asked back.
func (p *typedLine) takeRest() error {
	start := p.words[p.at].start
	if len(p.free) > 0 {
		gap := p.text[p.words[p.at-1].end:start]
		p.rest = "\n" + gap[strings.IndexByte(gap, '\n')+1:]
	}
	p.rest += strings.TrimRightFunc(p.text[start:], unicode.IsSpace)
	words := p.words[p.at:]
	for i, word := range words {
		first := i == 0 || words[i-1].line < word.line
		if name, _, sure := cutDashes(word.text); !word.quoted && sure && (first || i >= len(words)-2) {
			if flag := p.model.flag(name); flag != nil {
				noun := strings.ToLower(p.model.tail().Name)
				return problemf("--%s stands inside the %s; put it on the first line, or put the %s in quotes.", flag.Name, noun, noun)
			}
		}
	}
	p.at = len(p.words)
	return nil
}

// freeText is the text as it was typed, without the quotes around it and without the flags between its words.
func (p *typedLine) freeText() (string, bool) {
	if len(p.free) == 0 {
		return p.rest, p.rest != ""
	}
	if len(p.free) == 1 && p.words[p.free[0]].quoted && p.rest == "" {
		return p.words[p.free[0]].text, true
	}
	var pieces []string
	for i := 0; i < len(p.free); i++ {
		from := i
		for i+1 < len(p.free) && p.free[i+1] == p.free[i]+1 {
			i++
		}
		pieces = append(pieces, p.text[p.words[p.free[from]].start:p.words[p.free[i]].end])
	}
	return strings.Join(pieces, " ") + p.rest, true
}

// takeFlag takes a flag with its value, in any of the ways it may be typed: --limit 2M, —limit 2M, limit=2M, limit: 2M, limit = 2M.
func (p *typedLine) takeFlag() (taken bool, err error) {
	current := p.words[p.at]
	if current.quoted {
		return false, nil
	}
	name, dashes, sure := cutDashes(current.text)
	switch {
	case dashes == 0:
		return p.takeBareKey(current.text)
	case name == "":
		return p.takeSpacedDash(sure)
	case !unicode.IsLetter(firstRune(name)):
		return false, nil
	}
	name, value := cutKey(name)
	flag := p.model.flag(name)
	hyphen := dashes == 1 && current.text[0] == '-'
	switch {
	case p.inProse() && hyphen, p.inProse() && !sure && flag == nil && p.model.nearFlag(name) == "":
		return false, nil
	case flag == nil:
		return false, p.model.unknownFlag(name, p.inProse())
	}
	return true, p.takeValue(flag, value, p.at+1)
}

// takeSpacedDash takes "— limit 2M", where a phone put a space after the dash it made of two hyphens.
func (p *typedLine) takeSpacedDash(sure bool) (bool, error) {
	if p.mayBeProse() && !sure || p.inProse() || p.at+1 == len(p.words) || p.words[p.at+1].quoted {
		return false, nil
	}
	name, value := cutKey(p.words[p.at+1].text)
	flag := p.model.flag(name)
	if flag == nil {
		return false, nil
	}
	return true, p.takeValue(flag, value, p.at+2)
}

// takeBareKey takes limit=2M, and where no free text can be meant also limit: 2M and limit = 2M.
func (p *typedLine) takeBareKey(text string) (bool, error) {
	name, value := cutKey(text)
	flag := p.model.flag(name)
	equals := strings.HasPrefix(text[len(name):], "=")
	if flag == nil {
		if equals && !p.mayBeProse() && isName(name) {
			return false, p.model.unknownFlag(name, false)
		}
		return false, nil
	}
	following := p.at + 1
	switch {
	case len(name) == len(text):
		next := p.wordAt(following)
		if p.mayBeProse() || !strings.HasPrefix(next, "=") {
			return false, nil
		}
		value, following = next[1:], following+1
	case p.inProse() && (!equals || !p.onlyFlagsFrom(p.at)), p.mayBeProse() && !equals:
		return false, nil
	}
	return true, p.takeValue(flag, value, following)
}

// onlyFlagsFrom says whether nothing but flags stands from a word to the end of its line.
func (p *typedLine) onlyFlagsFrom(from int) bool {
	for i := from; i < len(p.words) && p.words[i].line == p.words[from].line; i++ {
		bare, dashes, _ := cutDashes(p.words[i].text)
		name, _ := cutKey(bare)
		switch known := p.model.flag(name) != nil; {
		case known && dashes > 0:
			return true
		case !known || len(name) == len(bare):
			return false
		case strings.HasSuffix(bare, "="):
			i++
		}
	}
	return true
}

// wordAt is a word without quotes, or empty.
func (p *typedLine) wordAt(i int) string {
	if i < len(p.words) && !p.words[i].quoted {
		return p.words[i].text
	}
	return ""
}

// takeValue takes a flag's value: what was glued to it, a quoted text, or as many words as its kind may have.
func (p *typedLine) takeValue(flag *kong.Flag, glued string, following int) error {
	value := glued
	switch {
	case flag.IsBool() && glued == "":
	case glued == "" && following < len(p.words) && p.words[following].quoted:
		value = p.words[following].text
		following++
	default:
		words := p.valueWords(following)
		if glued != "" {
			words = append([]string{glued}, words...)
		}
		if len(words) == 0 {
			return valueMissing(flag)
		}
		taken := p.howMany(flag, words)
		value = strings.Join(words[:taken], " ")
		if following += taken; glued != "" {
			following--
		}
		if kindOf(flag.Value) != kindText {
			value = p.clean(value, following-1)
		}
	}
	p.in.flags = append(p.in.flags, flagValue{flag, value})
	p.at = following
	return nil
}

// valueWords are the words without quotes from one on, up to the next flag or the end of the line.
func (p *typedLine) valueWords(from int) []string {
	var words []string
	for i := from; i < len(p.words) && !p.words[i].quoted && p.words[i].line == p.words[from].line; i++ {
		if p.beginsFlag(i) {
			break
		}
		words = append(words, p.words[i].text)
	}
	return words
}

// beginsFlag says whether a flag begins at a word, in any of the ways it may be typed.
func (p *typedLine) beginsFlag(i int) bool {
	bare, dashes, _ := cutDashes(p.words[i].text)
	name, _ := cutKey(bare)
	next, _ := cutKey(p.wordAt(i + 1))
	switch {
	case bare == "":
		return p.model.flag(next) != nil
	case dashes > 0:
		return unicode.IsLetter(firstRune(bare))
	case p.model.flag(name) == nil:
		return false
	}
	return len(name) < len(bare) || strings.HasPrefix(p.wordAt(i+1), "=")
}

// howMany of the words are the flag's value.
func (p *typedLine) howMany(flag *kong.Flag, words []string) int {
	switch kindOf(flag.Value) {
	case kindText:
		return len(words)
	case kindEstimate:
		if len(words) > 1 {
			if _, unit, ok := splitUnit(p.clean(words[0]+" "+words[1], len(p.words)-1)); ok && unit != "" {
				return 2
			}
		}
	case kindDuration:
		if len(words) > 1 {
			if _, err := parseDuration(p.clean(words[0]+" "+words[1], len(p.words)-1)); err == nil {
				return 2
			}
		}
	case kindTime:
		if !p.mayBeProse() {
			return len(words)
		}
		return max(1, longestTime(words, func(text string) bool { return p.isTime(strings.TrimRight(text, ",;.")) }))
	}
	return 1
}

// longestTime is how many of the words make a time together; 0 if none do.
func longestTime(words []string, isTime func(string) bool) int {
	taken := min(len(words), 5)
	for taken > 0 && !isTime(strings.Join(words[:taken], " ")) {
		taken--
	}
	return taken
}

// clean takes off the comma between two flags and the full stop a phone puts at the end of a line.
func (p *typedLine) clean(value string, last int) string {
	value = strings.TrimRight(value, ",;")
	if last == len(p.words)-1 && len(value) > 1 {
		value = strings.TrimSuffix(value, ".")
	}
	return value
}

// cutKey parts name=value or name:value; value is empty if there is none.
func cutKey(text string) (name, value string) {
	if at := strings.IndexAny(text, "=:"); at > 0 {
		return text[:at], text[at+1:]
	}
	return text, ""
}

func firstRune(text string) rune {
	r, _ := utf8.DecodeRuneInString(text)
	return r
}

// isName says whether a word could be the name of a flag.
func isName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !isDash(r) && r != '_' })
}
