package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// streamedAtOnce bounds one read of the log.
const streamedAtOnce = 100

// stream knows how far the numbered log reaches and wakes those who follow it.
type stream struct {
	heartbeat time.Duration // a comment is sent when there was nothing else to say for so long
	patience  time.Duration // how long a reader may take to accept what is written; then it is dropped, and resumes

	mutex    sync.Mutex
	last     int64
	advanced chan struct{} // closed when last grows
	ended    chan struct{} // closed when the gateway stops
}

func newStream() *stream {
	return &stream{
		heartbeat: 15 * time.Second, patience: 10 * time.Second,
		advanced: make(chan struct{}), ended: make(chan struct{}),
	}
}

func (s *stream) advance(last int64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if last > s.last {
		s.last = last
		close(s.advanced)
		s.advanced = make(chan struct{})
	}
}

func (s *stream) position() (last int64, advanced <-chan struct{}) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.last, s.advanced
}

func (s *stream) end() { close(s.ended) }

// StreamEvents follows the log from after Last-Event-ID, or from now.
func (o *operations) StreamEvents(ctx context.Context, request StreamEventsRequestObject) (StreamEventsResponseObject, error) {
	after, err := o.store.LastEvent(ctx)
	if err != nil {
		return nil, err
	}
	if position := given(request.Params.LastEventID); position != "" {
		heard, err := strconv.ParseInt(position, 10, 64)
		if err != nil || heard > after {
			return nil, &problem{
				Code: register.ProblemCodeInvalid, Field: "Last-Event-ID",
				Detail:  fmt.Sprintf("The log ends at event %d, before %s.", after, position),
				Example: "0", NextStep: "Read the log again from the start with 0.",
			}
		}
		if after, err = o.store.ReadOn(ctx, heard); err != nil {
			return nil, err
		}
	}
	return &follower{ctx: ctx, store: o.store, stream: o.stream, after: after}, nil
}

// readAgain is what shows the state as it is now, for a reader that lost events.
var readAgain = []string{
	"/api/fleet/dispatches?state=queued,ready,running", "/api/fleet/proposals?state=open", "/api/fleet/budgets", "/api/fleet/pause",
}

func goneProblem(gone *fleet.Gone) *problem {
	p := &problem{
		Code: register.ProblemCodeGone, Field: "Last-Event-ID", Detail: gone.Error(), Example: strconv.FormatInt(gone.Floor, 10),
		NextStep: fmt.Sprintf("Read again what resync lists, then follow the log from after %d.", gone.Floor),
		Resync:   register.Resync{After: gone.Floor, ReadAgain: readAgain},
	}
	p.Resync.Lost.First, p.Resync.Lost.Last = gone.Asked+1, gone.Floor
	return p
}

// follower is one reader of the log.
type follower struct {
	ctx    context.Context
	store  *fleet.Store
	stream *stream
	after  int64
}

// VisitStreamEventsResponse writes the log until either side ends it.
func (f *follower) VisitStreamEventsResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	connection := http.NewResponseController(w)
	write := func(text string) error {
		if err := connection.SetWriteDeadline(time.Now().Add(f.stream.patience)); err != nil {
			return err
		}
		if _, err := w.Write([]byte(text)); err != nil {
			return err
		}
		return connection.Flush()
	}
	if write(": following\n\n") != nil {
		return nil
	}
	for {
		last, advanced := f.stream.position()
		if last > f.after {
			if f.catchUp(write) != nil {
				return nil
			}
			continue
		}
		select {
		case <-f.ctx.Done():
			return nil
		case <-f.stream.ended:
			return nil
		case <-advanced:
		case <-time.After(f.stream.heartbeat):
			if write(": heartbeat\n\n") != nil {
				return nil
			}
		}
	}
}

// catchUp writes what came after the reader's position.
func (f *follower) catchUp(write func(string) error) error {
	events, err := f.store.EventsAfter(f.ctx, f.after, streamedAtOnce)
	if err != nil {
		return err
	}
	for _, event := range events {
		data, err := json.Marshal(event)
		if err != nil {
			return fmt.Errorf("writing event %d: %w", event.Seq, err)
		}
		if err := write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", event.Seq, event.Type, data)); err != nil {
			return err
		}
		f.after = event.Seq
	}
	return nil
}
