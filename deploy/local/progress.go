package local

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Progress tells a person what is being waited for: one line with a spinner and elapsed seconds on a terminal, one plain
// line per step elsewhere. A nil *Progress is silent.
type Progress struct {
	out      io.Writer
	terminal bool

	lock  sync.Mutex
	width int
}

// NewProgress writes to out; it draws a spinner if out is a terminal.
func NewProgress(out io.Writer) *Progress {
	file, ok := out.(*os.File)
	return &Progress{out: out, terminal: ok && term.IsTerminal(int(file.Fd()))}
}

// Step shows what until the returned function is called with how it ended; nil is success. While it runs, call nothing
// else that writes to the same terminal, or use Say.
func (p *Progress) Step(what string) (done func(error)) {
	if p == nil {
		return func(error) {}
	}
	started, ended, gone := time.Now(), make(chan struct{}), make(chan struct{})
	if !p.terminal {
		_, _ = fmt.Fprintf(p.out, "… %s\n", what)
	}
	go func() {
		defer close(gone)
		if p.terminal {
			p.spin(what, started, ended)
		}
	}()
	var once sync.Once
	return func(err error) {
		once.Do(func() {
			close(ended)
			<-gone
			mark := "✓"
			if err != nil {
				mark = "✗"
			}
			p.Say(fmt.Sprintf("%s %s (%s)", mark, what, seconds(time.Since(started))))
		})
	}
}

// Say writes one whole line, over the spinner if there is one.
func (p *Progress) Say(line string) {
	if p == nil {
		return
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	p.clear()
	_, _ = fmt.Fprintln(p.out, line)
}

func (p *Progress) spin(what string, started time.Time, ended <-chan struct{}) {
	frames := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for frame := 0; ; frame++ {
		line := fmt.Sprintf("%c %s %s", frames[frame%len(frames)], what, seconds(time.Since(started)))
		p.lock.Lock()
		p.clear()
		_, _ = fmt.Fprint(p.out, line)
		p.width = len([]rune(line))
		p.lock.Unlock()
		select {
		case <-ended:
			return
		case <-tick.C:
		}
	}
}

func (p *Progress) clear() {
	if p.width > 0 {
		_, _ = fmt.Fprint(p.out, "\r\033[K")
		p.width = 0
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
