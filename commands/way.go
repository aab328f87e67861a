package commands

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// Said is a command's flags and arguments as they were understood, kept so that a refusal can show the same command with what
// was wrong replaced.
type Said struct {
	Arguments []string   `json:"arguments,omitempty"`
	Flags     []SaidFlag `json:"flags,omitempty"`
}

// SaidFlag is a flag by its name, with its value; a flag without one has none.
type SaidFlag struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

func saidOf(in input) *Said {
	said := &Said{Arguments: in.arguments}
	for _, given := range in.flags {
		said.Flags = append(said.Flags, SaidFlag{given.flag.Name, given.value})
	}
	return said
}

// look is where to look for a thing that a flag or argument of this kind names: at all of them, and at one.
var look = map[string]struct{ all, one string }{
	kindDispatch: {"list", "show %s"},
	kindProposal: {"board list", "board show %s"},
	kindProvider: {"budget status", "budget status %s"},
	kindRing:     {"budget status", "ack %s"},
}

// way is the command line a refusal ends with, without prefix: the operator's own with what was wrong replaced, or one that helps.
func (s *session) way(chosen *command, call Call, failure *register.Error) string {
	w := way{session: s, command: chosen, model: newModel(chosen.name, chosen.grammar()), said: call.Said, failure: failure}
	if w.said == nil {
		w.said = &Said{}
	}
	for _, line := range w.lines() {
		if _, err := Prepare(Asked{Text: line, At: s.now(), Zone: s.zone}); err == nil && line != "" {
			return line
		}
	}
	return "status"
}

type way struct {
	*session
	command *command
	model   model
	said    *Said
	failure *register.Error
}

// lines are the commands that might help, the best first.
func (w *way) lines() []string {
	var lines []string
	if strings.HasPrefix(w.failure.Example, w.command.name+" ") {
		lines = append(lines, w.failure.Example)
	}
	if _, named, ok := strings.Cut(w.failure.NextStep, ": "); ok {
		if next := commandNamed(strings.TrimSuffix(named, ".")); next != nil { // the next step is a command
			lines = append(lines, "help "+next.name)
		}
	}
	switch w.failure.Code {
	case register.ProblemCodeForbidden, register.ProblemCodeActorUnknown, register.ProblemCodeActorLooksAlike:
		return append(lines, "help")
	case register.ProblemCodeNotSeated:
		return append(lines, "board seats")
	case register.ProblemCodeIdempotencyMismatch, register.ProblemCodePreconditionFailed:
		return append(lines, w.said.line(w.command.name, w.model), "status")
	}
	if wrong := w.slot(w.failure.Field); wrong != nil {
		return append(lines, w.around(wrong)...)
	}
	for _, named := range w.model.values() {
		if value := w.said.value(w.model, named); value != "" && look[kindOf(named)].all != "" {
			lines = append(lines, w.lookAt(named, value))
		}
	}
	if w.failure.Code == register.ProblemCodeInvalid {
		return append(lines, "help "+w.command.name)
	}
	if head, _, member := strings.Cut(w.command.name, " "); member {
		lines = append(lines, groupDefaults[head], head)
	}
	return lines
}

// around are the commands that get past one wrong flag or argument.
func (w *way) around(wrong *kong.Value) []string {
	typed := w.said.value(w.model, wrong)
	if value, ok := w.typeable(wrong); ok && (value != typed || wrong.IsBool()) {
		return []string{w.said.with(w.model, wrong, value).inUnit(wrong, value).line(w.command.name, w.model)}
	}
	var lines []string
	if typed != "" && look[kindOf(wrong)].all != "" {
		lines = append(lines, w.lookAt(wrong, typed), look[kindOf(wrong)].all)
	}
	for _, example := range w.command.examples {
		if call, err := Prepare(Asked{Text: example, At: w.now()}); err == nil {
			if value := call.Said.value(w.model, wrong); value != "" && value != typed {
				lines = append(lines, w.said.with(w.model, wrong, value).line(w.command.name, w.model))
			}
		}
	}
	return append(lines, w.said.without(wrong).line(w.command.name, w.model), w.command.examples[0])
}

func (w *way) lookAt(named *kong.Value, value string) string {
	if w.failure.Code == register.ProblemCodeNotFound {
		return look[kindOf(named)].all
	}
	return fmt.Sprintf(look[kindOf(named)].one, value)
}

// slot is the flag or argument that carries a field of the request, or nil.
func (w *way) slot(field string) *kong.Value {
	if field == "" {
		return nil
	}
	for _, value := range w.model.values() {
		own := fieldOf(value)
		if own == field || strings.HasPrefix(field, own+".") || strings.HasPrefix(own, field+".") {
			return value
		}
	}
	return nil
}

// typeable is the gateway's example as a person types it: the API's micro-units and JSON are nothing to type.
func (w *way) typeable(wrong *kong.Value) (string, bool) {
	example := w.failure.Example
	switch {
	case example == "":
		return "", false
	case wrong.IsBool():
		return "", example == "true"
	case strings.HasSuffix(fieldOf(wrong), "_micros"):
		micros, err := strconv.ParseInt(example, 10, 64)
		return budget.Format(micros, ""), err == nil
	case kindOf(wrong) == kindEstimate:
		var amounts []register.EstimateAmount
		if err := json.Unmarshal([]byte(example), &amounts); err != nil || len(amounts) == 0 {
			return "", false
		}
		return budget.Format(amounts[0].Micros, "") + string(amounts[0].Unit), true
	case kindOf(wrong) == kindTime:
		at, err := time.Parse(time.RFC3339, example)
		return at.In(w.zone).Format("2006-01-02T15:04Z07:00"), err == nil
	}
	return example, simple(example)
}

// values are the arguments and then the flags of a command.
func (m model) values() []*kong.Value {
	values := make([]*kong.Value, 0, len(m.node.Positional)+len(m.node.Flags))
	values = append(values, m.node.Positional...)
	for _, flag := range m.node.Flags {
		values = append(values, flag.Value)
	}
	return values
}

// fieldOf is the field of the request a flag or argument ends up in: its own name, unless the tag `field` says otherwise.
func fieldOf(value *kong.Value) string {
	if field := value.Tag.Get("field"); field != "" {
		return field
	}
	return strings.ReplaceAll(value.Name, "-", "_")
}

// value is what was said for a flag or argument.
func (s *Said) value(m model, of *kong.Value) string {
	if at := slices.Index(m.node.Positional, of); at >= 0 {
		if at < len(s.Arguments) {
			return s.Arguments[at]
		}
		return ""
	}
	for _, flag := range s.Flags {
		if flag.Name == of.Name {
			return flag.Value
		}
	}
	return ""
}

// with is the same with another value of one flag or argument.
func (s *Said) with(m model, of *kong.Value, value string) *Said {
	changed := s.without(of)
	if at := slices.Index(m.node.Positional, of); at >= 0 {
		if at < len(changed.Arguments) {
			changed.Arguments[at] = value
		}
		return changed
	}
	if at := slices.IndexFunc(s.Flags, func(flag SaidFlag) bool { return flag.Name == of.Name }); at >= 0 {
		changed.Flags = slices.Insert(changed.Flags, at, SaidFlag{of.Name, value})
		return changed
	}
	changed.Flags = append(changed.Flags, SaidFlag{of.Name, value})
	return changed
}

// inUnit takes the percent signs off the amounts where the unit became another.
func (s *Said) inUnit(changed *kong.Value, unit string) *Said {
	if fieldOf(changed) != "unit" || unit == string(register.UnitPercent) {
		return s
	}
	flags := slices.Clone(s.Flags)
	for i := range flags {
		flags[i].Value = strings.TrimSuffix(flags[i].Value, "%")
	}
	return &Said{Arguments: s.Arguments, Flags: flags}
}

// without is the same without one flag.
func (s *Said) without(of *kong.Value) *Said {
	flags := slices.DeleteFunc(slices.Clone(s.Flags), func(flag SaidFlag) bool { return flag.Name == of.Name })
	return &Said{Arguments: slices.Clone(s.Arguments), Flags: flags}
}

// line is the command as it is typed, in a room and in a shell alike: a text that either would take apart is left out.
func (s *Said) line(name string, m model) string {
	words := []string{name}
	for i, argument := range s.Arguments {
		words = append(words, typedWord(argument, m.tail() != nil && i == len(m.node.Positional)-1))
	}
	for _, flag := range s.Flags {
		words = append(words, "--"+flag.Name)
		if flag.Value != "" {
			words = append(words, typedWord(flag.Value, false))
		}
	}
	return strings.Join(words, " ")
}

func typedWord(text string, isText bool) string {
	switch {
	case !simple(text):
		return `"…"`
	case isText, text == "", strings.ContainsFunc(text, unicode.IsSpace):
		return `"` + text + `"`
	}
	return text
}

// simple says whether a text stays as it is in a room and in a shell, and is short enough to be repeated.
func simple(text string) bool {
	return utf8.RuneCountInString(text) <= 120 && !strings.HasPrefix(text, "-") && !strings.ContainsAny(text, "\"\\`$!'|&;<>()*?#~\n") &&
		!strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || redirects(r) || isDoubleQuote(r) })
}
