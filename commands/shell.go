package commands

import "strings"

// shellWords takes apart words a shell has split, to the letter; only a time may be several of them.
func (m model) shellWords(words []string, isTime func(string) bool) (input, error) {
	var in input
	var plain []string
	for i := 0; i < len(words); i++ {
		if words[i] == "--" {
			plain = append(plain, words[i+1:]...)
			break
		}
		name, isFlag := m.shellFlag(words[i])
		if !isFlag {
			plain = append(plain, words[i])
			continue
		}
		name, value, hasValue := strings.Cut(name, "=")
		flag := m.flag(name)
		if flag == nil || !strings.HasPrefix(words[i], "--") {
			return in, m.unknownFlag(name, false)
		}
		if !flag.IsBool() && !hasValue {
			if i++; i == len(words) || strings.HasPrefix(words[i], "--") {
				return in, valueMissing(flag)
			}
			taken := 1
			if kindOf(flag.Value) == kindTime {
				taken = m.shellTime(words[i:], isTime)
			}
			value = strings.Join(words[i:i+taken], " ")
			i += taken - 1
		}
		in.flags = append(in.flags, flagValue{flag, value})
	}
	in.arguments = m.gatherTail(plain)
	return in, nil
}

// shellFlag is the name a word gives a flag by. A single dash is taken for one only where no free text can be meant, to be corrected.
func (m model) shellFlag(word string) (name string, ok bool) {
	if name, ok := strings.CutPrefix(word, "--"); ok {
		return name, true
	}
	if m.tail() == nil && len(word) > 1 && word[0] == '-' && !strings.ContainsAny(word[1:2], "0123456789.") {
		return word[1:], true
	}
	return "", false
}

// shellTime is how many words a time takes: those up to the next flag, or where a free text may follow as many as make a time.
func (m model) shellTime(words []string, isTime func(string) bool) int {
	end := 1
	for end < len(words) && !strings.HasPrefix(words[end], "-") {
		end++
	}
	if m.tail() == nil {
		return end
	}
	return max(1, longestTime(words[:end], isTime))
}

// gatherTail makes the words of the free text one argument.
func (m model) gatherTail(plain []string) []string {
	before := len(m.node.Positional) - 1
	if m.tail() == nil || len(plain) <= before {
		return plain
	}
	return append(plain[:before:before], strings.Join(plain[before:], " "))
}
