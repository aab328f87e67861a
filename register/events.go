package register

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// silence is how long a stream may say nothing, heartbeats included, before it counts as dead; the gateway sends one every 15 s.
const silence = 45 * time.Second

// Events reads the fleet's event log from after seq, in order and without gaps, and hands each event to handle until ctx
// ends, the stream breaks or handle fails. The caller keeps its position and calls again: nothing is lost in between, unless it
// was away for longer than the log is retained. Then ResyncOf says how it goes on.
func (a *API) Events(ctx context.Context, after int64, handle func(Event) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(silence, func() { cancel(fmt.Errorf("no word from the gateway for %s", silence)) })
	defer watchdog.Stop()

	request, err := NewStreamEventsRequest(a.base+"/", &StreamEventsParams{LastEventID: new(strconv.FormatInt(after, 10))})
	if err != nil {
		return fmt.Errorf("building the event stream request: %w", err)
	}
	_ = a.authenticate(ctx, request)
	response, err := a.wire.Do(request.WithContext(ctx))
	if err != nil {
		return unreachable(err)
	}
	if response.StatusCode != http.StatusOK {
		return decode(response, nil, nil)
	}
	defer response.Body.Close()

	lines := bufio.NewScanner(response.Body)
	lines.Buffer(make([]byte, 0, 64<<10), 4<<20)
	for lines.Scan() {
		watchdog.Reset(silence)
		data, isData := strings.CutPrefix(lines.Text(), "data: ")
		if !isData {
			continue
		}
		var event Event
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			return fmt.Errorf("reading an event: %w", err)
		}
		if err := handle(event); err != nil {
			return fmt.Errorf("handling event %d: %w", event.Seq, err)
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err := lines.Err(); err != nil {
		return unreachable(err)
	}
	return unreachable(fmt.Errorf("the gateway closed the event stream"))
}
