package bot

import (
	"context"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"
)

// lanes runs at most one worker per room and a bounded number in all: order within a room, rooms in parallel.
type lanes struct {
	ctx   context.Context
	slots chan struct{}
	// work does what is due in a room and says when to come back; zero is not before the next wake.
	work func(ctx context.Context, room id.RoomID) time.Duration

	mutex   sync.Mutex
	running map[id.RoomID]bool // true: woken again while running
	timers  map[id.RoomID]*time.Timer
	done    sync.WaitGroup
}

func newLanes(ctx context.Context, width int, work func(ctx context.Context, room id.RoomID) time.Duration) *lanes {
	return &lanes{
		ctx: ctx, slots: make(chan struct{}, width), work: work,
		running: map[id.RoomID]bool{}, timers: map[id.RoomID]*time.Timer{},
	}
}

// wake sees to it that work runs for the room after this call, soon.
func (l *lanes) wake(rooms ...id.RoomID) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.ctx.Err() != nil {
		return
	}
	for _, room := range rooms {
		if timer := l.timers[room]; timer != nil {
			timer.Stop()
			delete(l.timers, room)
		}
		if _, busy := l.running[room]; busy {
			l.running[room] = true
			continue
		}
		l.running[room] = false
		l.done.Add(1)
		go l.run(room)
	}
}

func (l *lanes) run(room id.RoomID) {
	defer l.done.Done()
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.ctx.Done():
			return
		}
		again := l.work(l.ctx, room)
		<-l.slots
		if !l.more(room, again) {
			return
		}
	}
}

func (l *lanes) more(room id.RoomID, again time.Duration) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.ctx.Err() != nil {
		return false
	}
	if l.running[room] {
		l.running[room] = false
		return true
	}
	delete(l.running, room)
	if again > 0 {
		l.timers[room] = time.AfterFunc(again, func() { l.wake(room) })
	}
	return false
}

// wait returns when every worker has ended after the context has.
func (l *lanes) wait() {
	l.done.Wait()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, timer := range l.timers {
		timer.Stop()
	}
}
