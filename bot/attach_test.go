package bot

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func isUpload(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/upload") }

var longResult = strings.TrimSpace(strings.Repeat("a secret line of <b>output</b> for @room\n", 40) + "the last line")

func TestALongResultIsAttachedOnceAsAFileThatTheHomeserverCannotRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	asked := b.say(t, "!mosaic dispatch coder \"talk much\"")
	b.answered(t, asked, "D-1")
	var failed atomic.Bool
	b.homeserver.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !isUpload(r) || !failed.CompareAndSwap(false, true) {
			return false
		}
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	b.fleet.runWith(t, longResult)
	ended := b.answered(t, asked, "the last line")
	require.NotContains(t, ended.Body, strings.Repeat("a secret line of <b>output</b> for", 9), "only the end is shown")
	file, err := b.ada.WaitFor(soon(t), b.fromBot(), client.InThread(asked), client.Contains("D-1-result.txt"))
	require.NoError(t, err)
	require.True(t, failed.Load())
	require.Equal(t, event.MsgFile, file.MsgType)
	require.True(t, file.WasEncrypted)
	require.Empty(t, file.Mentions)
	require.NotContains(t, file.Content, attachKey)

	require.Equal(t, longResult+"\n", b.unsealed(t, file, "secret"))
	b.quiet(t)
	replies := b.replies(asked)
	require.Equal(t, file.EventID, replies[len(replies)-1].EventID, "after the result it belongs to")
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM outbox WHERE content LIKE '%D-1-result.txt%' AND state = 'sent'`))
}

// unsealed is the text of an attached file, of which the homeserver must not know a word.
func (b *bench) unsealed(t *testing.T, file client.Seen, word string) string {
	t.Helper()
	var content event.MessageEventContent
	raw, err := json.Marshal(file.Content)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &content))
	address, err := content.File.URL.Parse()
	require.NoError(t, err)
	sealed, err := b.ada.Matrix.DownloadBytes(t.Context(), address)
	require.NoError(t, err)
	require.NotContains(t, string(sealed), word)
	require.NoError(t, content.File.DecryptInPlace(sealed))
	return string(sealed)
}

func TestAResultThatTheRegisterHoldsOnlyTheEndOfIsAttachedWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	asked := b.say(t, "!mosaic dispatch coder \"talk for an hour\"")
	b.answered(t, asked, "D-1")
	claim := b.running(t)
	whole := strings.Repeat("a secret line of <b>output</b> for @room\n", 8000) + "the last line"
	b.fleet.send(t, b.fleet.worker, register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{
		Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Unmetered: "x", Result: register.Result{Summary: "the last line"}, Output: whole,
	}), nil)
	b.answered(t, asked, "the last line")
	file := b.answered(t, asked, "D-1-result.txt")
	require.Equal(t, whole+"\n", b.unsealed(t, file, "secret"))
	again := b.say(t, "!mosaic output D-1")
	file, err := b.ada.WaitFor(soon(t), b.fromBot(), client.InThread(again), func(s client.Seen) bool { return s.MsgType == event.MsgFile })
	require.NoError(t, err)
	require.Equal(t, whole+"\n", b.unsealed(t, file, "secret"), "who asks gets it again")
	b.quiet(t)
	require.Zero(t, b.count(t, `SELECT count(*) FROM outbox WHERE content LIKE '%secret line%'`), "once it is uploaded, nothing of it is kept here")
}

func TestAFileTheHomeserverWillNotTakeHoldsUpNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	b.talk(t)
	b.homeserver.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !isUpload(r) {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = w.Write([]byte(`{"errcode":"M_TOO_LARGE","error":"too large"}`))
		return true
	})
	asked := b.say(t, "!mosaic dispatch coder \"talk much\"")
	b.answered(t, asked, "D-1")
	b.fleet.runWith(t, longResult)
	b.answered(t, asked, "the last line")
	b.answered(t, b.say(t, "!mosaic status"), "")
	require.Eventually(t, func() bool { return running.Health(t.Context()).OutboxFailed == 1 }, patience, tick)
}

func TestAPauseIsSaidOnceInTheRoomItWasAskedForIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.inRoomFor(t, register.RoomPurposeFleet)
	b.answered(t, b.say(t, "!mosaic pause \"the provider is down\""), "The fleet is paused")
	b.answered(t, b.say(t, "!mosaic resume --yes"), "The fleet runs")
	b.fleet.send(t, b.fleet.admin, register.SetPause(register.PauseRequest{Paused: true, Reason: "from elsewhere"}), nil)
	_, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(b.room), client.Contains("from elsewhere"))
	require.NoError(t, err)
	b.quiet(t)
	said := map[string]int{}
	for _, seen := range b.ada.Seen() {
		for _, text := range []string{"the provider is down", "The fleet runs"} {
			if seen.Sender == id.UserID(b.options.UserID) && strings.Contains(seen.Body, text) {
				said[text]++
			}
		}
	}
	require.Equal(t, map[string]int{"the provider is down": 1, "The fleet runs": 1}, said)
}

func TestADateIsNotBrokenOverTwoLines(t *testing.T) {
	t.Parallel()
	html, _ := words("It resets **Mon 30 Nov 09:00 CET, in 6 d 3 h**; set it by `budget set --reset-at Mon 30 Nov 09:00`, 1 May 2027", nil)["formatted_body"].(string)
	require.Contains(t, html, "Mon\u00a030\u00a0Nov\u00a009:00\u00a0CET, in")
	require.Contains(t, html, "--reset-at Mon 30 Nov 09:00</code>", "what is copied stays as it is")
	require.Contains(t, html, "1\u00a0May\u00a02027")
}
