package work

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	// tailSize is how many bytes of a command's output are held in memory, and at most twice as many for a moment.
	tailSize = outputLimit
	// glance is how many bytes of the end of a command's output its progress is read from.
	glance = 4096
	// logSize bounds the log of a run, in bytes.
	logSize = 100 << 20
)

// output takes what a command prints: as it comes to the log, up to room bytes, and its end into memory.
type output struct {
	mutex sync.Mutex
	kept  []byte
	log   io.Writer // nil once the log is full or cannot be written
	room  int
}

func newOutput(log io.Writer) *output { return &output{log: log, room: logSize} }

// Write takes everything, whatever becomes of the log: a full disk stops no run.
func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.writeLog(p)
	o.kept = append(o.kept, p[max(0, len(p)-tailSize):]...)
	if excess := len(o.kept) - tailSize; excess > tailSize {
		o.kept = append(o.kept[:0], o.kept[excess:]...)
	}
	return len(p), nil
}

func (o *output) writeLog(p []byte) {
	if o.log == nil {
		return
	}
	fits := p[:min(len(p), o.room)]
	o.room -= len(fits)
	_, err := o.log.Write(fits)
	if len(fits) < len(p) {
		_, _ = fmt.Fprintf(o.log, "\n[the log is full; what was printed after its first %d bytes is not in it]\n", logSize)
	}
	if err != nil || len(fits) < len(p) {
		o.log = nil
	}
}

// tail is the last bytes of what was printed.
func (o *output) tail(size int) string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return string(o.kept[max(0, len(o.kept)-size):])
}

// progress is the newest whole line that says something, cut to what a heartbeat takes.
func (o *output) progress() string {
	text := legible(o.tail(glance))
	return clip(lastLines(text[:strings.LastIndexByte(text, '\n')+1], 1), 500)
}

// said is what a command printed: its last lines that say something, also one that was not ended, and as much of the whole as is held.
type said struct{ end, whole string }

func (o *output) said() said {
	whole := strings.TrimSpace(legible(o.tail(tailSize)))
	return said{end: lastLines(legible(o.tail(glance)), 10), whole: whole}
}

func lastLines(text string, n int) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// styling is what colours and moves text on a terminal, or sets its title.
var styling = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])`)

// legible makes printed bytes text the register holds: UTF-8 in lines, without styling and control characters. A carriage
// return begins a new line, since progress bars overwrite theirs.
func legible(text string) string {
	text = styling.ReplaceAllString(strings.ToValidUTF8(text, "\uFFFD"), "")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case r != '\n' && r != '\t' && unicode.IsControl(r):
			return -1
		}
		return r
	}, text)
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

// clipFront cuts text to its last limit bytes at a rune's border.
func clipFront(text string, limit int) string {
	from := max(0, len(text)-limit)
	for from < len(text) && !utf8.RuneStart(text[from]) {
		from++
	}
	return text[from:]
}
