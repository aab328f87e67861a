package bot

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
)

// Undecryptable events hold their room for five seconds, and run when their key comes.
func TestACommandWhoseKeyIsLateLetsOthersPassAndRunsWhenItComes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	post := &lateToDevice{from: b.ada.UserID.String()}
	b.homeserver.set(post.handle(b.homeserver))
	b.start(t)
	ben := b.talkOfThree(t)
	first, err := ben.Say(t.Context(), b.room, "!mosaic status") // the bot has ben's key from here on
	require.NoError(t, err)
	b.answered(t, first, "")

	post.hold(true)
	late := b.say(t, "!mosaic dispatch coder \"late\"")
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM journal WHERE event_id = $1 AND state = 'waiting'`, late) == 1
	}, patience, tick)
	passing, err := ben.Say(t.Context(), b.room, "!mosaic status")
	require.NoError(t, err)
	b.answered(t, passing, "")
	require.Empty(t, b.fleet.listDispatches(t))
	shown, err := b.ada.WaitFor(soon(t), b.fromBot(), client.Reacts(late, "🔑"))
	require.NoError(t, err)
	require.WithinRange(t, shown.At, b.arrived(t, late).Add(keySignAfter), b.arrived(t, late).Add(keySignAfter+patience))

	post.hold(false)
	_, err = ben.Say(t.Context(), b.room, "anything new ends the waiting sync")
	require.NoError(t, err)
	require.Contains(t, b.answered(t, late, "D-1").Body, "could read this only")
	require.Equal(t, []string{"✅"}, b.signed(t, late, "✅"), "the key is taken away when it is read")
	b.quiet(t)
	require.Equal(t, []string{"✅"}, b.signs(late))
	require.Len(t, b.replies(late), 1)
}

func (b *bench) arrived(t *testing.T, event id.EventID) time.Time {
	t.Helper()
	var at time.Time
	require.NoError(t, b.bots(t).QueryRow(t.Context(), `SELECT arrived_at FROM journal WHERE event_id = $1`, event).Scan(&at))
	return at
}

// lateToDevice keeps someone's to-device messages back.
type lateToDevice struct {
	from  string
	mutex sync.Mutex
	held  bool
	kept  []any
}

func (l *lateToDevice) hold(held bool) {
	l.mutex.Lock()
	l.held = held
	l.mutex.Unlock()
}

func (l *lateToDevice) handle(p *proxy) func(w http.ResponseWriter, r *http.Request) bool {
	return changeSync(p, func(response map[string]any) {
		l.mutex.Lock()
		defer l.mutex.Unlock()
		part, _ := response["to_device"].(map[string]any)
		events, _ := part["events"].([]any)
		var passing []any
		for _, evt := range events {
			if fields, _ := evt.(map[string]any); fields["sender"] == l.from {
				l.kept = append(l.kept, evt)
			} else {
				passing = append(passing, evt)
			}
		}
		if !l.held {
			passing, l.kept = append(passing, l.kept...), nil
		}
		response["to_device"] = map[string]any{"events": passing}
	})
}

// changeSync has each sync that waits answered with a changed response.
func changeSync(p *proxy, change func(response map[string]any)) func(w http.ResponseWriter, r *http.Request) bool {
	rewritten := rewriteSyncs(p, func(body []byte) []byte {
		var response map[string]any
		if json.Unmarshal(body, &response) != nil {
			return body
		}
		change(response)
		changed, _ := json.Marshal(response)
		return changed
	})
	return func(w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Query().Get("timeout") != "0" && rewritten(w, r)
	}
}

func TestAnEventThatCannotBeStoredDoesNotStopTheSync(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.homeserver.set(changeSync(b.homeserver, func(response map[string]any) {
		rooms, _ := response["rooms"].(map[string]any)
		joined, _ := rooms["join"].(map[string]any)
		room, ok := joined[b.room.String()].(map[string]any)
		if !ok {
			return
		}
		room["state"] = map[string]any{"events": []any{map[string]any{
			"type": "m.room.member", "state_key": "@nul:localhost", "sender": "@nul:localhost", "event_id": "$nul", "origin_server_ts": 1,
			"content": map[string]any{"membership": "join", "displayname": "nul\x00"},
		}}}
	}))
	b.answered(t, b.say(t, "!mosaic dispatch coder \"beside the poison\""), "D-1")
	b.homeserver.set(nil)
	require.Eventually(t, func() bool { return running.syncer.state() == nil }, patience, tick)
}

func TestHealthSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.options.Listen = "127.0.0.1:0"
	running := b.start(t)
	b.talk(t)
	ask := func(path string) int {
		response, err := http.Get("http://" + running.listener.Addr().String() + path)
		require.NoError(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	require.Eventually(t, func() bool { return ask("/readyz") == http.StatusOK }, patience, tick)
	require.Equal(t, http.StatusOK, ask("/metrics"))
	require.Equal(t, "ok", running.Health(t.Context()).Parts["device"], "the own device is verified")

	b.gateway.set(unavailable)
	require.Equal(t, http.StatusServiceUnavailable, ask("/readyz"))
	require.Equal(t, http.StatusOK, ask("/healthz"))
	require.NotEqual(t, "ok", running.Health(t.Context()).Parts["gateway"])
	b.gateway.set(nil)

	b.homeserver.set(unavailable)
	b.say(t, "anything new ends the waiting sync")
	require.Eventually(t, func() bool { return running.Health(t.Context()).Parts["homeserver"] != "ok" }, patience, tick)
	b.homeserver.set(nil)
	require.Eventually(t, func() bool { return running.Health(t.Context()).Ready() }, patience, tick)
}
