package collect

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// run leaves a run's note as `work` does.
func (d *desk) run(t *testing.T, dispatch string, attempt int, provider, directory string, from time.Time, to time.Time) string {
	t.Helper()
	folder := filepath.Join(d.runs, fmt.Sprintf("%s-%d", dispatch, attempt))
	require.NoError(t, os.MkdirAll(folder, 0o700))
	require.NoError(t, replace(filepath.Join(folder, "run.json"), note{
		Dispatch: dispatch, Attempt: attempt, Claim: "claim-of-" + dispatch, Provider: provider, Directory: directory, Began: from, Ended: to,
	}))
	return folder
}

func TestARunsUseIsToldWithTheRunAndAsItsWholeSum(t *testing.T) {
	t.Parallel()
	d := setup(t)
	now, none := time.Now(), time.Time{}
	folder := d.run(t, "D-1", 1, "claude", "/elsewhere", now.Add(-5*time.Minute), none)
	d.run(t, "D-2", 2, "claude", "/repo", now.Add(-4*time.Minute), now.Add(-time.Minute))
	d.run(t, "D-3", 1, "codex", "/other", now.Add(-4*time.Minute), none)
	d.write(t, "a.jsonl",
		claudeLineOf("a", "msg_1", "req_1", opus, 7, now, filepath.Join(folder, "checkout")),
		claudeLineOf("b", "msg_2", "req_2", opus, 17, now.Add(-2*time.Minute), "/repo"),
		claudeLineOf("b", "msg_3", "req_3", opus, 27, now, "/repo"),                     // after the run
		claudeLineOf("b", "msg_4", "req_4", opus, 37, now.Add(-5*time.Minute), "/repo"), // before it
		claudeLineOf("c", "msg_5", "req_5", opus, 47, now, "/other"))                    // another tool's run
	d.collect(t, ClaudeCode())
	require.ElementsMatch(t, []string{"D-1.1 " + opus + " 30", "D-2.2 " + opus + " 40", "- " + opus + " 180"}, d.uses(t))

	d.write(t, "a.jsonl", claudeLineOf("a", "msg_6", "req_6", "claude-haiku-4-5", 7, now, folder))
	d.collect(t, ClaudeCode())
	require.Equal(t, "D-1.1 claude-haiku-4-5 60", d.uses(t)[3], "all the run has used so far, on every model")
}

func TestOfTwoRunsInOneDirectoryTheOneThatBeganLastExplainsTheUse(t *testing.T) {
	t.Parallel()
	d := setup(t)
	now := time.Now()
	d.run(t, "D-1", 1, "claude", "/repo", now.Add(-5*time.Minute), time.Time{})
	d.run(t, "D-2", 1, "claude", "/repo", now.Add(-3*time.Minute), time.Time{})
	d.write(t, "a.jsonl",
		claudeLineOf("a", "msg_1", "req_1", opus, 7, now.Add(-4*time.Minute), "/repo"),
		claudeLineOf("b", "msg_2", "req_2", opus, 17, now.Add(-2*time.Minute), "/repo"))
	d.collect(t, ClaudeCode())
	require.ElementsMatch(t, []string{"D-1.1 " + opus + " 30", "D-2.1 " + opus + " 40"}, d.uses(t))
}

func TestARunThatBeganBeforeTheCollectorIsLeftToItsOwnReport(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.run(t, "D-1", 1, "claude", "/repo", began().Add(-time.Minute), time.Time{})
	d.write(t, "a.jsonl", claudeLineOf("a", "msg_1", "req_1", opus, 7, time.Now(), "/repo"))
	d.collect(t, ClaudeCode())
	require.Empty(t, d.uses(t))
}

func TestAStatusLineTellsWhoseSessionItIsAndLeavesItsWindows(t *testing.T) {
	d := setup(t)
	now := time.Now()
	t.Setenv("MOSAIC_DISPATCH", "D-7")
	t.Setenv("MOSAIC_ATTEMPT", "2")
	t.Setenv("MOSAIC_RUN_ID", "claim-of-D-7")
	t.Setenv("MOSAIC_RUN_BEGAN", now.Add(-5*time.Minute).UTC().Format(time.RFC3339Nano))
	reset := now.Add(3 * time.Hour).Unix()
	in := fmt.Sprintf(`{"hook_event_name":"Status","session_id":"s7","transcript_path":"/x.jsonl","cwd":"/x","model":{"id":"%s"},"prompt":"%s",
		"rate_limits":{"five_hour":{"used_percentage":23.5,"resets_at":%d},"seven_day":{"used_percentage":41.2,"resets_at":%d}}}`, opus, secret, reset, reset+86400)
	var out bytes.Buffer
	require.NoError(t, StatusLine{Provider: "claude", Subscription: "team-a", State: d.state, In: strings.NewReader(in), Out: &out}.Run(t.Context()))
	require.Equal(t, "5h 24 % · weekly 41 %\n", out.String())

	d.write(t, "a.jsonl", claudeLineOf("s7", "msg_1", "req_1", opus, 7, now, "/anywhere"))
	d.collect(t, ClaudeCode(), func(o *Options) { o.Subscription = "team-a" })
	require.Equal(t, []string{"D-7.2 " + opus + " 30"}, d.uses(t))
	readings := d.readings(t)
	require.Len(t, readings, 2)
	require.Equal(t, "5h", readings[0].Window)
	require.Equal(t, int64(23_500_000), readings[0].UsedMicros)
	require.Equal(t, "team-a", readings[0].Subscription)
	require.Equal(t, reset, readings[0].ResetAt.Unix())

	t.Setenv("MOSAIC_ATTEMPT", "")
	require.NoError(t, StatusLine{Provider: "claude", State: d.state, In: strings.NewReader(`{"session_id":"s7"}`), Out: &out}.Run(t.Context()))
	d.write(t, "a.jsonl", claudeLineOf("s7", "msg_2", "req_2", opus, 17, now, "/anywhere"))
	d.collect(t, ClaudeCode())
	require.Equal(t, "- "+opus+" 40", d.uses(t)[1], "a person has resumed the run's session")
}

func TestAStatusLineWithATokenPostsItsWindowsWhenTheyAreNews(t *testing.T) {
	d := setup(t)
	said := func(percent float64) {
		in := fmt.Sprintf(`{"session_id":"s","rate_limits":{"five_hour":{"used_percentage":%g,"resets_at":%d}}}`, percent, time.Now().Add(time.Hour).Unix())
		line := StatusLine{API: d.api, Provider: "claude", Subscription: "claude", State: d.state, In: strings.NewReader(in), Out: new(bytes.Buffer)}
		require.NoError(t, line.Run(context.Background()))
	}
	said(10)
	said(10)
	require.Len(t, d.readings(t), 1)
	said(11)
	require.Len(t, d.readings(t), 2)
	err := StatusLine{Provider: "claude", State: d.state, In: strings.NewReader("hello"), Out: new(bytes.Buffer)}.Run(t.Context())
	require.ErrorContains(t, err, "--status-line")
	require.NoError(t, StatusLine{Provider: "claude", State: d.state, In: strings.NewReader(`{"session_id":"../../x"}`), Out: new(bytes.Buffer)}.Run(t.Context()), "an ID never names a file elsewhere")
}
