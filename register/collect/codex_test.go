package collect

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

const gpt = "gpt-5.5"

func TestCodexCountsUpAndARepeatedCountIsNoUse(t *testing.T) {
	t.Parallel()
	d := setup(t)
	now := time.Now()
	log := "2026/11/25/rollout-2026-11-25T09-00-00-0199.jsonl"
	d.write(t, log,
		codexMeta("0199", "", "/repo", now), codexTurn(gpt, "/repo", now), codexSays(now),
		codexCount([3]int{1000, 600, 50}, [3]int{1000, 600, 50}, "null", now),
		codexCount([3]int{1000, 600, 50}, [3]int{1000, 600, 50}, "null", now), // only its windows have changed
		codexCount([3]int{3000, 2000, 90}, [3]int{2000, 1400, 40}, "null", now),
	)
	d.collect(t, Codex())
	require.Equal(t, []string{"- " + gpt + " 1090"}, d.uses(t), "(1000-600)+50 and (2000-1400)+40")
	d.write(t, log, codexCount([3]int{3100, 2000, 95}, [3]int{100, 0, 5}, "null", now))
	d.collect(t, Codex())
	require.Equal(t, []string{"- " + gpt + " 1090", "- " + gpt + " 105"}, d.uses(t))

	d.write(t, "2026/11/25/rollout-2026-11-25T10-00-00-0200.jsonl", // forked: it begins with copies
		codexMeta("0200", "0199", "/repo", now), codexMeta("0199", "", "/repo", now), codexTurn(gpt, "/repo", now),
		codexCount([3]int{1000, 600, 50}, [3]int{1000, 600, 50}, "null", now),
		codexCount([3]int{3000, 2000, 90}, [3]int{2000, 1400, 40}, "null", now),
		codexCount([3]int{3500, 2000, 91}, [3]int{500, 0, 1}, "null", now),
	)
	d.collect(t, Codex())
	require.Equal(t, "- "+gpt+" 501", d.uses(t)[2])
}

func TestACountWithoutItsLastCallIsTheDifference(t *testing.T) {
	t.Parallel()
	d := setup(t)
	now := time.Now()
	count := func(total int) string {
		return fmt.Sprintf(`{"timestamp":"%s","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":%d,"output_tokens":0,"total_tokens":%d},"model_context_window":258400},"rate_limits":null}}`, stamp(now), total, total)
	}
	d.write(t, "r.jsonl", codexMeta("1", "", "/repo", now), codexTurn(gpt, "/repo", now), count(100), count(350),
		`{"timestamp":"`+stamp(now)+`","type":"event_msg","payload":{"type":"token_count","info":null,"rate_limits":null}}`)
	d.collect(t, Codex())
	require.Equal(t, []string{"- " + gpt + " 350"}, d.uses(t))
}

func TestCodexWindowsAreToldApartByTheirLengthAndTheNewestCounts(t *testing.T) {
	t.Parallel()
	d := setup(t)
	now := time.Now().UTC().Truncate(time.Second)
	limits := func(first, second float64) string {
		return fmt.Sprintf(`{"limit_id":"codex","primary":{"used_percent":%g,"window_minutes":10080,"resets_at":%d},"secondary":{"used_percent":%g,"window_minutes":300,"resets_in_seconds":1200},"credits":null}`,
			first, now.Add(48*time.Hour).Unix(), second)
	}
	d.write(t, "r.jsonl", codexMeta("1", "", "/repo", now),
		codexCount([3]int{10, 0, 1}, [3]int{10, 0, 1}, limits(40, 7), now.Add(-time.Minute)),
		codexCount([3]int{20, 0, 2}, [3]int{10, 0, 1}, limits(41.5, 8), now),
		codexCount([3]int{30, 0, 3}, [3]int{10, 0, 1}, `{"limit_id":"codex_spark","primary":{"used_percent":99,"window_minutes":300,"resets_at":1}}`, now.Add(time.Second)),
	)
	d.collect(t, Codex())
	readings := d.readings(t)
	require.Len(t, readings, 2, "the newest of each window")
	require.Equal(t, "5h", readings[0].Window)
	require.Equal(t, int64(8_000_000), readings[0].UsedMicros)
	require.Equal(t, now.Add(1200*time.Second), readings[0].ResetAt)
	require.Equal(t, int64(18000), readings[0].EverySeconds)
	require.Equal(t, register.UnitPercent, readings[0].Unit, "tokens never enter a percent window")
	require.Equal(t, "weekly", readings[1].Window)
	require.Equal(t, int64(41_500_000), readings[1].UsedMicros)
	require.Equal(t, now.Add(48*time.Hour), readings[1].ResetAt)
	require.Equal(t, "codex", readings[1].Reporter)
	require.Equal(t, now, readings[1].TakenAt)

	d.write(t, "r.jsonl", codexCount([3]int{40, 0, 4}, [3]int{10, 0, 1}, limits(41.5, 9), now.Add(10*time.Second)))
	d.collect(t, Codex())
	require.Len(t, d.readings(t), 3, "what has not changed is said again only after a minute")
	d.write(t, "old.jsonl", codexMeta("2", "", "/repo", now.Add(-time.Hour)),
		codexCount([3]int{40, 0, 4}, [3]int{10, 0, 1}, limits(90, 90), now.Add(-time.Hour)))
	d.collect(t, Codex())
	require.Len(t, d.readings(t), 3, "an old state of the windows is no news")
}
