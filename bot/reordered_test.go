package bot

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"
)

// The homeserver collects what is said, and brings all of it at once in the reverse order, and then again.
func TestASyncThatIsReorderedAndRepeatedLosesNothingAndDoesNothingTwice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	var mutex sync.Mutex
	var kept []json.RawMessage
	holding, repeats := true, 2
	b.homeserver.set(rewriteSyncs(b.homeserver, func(body []byte) []byte {
		mutex.Lock()
		defer mutex.Unlock()
		return b.rewriteTimeline(body, func(events []json.RawMessage) []json.RawMessage {
			kept = append(kept, events...)
			if holding {
				return nil
			}
			if repeats == 0 {
				return events
			}
			repeats--
			mixed := slices.Clone(kept)
			slices.Reverse(mixed)
			return mixed
		})
	}))
	var asked []id.EventID
	for range 5 {
		asked = append(asked, b.say(t, `!mosaic dispatch coder "one of five"`))
	}
	require.Eventually(t, func() bool {
		mutex.Lock()
		defer mutex.Unlock()
		held := string(bytes.Join(bytesOf(kept), nil))
		return !slices.ContainsFunc(asked, func(event id.EventID) bool { return !strings.Contains(held, event.String()) })
	}, patience, tick)
	mutex.Lock()
	holding = false
	mutex.Unlock()
	for range 3 {
		b.say(t, "chatter")
	}
	for _, command := range asked {
		b.answered(t, command, "D-")
	}
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	for _, command := range asked {
		require.Len(t, b.replies(command), 1)
		require.Equal(t, []string{"✅"}, b.signs(command))
	}
	require.Len(t, b.fleet.listDispatches(t), 5)
	mutex.Lock()
	defer mutex.Unlock()
	require.Zero(t, repeats)
}

func bytesOf(messages []json.RawMessage) [][]byte {
	out := make([][]byte, len(messages))
	for i, message := range messages {
		out[i] = message
	}
	return out
}

// rewriteTimeline changes what a sync brings of the bench's room.
func (b *bench) rewriteTimeline(body []byte, rewrite func([]json.RawMessage) []json.RawMessage) []byte {
	var answer map[string]any
	var typed struct {
		Rooms struct {
			Join map[id.RoomID]struct {
				Timeline struct {
					Events []json.RawMessage `json:"events"`
				} `json:"timeline"`
			} `json:"join"`
		} `json:"rooms"`
	}
	if json.Unmarshal(body, &answer) != nil || json.Unmarshal(body, &typed) != nil {
		return body
	}
	joined, there := typed.Rooms.Join[b.room]
	if !there {
		return body
	}
	room := answer["rooms"].(map[string]any)["join"].(map[string]any)[b.room.String()].(map[string]any)
	timeline, there := room["timeline"].(map[string]any)
	if !there {
		return body
	}
	timeline["events"] = append([]json.RawMessage{}, rewrite(joined.Timeline.Events)...)
	changed, err := json.Marshal(answer)
	if err != nil {
		return body
	}
	return changed
}
