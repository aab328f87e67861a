package collect

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestACallThatIsWrittenManyTimesCountsOnceAndWhole(t *testing.T) {
	t.Parallel()
	d := setup(t)
	now := time.Now()
	d.write(t, "-repo/s1.jsonl",
		claudeAsk("s1", now),
		claudeLineOf("s1", "msg_1", "req_1", opus, 5, now, "/repo"),  // as it streams in
		claudeLineOf("s1", "msg_1", "req_1", opus, 90, now, "/repo"), // whole
		claudeLineOf("s1", "msg_1", "req_1", opus, 90, now, "/repo"), // its next block
		claudeLineOf("s1", "msg_1", "", opus, 90, now, "/repo"),      // without the request's ID
	)
	d.collect(t, ClaudeCode())
	require.Equal(t, []string{"- " + opus + " 113"}, d.uses(t), "3 in, 20 into the cache, 90 out; what was read from the cache is left out")

	d.write(t, "-repo/s2.jsonl", // resumed: it begins with copies
		claudeLineOf("s2", "msg_1", "req_1", opus, 90, now, "/repo"),
		claudeLineOf("s2", "msg_2", "req_2", "claude-haiku-4-5", 7, now, "/repo"),
	)
	d.collect(t, ClaudeCode())
	require.Equal(t, []string{"- " + opus + " 113", "- claude-haiku-4-5 30"}, d.uses(t))
	d.collect(t, ClaudeCode())
	require.Len(t, d.uses(t), 2, "started anew it posts nothing twice")
}

func TestAnAnswerThatGrowsBetweenTwoLooksCountsItsGrowth(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.write(t, "s.jsonl", claudeLineOf("s", "msg_1", "req_1", opus, 5, time.Now(), "/repo"))
	d.collect(t, ClaudeCode())
	d.write(t, "s.jsonl", claudeLineOf("s", "msg_1", "req_1", opus, 95, time.Now(), "/repo"))
	d.collect(t, ClaudeCode())
	require.Equal(t, []string{"- " + opus + " 28", "- " + opus + " 90"}, d.uses(t))
}

func TestWhatWasReadFromTheCacheCountsIfAsked(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.write(t, "s.jsonl", claudeLineOf("s", "msg_1", "req_1", opus, 5, time.Now(), "/repo"))
	d.collect(t, ClaudeCode(), func(o *Options) { o.CacheReads = true })
	require.Equal(t, []string{"- " + opus + " 61636"}, d.uses(t))
}

func TestALineThatIsStillWrittenWaits(t *testing.T) {
	t.Parallel()
	d := setup(t)
	line := claudeLineOf("s", "msg_1", "req_1", opus, 90, time.Now(), "/repo")
	d.raw(t, "s.jsonl", line[:200])
	d.collect(t, ClaudeCode())
	require.Empty(t, d.uses(t))
	d.raw(t, "s.jsonl", line[200:]+"\n")
	d.collect(t, ClaudeCode())
	require.Equal(t, []string{"- " + opus + " 113"}, d.uses(t))
}

func TestALogThatIsRotatedCutOrReplacedCountsNothingTwiceAndLosesNothing(t *testing.T) {
	t.Parallel()
	d := setup(t)
	now := time.Now()
	path := filepath.Join(d.logs, "s.jsonl")
	d.write(t, "s.jsonl", claudeLineOf("s", "msg_1", "req_1", opus, 90, now, "/repo"))
	d.collect(t, ClaudeCode())

	d.write(t, "s.jsonl", claudeLineOf("s", "msg_2", "req_2", opus, 77, now, "/repo")) // not read before it is rotated
	require.NoError(t, os.Rename(path, path+".1"))
	d.write(t, "s.jsonl", claudeLineOf("s", "msg_3", "req_3", opus, 7, now, "/repo"))
	d.collect(t, ClaudeCode())
	require.Equal(t, []string{"- " + opus + " 113", "- " + opus + " 130"}, d.uses(t), "100 of the rest, 30 of the new one")

	require.NoError(t, os.Truncate(path, 0))
	d.write(t, "s.jsonl", claudeLineOf("s", "msg_3", "req_3", opus, 7, now, "/repo"), claudeLineOf("s", "msg_4", "req_4", opus, 17, now, "/repo"))
	d.collect(t, ClaudeCode())
	require.Equal(t, "- "+opus+" 40", d.uses(t)[2])
	require.Len(t, d.uses(t), 3)

	require.NoError(t, os.Remove(path+".1"))
	d.write(t, "s.jsonl", claudeLineOf("s", "msg_5", "req_5", opus, 27, now, "/repo"))
	d.collect(t, ClaudeCode())
	require.Equal(t, "- "+opus+" 50", d.uses(t)[3])
}

func TestWhatIsNoUseStopsNothing(t *testing.T) {
	t.Parallel()
	d := setup(t)
	now := time.Now()
	d.write(t, "s.jsonl",
		`{"type":"assistant","message":{"usage":`, "", `null`, `[]`, `{"usage":1}`, "\x00\xff\"usage\"",
		`{"type":"assistant","sessionId":"s","timestamp":"yesterday","message":{"id":"m","usage":{"output_tokens":5}}}`,
		`{"type":"assistant","sessionId":"s","timestamp":"`+stamp(now)+`","message":{"id":"m","model":"<synthetic>","usage":{"output_tokens":5}}}`,
		`{"type":"assistant","sessionId":"s","timestamp":"`+stamp(now)+`","message":{"model":"opus","usage":{"output_tokens":5}}}`,
		`{"type":"assistant","sessionId":"s","timestamp":"`+stamp(now)+`","message":{"id":"neg","model":"opus","usage":{"output_tokens":-5}}}`,
		strings.Repeat("x", 70<<10)+`"usage"`,
		claudeLineOf("s", "msg_1", "req_1", opus, 90, now, "/repo"),
	)
	d.raw(t, "notes.txt", claudeLineOf("s", "msg_9", "req_9", opus, 90, now, "/repo")+"\n")
	d.collect(t, ClaudeCode())
	require.Equal(t, []string{"- " + opus + " 113"}, d.uses(t))
}

func TestWhatWasUsedBeforeTheCollectorBeganDoesNotCount(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.write(t, "s.jsonl",
		claudeLineOf("s", "msg_1", "req_1", opus, 90, began().Add(-time.Minute), "/repo"),
		claudeLineOf("s", "msg_2", "req_2", opus, 80, time.Now(), "/repo"))
	d.collect(t, ClaudeCode())
	require.Equal(t, []string{"- " + opus + " 103"}, d.uses(t))
}

func TestWhatCouldNotBePostedIsPostedLaterUnderItsKey(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.write(t, "s.jsonl", claudeLineOf("s", "msg_1", "req_1", opus, 90, time.Now(), "/repo"))
	d.breaks(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	require.Error(t, d.try(t, ClaudeCode()))
	d.write(t, "s.jsonl", claudeLineOf("s", "msg_2", "req_2", opus, 7, time.Now(), "/repo"))
	require.Error(t, d.try(t, ClaudeCode()), "the answer was lost though the report was taken")
	d.breaks(nil)
	d.collect(t, ClaudeCode())
	require.Equal(t, []string{"- " + opus + " 113", "- " + opus + " 30"}, d.uses(t), "the same key and bytes, then what came since")
	require.Len(t, d.keys, 2)
}

func TestATokenThatMayNotReportEndsTheCollectorAndLosesNothing(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		d := setup(t)
		d.write(t, "s.jsonl", claudeLineOf("s", "msg_1", "req_1", opus, 90, time.Now(), "/repo"))
		d.breaks(func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"code":"forbidden","detail":"The token of vera lacks the scope to report use."}`))
			return true
		})
		err := d.try(t, ClaudeCode(), func(o *Options) { o.Once = false })
		require.ErrorIs(t, err, errRefused)
		d.breaks(nil)
		d.collect(t, ClaudeCode())
		require.Equal(t, []string{"- " + opus + " 113"}, d.uses(t))
	}
}

func TestAReportTheGatewayWillNeverTakeStandsInNobodysWay(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.write(t, "s.jsonl", claudeLineOf("s", "msg_1", "req_1", opus, 90, time.Now(), "/repo"))
	d.breaks(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"code":"unit_mismatch","detail":"The window counts credits."}`))
		return true
	})
	d.collect(t, ClaudeCode())
	d.breaks(nil)
	d.write(t, "s.jsonl", claudeLineOf("s", "msg_2", "req_2", opus, 7, time.Now(), "/repo"))
	d.collect(t, ClaudeCode())
	require.Equal(t, "- "+opus+" 30", d.uses(t)[1])
}

func TestAStateThatCannotBeReadIsSaid(t *testing.T) {
	t.Parallel()
	d := setup(t)
	require.NoError(t, os.WriteFile(d.state, []byte("{"), 0o600))
	_, err := New(d.options(ClaudeCode()))
	require.ErrorContains(t, err, "is not a collector's state; move it away to begin anew from now")
	options := d.options(ClaudeCode())
	options.Directory = filepath.Join(d.logs, "nowhere")
	_, err = New(options)
	require.ErrorContains(t, err, "give it with --directory")
}
