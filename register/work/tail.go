package work

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"
)

// tail keeps the last bytes a command printed; older output is let go, so a chatty command costs no memory.
type tail struct {
	mutex sync.Mutex
	kept  []byte
	keep  int
}

// Write takes everything and keeps the end.
func (t *tail) Write(p []byte) (int, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.kept = append(t.kept, p...)
	if excess := len(t.kept) - t.keep; excess > 0 {
		t.kept = append(t.kept[:0], t.kept[excess:]...)
	}
	return len(p), nil
}

func (t *tail) bytes() []byte {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return bytes.Clone(t.kept)
}

// lastLine is the newest whole line that says something, cut to what a heartbeat takes.
func (t *tail) lastLine() string {
	return clip(t.lastLines(1), 500)
}

// lastLines is up to n of the newest whole lines that say something.
func (t *tail) lastLines(n int) string {
	text := strings.ToValidUTF8(string(t.bytes()), "\uFFFD")
	whole, _, _ := cutLast(text, "\n")
	var lines []string
	for line := range strings.Lines(whole) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return clip(strings.Join(lines[max(0, len(lines)-n):], "\n"), 4000)
}

// cutLast splits text at the last separator; without one everything is before it.
func cutLast(text, separator string) (before, after string, found bool) {
	if at := strings.LastIndex(text, separator); at >= 0 {
		return text[:at], text[at+len(separator):], true
	}
	return text, "", false
}

// clip cuts text to at most limit bytes at a rune's border.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
