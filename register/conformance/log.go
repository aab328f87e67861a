package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func log() []promise {
	return []promise{
		{"events", "a change is told, in the order of its moves", tellMoves},
		{"events", "ids rise by one, so that nothing is missed", inSequence},
		{"events", "what was heard is told again from its Last-Event-ID", tellAgain},
		{"events", "a reader that hangs up resumes with the next event", resume},
		{"events", "0 starts with the first retained event", fromTheStart},
		{"events", "a Last-Event-ID that is no number: 400 invalid", badPosition},
	}
}

// message is one server-sent event, as it came.
type message struct {
	id, kind string
	data     []byte
}

func (m message) event() register.Event {
	var event register.Event
	_ = json.Unmarshal(m.data, &event) // its shape is checked when it is heard
	return event
}

// listener hears the log from one position on.
type listener struct {
	cancel context.CancelFunc
	done   chan struct{}

	mutex    sync.Mutex
	messages []message
}

// listen opens the log after a position; an empty one starts with what comes next.
func (t *trial) listen(ctx context.Context, after string) (*listener, error) {
	ctx, cancel := context.WithCancel(ctx)
	request, err := t.request(ctx, asking{method: http.MethodGet, path: "/api/fleet/events", last: after})
	if err != nil {
		cancel()
		return nil, err
	}
	response, err := t.wire.Do(request)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("the event log was not opened: %w", err)
	}
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
		response.Body.Close()
		cancel()
		err := seen("the event log was answered %d as %q", response.StatusCode, kind)
		t.shapes.note("streamEvents", err)
		return nil, err
	}
	l := &listener{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer response.Body.Close()
		t.hear(bufio.NewReader(response.Body), l)
	}()
	return l, nil
}

// hear takes messages apart until the stream ends.
func (t *trial) hear(stream *bufio.Reader, l *listener) {
	var m message
	for {
		line, err := stream.ReadBytes('\n')
		if err != nil {
			return
		}
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "id":
			m.id = string(value)
		case "event":
			m.kind = string(value)
		case "data":
			m.data = append(m.data, value...)
		case "":
			if len(bytes.TrimSpace(line)) > 0 || m.data == nil {
				continue // a comment, or its end
			}
			t.shapes.note("streamEvents", t.checkMessage(m))
			l.mutex.Lock()
			l.messages = append(l.messages, m)
			l.mutex.Unlock()
			m = message{}
		}
	}
}

func (t *trial) checkMessage(m message) error {
	if err := t.contract.checkEvent(m.data); err != nil {
		return err
	}
	event := m.event()
	if m.id != strconv.FormatInt(event.Seq, 10) || m.kind != string(event.Type) {
		return seen("told event %d of the type %s as id %q, event %q", event.Seq, event.Type, m.id, m.kind)
	}
	return nil
}

func (l *listener) close() {
	l.cancel()
	<-l.done
}

func (l *listener) so() []message {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return slices.Clone(l.messages)
}

// hearing is the log since the run began.
func (t *trial) hearing() (*listener, error) {
	if t.heard == nil {
		return nil, t.deaf
	}
	return t.heard, nil
}

// untilTold waits for an event of a dispatch.
func (l *listener) untilTold(ctx context.Context, dispatch string, kind register.EventType) error {
	return soon(ctx, 10*time.Second, func() error {
		for _, m := range l.so() {
			if e := m.event(); e.Type == kind && e.Dispatch.ID == dispatch {
				return nil
			}
		}
		return seen("%s of %s is not told", kind, dispatch)
	})
}

func tellMoves(ctx context.Context, t *trial) error {
	heard, err := t.hearing()
	if err != nil {
		return err
	}
	claim, err := t.running(ctx, "moves", 60)
	if err != nil {
		return err
	}
	id := claim.Dispatch.ID
	if err := t.report(ctx, register.HeartbeatDispatch(id, register.HeartbeatRequest{Claim: claim.ID, Progress: "half way"}), nil); err != nil {
		return err
	}
	if err := t.report(ctx, t.unmetered(claim), nil); err != nil {
		return err
	}
	if err := heard.untilTold(ctx, id, register.EventTypeDispatchDone); err != nil {
		return err
	}
	told := make(map[string]register.Event)
	for _, m := range heard.so() {
		if e := m.event(); e.Dispatch.ID == id {
			told[string(e.Type)] = e
		}
	}
	before := int64(0)
	for _, kind := range []register.EventType{
		register.EventTypeDispatchReady, register.EventTypeDispatchRunning, register.EventTypeDispatchProgress, register.EventTypeDispatchDone,
	} {
		e, there := told[string(kind)]
		switch state, _ := strings.CutPrefix(string(kind), "dispatch."); {
		case !there:
			return seen("%s of %s is not told", kind, id)
		case e.Seq <= before:
			return seen("%s of %s is told as %d, before what went before it", kind, id, e.Seq)
		case state != "progress" && string(e.Dispatch.State) != state:
			return seen("%s of %s shows it as %s", kind, id, e.Dispatch.State)
		}
		before = e.Seq
	}
	if told["dispatch.ready"].Actor != operator {
		return seen("%s asked for %s, and its event names %s", operator, id, told["dispatch.ready"].Actor)
	}
	return t.toldAll(heard)
}

// toldAll looks for the kinds of change that the run has made by now.
func (t *trial) toldAll(heard *listener) error {
	var kinds []register.EventType
	for _, m := range heard.so() {
		kinds = append(kinds, m.event().Type)
	}
	for _, kind := range []register.EventType{
		register.EventTypeDispatchReady, register.EventTypeDispatchRefused, register.EventTypeDispatchCancelled, register.EventTypeDispatchFailed,
		register.EventTypeBudgetSet, register.EventTypeBudgetReset, register.EventTypeProposalOpened, register.EventTypeProposalVoted,
		register.EventTypeProposalClosed, register.EventTypeSeatSet, register.EventTypeRoomBound, register.EventTypeIdentitySet,
	} {
		if !slices.Contains(kinds, kind) {
			return seen("the run did what %s tells, and none was heard among %d events", kind, len(kinds))
		}
	}
	return nil
}

// inSequence lets eight write at once, which is when transactions commit out of order.
func inSequence(ctx context.Context, t *trial) error {
	heard, err := t.hearing()
	if err != nil {
		return err
	}
	made, failed := make([]register.Dispatch, 32), make([]error, 8)
	var wait sync.WaitGroup
	for i := range failed {
		wait.Go(func() {
			for n := i; n < len(made) && failed[i] == nil; n += len(failed) {
				made[n], failed[i] = t.ready(ctx, t.role("sequence"))
			}
		})
	}
	wait.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	for _, dispatch := range made {
		if err := heard.untilTold(ctx, dispatch.ID, register.EventTypeDispatchReady); err != nil {
			return err
		}
	}
	return rising(heard.so())
}

func rising(messages []message) error {
	for i := 1; i < len(messages); i++ {
		before, now := messages[i-1].event().Seq, messages[i].event().Seq
		if now != before+1 {
			return seen("after %d comes %d", before, now)
		}
	}
	return nil
}

func tellAgain(ctx context.Context, t *trial) error {
	heard, err := t.hearing()
	if err != nil {
		return err
	}
	first := heard.so()
	if len(first) < 2 {
		return seen("%d events were heard", len(first))
	}
	start := first[0].event().Seq
	for _, m := range first {
		start = min(start, m.event().Seq)
	}
	again, err := t.listen(ctx, strconv.FormatInt(start-1, 10))
	if err != nil {
		return err
	}
	defer again.close()
	second := make(map[string][]byte)
	return soon(ctx, 15*time.Second, func() error {
		for _, m := range again.so() {
			second[m.id] = m.data
		}
		for _, m := range first {
			data, told := second[m.id]
			if !told {
				return seen("of %d events after %d, %s is not told again", len(first), start-1, m.id)
			}
			if !bytes.Equal(data, m.data) {
				return seen("%s was told as %s and is told again as %s", m.id, m.data, data)
			}
		}
		if lowest := again.so()[0].event().Seq; lowest < start {
			return seen("the log after %d begins with %d", start-1, lowest)
		}
		return nil
	})
}

// resume reads the log with the typed client, as the bot does, and hangs up after every third event.
func resume(ctx context.Context, t *trial) error {
	heard, err := t.hearing()
	if err != nil {
		return err
	}
	var numbers []int64
	for _, m := range heard.so() {
		numbers = append(numbers, m.event().Seq)
	}
	if len(numbers) < 20 {
		return seen("%d events were heard", len(numbers))
	}
	slices.Sort(numbers)
	last := numbers[0]
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	hungUp := errors.New("the reader hangs up")
	for range 4 {
		read := 0
		err := t.api.Events(ctx, last, func(event register.Event) error {
			if event.Seq != last+1 {
				return seen("after %d comes %d", last, event.Seq)
			}
			if last, read = event.Seq, read+1; read == 3 {
				return hungUp
			}
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return seen("nothing came after %d, which is not the last", last)
		case !errors.Is(err, hungUp):
			return err
		}
	}
	return nil
}

func fromTheStart(ctx context.Context, t *trial) error {
	start, err := t.listen(ctx, "0")
	if err != nil {
		return err
	}
	defer start.close()
	heard, err := t.hearing()
	if err != nil {
		return err
	}
	return soon(ctx, 10*time.Second, func() error {
		told, since := start.so(), heard.so()
		if len(told) == 0 {
			return seen("nothing is told")
		}
		if len(since) > 0 && told[0].event().Seq > since[0].event().Seq {
			return seen("it starts with %d, after %d, which is retained", told[0].event().Seq, since[0].event().Seq)
		}
		return nil
	})
}

func badPosition(ctx context.Context, t *trial) error {
	return t.failing(ctx, []mistake{
		{asking{method: http.MethodGet, path: "/api/fleet/events", last: "yesterday"}, http.StatusBadRequest, register.ProblemCodeInvalid},
	})
}
