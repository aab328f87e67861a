package commands

import "strings"

// inThread are the words that mean a dispatch in its own thread, and the commands they stand for. What spends or loosens is not
// among them: where a message belongs is signed by nobody, so such a command names its dispatch.
var inThread = map[string]string{"cancel": "cancel", "stop": "cancel", "show": "show", "explain": "budget explain"}

// InThread names the dispatch in a command that was said in its thread without one. A line that was not addressed to us counts only if
// it is the word alone, since people also talk there.
func InThread(text, dispatch string, addressed bool) (string, bool) {
	line, more, _ := strings.Cut(strings.TrimFunc(text, isBlank), "\n")
	words := strings.Fields(line)
	if len(words) == 0 {
		return text, false
	}
	name := inThread[commandWord(words[0])]
	rest := words[1:]
	if name == "" && addressed && len(words) > 1 && commandWord(words[0])+" "+commandWord(words[1]) == "budget explain" {
		name, rest = "budget explain", words[2:]
	}
	switch {
	case name == "", !addressed && (len(rest) > 0 || strings.TrimSpace(more) != ""):
		return text, false
	case len(rest) > 0 && dispatchID.MatchString(strings.TrimRight(straightDashes(rest[0]), ":.,")):
		return text, true
	}
	return strings.TrimSpace(strings.Join(append([]string{name, dispatch}, rest...), " ") + "\n" + more), true
}
