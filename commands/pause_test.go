package commands

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestPauseAndResumeAreUnderstoodAsMeant(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		`pause "the provider is down"`: `{"paused":true,"reason":"the provider is down"}`,
		"Pause the provider is down":   `{"paused":true,"reason":"the provider is down"}`,
		"pause":                        `{"paused":true}`,
		"Resume.":                      `{"paused":false}`,
	} {
		call := understood(t, typed)
		require.Equal(t, "/api/fleet/pause", call.Mutation.Path)
		require.JSONEq(t, want, string(call.Mutation.Body), typed)
	}
	misunderstood(t, "resume now")
}

func TestAPauseSaysWhoWhenAndWhyWhereverItIsShown(t *testing.T) {
	t.Parallel()
	pause := register.Pause{Paused: true, By: "olga", At: monday, Reason: "the provider\nis *down*"}
	line := "The fleet is paused by olga since Mon 23 Nov 10:00 CET: the provider is *down*"
	noticed(t, register.Event{Type: register.EventTypeFleetPaused, Pause: pause}, false,
		line, "New work is queued and nothing is claimed; running work goes on.", "Go on with !mosaic resume")
	noticed(t, register.Event{Type: register.EventTypeFleetResumed, Pause: register.Pause{By: "olga", At: monday}}, false,
		"The fleet runs, resumed by olga Mon 23 Nov 10:00 CET", "What waited is judged in its order: !mosaic status")
	reads(t, statusText(Status{Pause: pause, Now: monday, Windows: []register.Window{}}, berlin(t)),
		line+" · !mosaic resume", "Fleet: idle", "",
		"- No worker is live. Start one on its host: mosaic-matrix work --role coder -- ./agent.sh",
		"- No budget window is set: !mosaic budget set --provider claude --limit 500 --unit credits --reset-at +5h")
	reads(t, pauseText(register.Pause{}, monday, time.UTC), "The fleet is not paused.")
}

func TestWhatHasToBeDoneFirstIsReadAndShown(t *testing.T) {
	t.Parallel()
	for _, line := range []string{`dispatch tester "Test it" --after D-3,d4`, `dispatch tester "Test it" after="3, 4"`} {
		var body register.DispatchRequest
		require.NoError(t, json.Unmarshal(understood(t, line).Mutation.Body, &body))
		require.Equal(t, []string{"D-3", "D-4"}, body.DependsOn, line)
	}
	require.Contains(t, misunderstood(t, `dispatch tester "Test it" --after soon`).Error(), "--after")
	waiting := asked(func(d *register.Dispatch) {
		d.State, d.Reason, d.DependsOn = register.DispatchStateQueued, "Waits until D-3 and D-4 are done.", []string{"D-3", "D-4"}
	})
	require.Contains(t, showText(waiting, monday, time.UTC), "After: D-3 and D-4")
	require.Contains(t, dispatchReply(waiting, time.UTC).Markdown, "Waits until D-3 and D-4 are done.")
}
