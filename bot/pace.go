package bot

import (
	"sync"
	"time"
)

const (
	// provenAfter is how many messages in a row must be taken before the bot tries whether it may go twice as fast.
	provenAfter = 4
	// noLimit is the spacing below which a limit no longer counts as one.
	noLimit = 20 * time.Millisecond
	// longestSilence is the longest a homeserver is obeyed for without being asked again.
	longestSilence = 5 * time.Minute
	// burstSpan is how far back what went at once before a refusal is counted, and mostBurst the most of it.
	burstSpan = 30 * time.Second
	mostBurst = 50
)

// pace keeps the bot within what its homeserver takes from it. Nothing is known of that before the first refusal. From then
// on messages are spaced by the gap that the homeserver asked for, and idle time earns the burst that it took before. After
// some messages without a refusal the spacing is halved, so that a limit that was lifted is forgotten.
type pace struct {
	now func() time.Time

	mutex   sync.Mutex
	until   time.Time     // silence that was asked for
	spacing time.Duration // 0: no limit is known
	burst   int
	earned  float64 // messages that may go at once, as of counted
	counted time.Time
	proven  int // messages taken since the last refusal or change of spacing
	recent  []time.Time
}

func newPace(now func() time.Time) *pace { return &pace{now: now, burst: 1} }

// resume takes up what was learned before a restart; how much of the burst is left is not known, so none is.
func (p *pace) resume(spacing time.Duration, burst int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.spacing, p.burst, p.earned, p.counted = spacing, burst, 1, p.now()
}

// limited says whether the homeserver is known to limit the bot.
func (p *pace) limited() bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.spacing > 0 || p.until.After(p.now())
}

// wait is how long from now the next message may go; zero is at once.
func (p *pace) wait() time.Duration {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.waitLocked()
}

func (p *pace) waitLocked() time.Duration {
	now := p.now()
	if silence := p.until.Sub(now); silence > 0 {
		return silence
	}
	if p.spacing == 0 {
		return 0
	}
	if passed := now.Sub(p.counted); passed > 0 {
		p.earned = min(float64(p.burst), p.earned+float64(passed)/float64(p.spacing))
		p.counted = now
	}
	if p.earned >= 1 {
		return 0
	}
	return max(time.Duration((1-p.earned)*float64(p.spacing)), time.Millisecond)
}

// take claims the right to send one message, or says how long to wait for it.
func (p *pace) take() (wait time.Duration) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if wait := p.waitLocked(); wait > 0 {
		return wait
	}
	p.earned--
	return 0
}

// taken notes that the homeserver took a message.
func (p *pace) taken() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	now := p.now()
	p.recent = append(p.recent, now)
	if len(p.recent) > mostBurst {
		p.recent = p.recent[1:]
	}
	if p.spacing == 0 {
		return
	}
	if p.proven++; p.proven < provenAfter {
		return
	}
	p.proven = 0
	if p.spacing /= 2; p.spacing < noLimit {
		p.spacing = 0
	}
}

// refused notes that the homeserver asked for silence, and returns what was learned.
func (p *pace) refused(silence time.Duration) (spacing time.Duration, burst int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	now := p.now()
	silence = min(silence, longestSilence)
	if until := now.Add(silence); until.After(p.until) {
		p.until = until
	}
	gap := silence
	if n := len(p.recent); n > 0 && now.Sub(p.recent[n-1]) < burstSpan {
		gap = min(p.until.Sub(p.recent[n-1]), longestSilence)
	} else if n == 0 {
		gap = max(gap, p.spacing) // asked again a moment early, a homeserver asks for that moment only
	}
	switch {
	case p.spacing == 0:
		p.burst = 1
		for _, at := range p.recent {
			if now.Sub(at) < burstSpan {
				p.burst++
			}
		}
		p.burst = min(p.burst, mostBurst)
	case p.earned >= 1:
		p.burst = max(1, p.burst/2) // it was counted on and not there
	}
	p.spacing, p.proven, p.earned, p.counted = max(gap, 2*noLimit), 0, 1, p.until
	return p.spacing, p.burst
}

// Notices and edits in one room go no faster than a person can be scrolled past: roomBurst at once, then roomRate a second.
const (
	roomBurst = 30
	roomRate  = 10
)

// roomPace bounds the notices and edits of each room.
type roomPace struct {
	now   func() time.Time
	mutex sync.Mutex
	rooms map[string]*bucket
}

type bucket struct {
	left float64
	at   time.Time
}

func newRoomPace(now func() time.Time) *roomPace {
	return &roomPace{now: now, rooms: map[string]*bucket{}}
}

// take claims the right to send a notice or an edit in a room, or says how long to wait for it.
func (r *roomPace) take(room string) time.Duration {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	now := r.now()
	b, known := r.rooms[room]
	if !known {
		b = &bucket{left: roomBurst, at: now}
		r.rooms[room] = b
	}
	b.left = min(roomBurst, b.left+now.Sub(b.at).Seconds()*roomRate)
	b.at = now
	if b.left < 1 {
		return max(time.Duration((1-b.left)/roomRate*float64(time.Second)), time.Millisecond)
	}
	b.left--
	return 0
}
