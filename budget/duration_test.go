package budget

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestALongRunIsTheNinthOfNineAndUnknownForFewer(t *testing.T) {
	t.Parallel()
	var runs []time.Duration
	for i := range 8 {
		runs = append(runs, time.Duration(8-i)*time.Minute)
	}
	_, known := LongRun(runs)
	require.False(t, known)
	long, known := LongRun(append(runs, time.Hour))
	require.True(t, known)
	require.Equal(t, time.Hour, long)

	for i := range 42 {
		runs = append(runs, time.Duration(9+i)*time.Minute)
	}
	long, _ = LongRun(runs) // 50 runs of 1 to 50 minutes
	require.Equal(t, 46*time.Minute, long)
}

func TestNineInTenRunsAreNoLongerThanALongOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		runs := rapid.SliceOfN(rapid.Map(rapid.Int64Range(0, 1<<40), func(n int64) time.Duration { return time.Duration(n) }), 9, 60).Draw(t, "runs")
		long, _ := LongRun(runs)
		within := 0
		for _, run := range runs {
			if run <= long {
				within++
			}
		}
		if 10*within < 9*len(runs) {
			t.Fatalf("%d of %d runs took at most %s", within, len(runs), long)
		}
	})
}
