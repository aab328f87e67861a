package budget

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// worktime is a weekly window of 450 credits over 45 working hours in Berlin, from Monday 00:00.
func worktime(t require.TestingT) Window {
	hours, err := ParseWorkingHours("mon-fri 09:00-18:00 in Europe/Berlin")
	require.NoError(t, err)
	since := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
	epoch := Epoch{Since: since, Reset: since.Add(7 * 24 * time.Hour)}
	w := Window{Unit: "credits", Limit: 450 * Micro, BurstPPM: DefaultBurstPPM, Since: epoch.Since, Reset: epoch.Reset}
	w.Spread = hours.Spread(epoch)
	return w
}

func TestTheAllowanceGrowsInWorkingHoursOnly(t *testing.T) {
	t.Parallel()
	w := worktime(t)
	at := func(day, hour int) int64 {
		return w.Allowance(time.Date(2026, 11, 22+day, hour-1, 0, 0, 0, time.UTC)) // Berlin is an hour ahead
	}
	require.Zero(t, at(1, 9))
	require.Equal(t, int64(10*Micro), at(1, 10))
	require.Equal(t, int64(90*Micro), at(1, 18))
	require.Equal(t, int64(90*Micro), at(2, 9), "nothing is added overnight")
	require.Equal(t, int64(450*Micro), at(5, 18))
	require.Equal(t, int64(450*Micro), at(7, 12))

	require.Equal(t, time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), w.WakeAt(0, 20*Micro, 0, w.Since), "10:00 in Berlin shows 10 credits, 11:00 20")
	require.Equal(t, time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), w.WakeAt(0, 110*Micro, 0, w.Since), "what Monday cannot hold waits for Tuesday's hours")
	require.Equal(t, time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC), w.WakeAt(0, 90*Micro, 0, w.Since), "the first instant, not the next morning")
}

func TestWorkingHoursFollowTheClockThroughSummerTime(t *testing.T) {
	t.Parallel()
	hours, err := ParseWorkingHours("sun 00:00-24:00 in Europe/Berlin")
	require.NoError(t, err)
	for day, want := range map[time.Time]time.Duration{
		time.Date(2026, 3, 29, 0, 0, 0, 0, zone(t, "Europe/Berlin")):  23 * time.Hour,
		time.Date(2026, 10, 25, 0, 0, 0, 0, zone(t, "Europe/Berlin")): 25 * time.Hour,
		time.Date(2026, 11, 22, 0, 0, 0, 0, zone(t, "Europe/Berlin")): 24 * time.Hour,
	} {
		spread := hours.Spread(Epoch{Since: day.Add(-48 * time.Hour), Reset: day.Add(96 * time.Hour)})
		require.Equal(t, want.Microseconds(), spread.total)
	}
}

func TestAWindowWithoutAnyWorkingHoursSpreadsOverAllOfThem(t *testing.T) {
	t.Parallel()
	hours, err := ParseWorkingHours("sat 09:00-18:00")
	require.NoError(t, err)
	w := credits(1)
	w.Spread = hours.Spread(Epoch{Since: w.Since, Reset: w.Reset})
	require.Equal(t, int64(250*Micro), w.Allowance(start.Add(50*time.Minute)))
}

func TestTheWakeIsTheFirstWorkingInstantThatPaceAdmits(t *testing.T) {
	t.Parallel()
	names := strings.Fields(zones)
	rapid.Check(t, func(t *rapid.T) {
		w := anyWindow(t)
		w.Reset = w.Since.Add(time.Duration(rapid.Int64Range(1, 40*24*3600*Micro).Draw(t, "length")) * time.Microsecond)
		hours := &WorkingHours{Zone: zone(t, rapid.SampledFrom(names).Draw(t, "zone"))}
		for day := range hours.Days {
			if rapid.Bool().Draw(t, "works") {
				from := rapid.IntRange(0, 1439).Draw(t, "from")
				hours.Days[day] = Span{from, rapid.IntRange(from, 1440).Draw(t, "to")}
			}
		}
		w.Spread = hours.Spread(Epoch{Since: w.Since, Reset: w.Reset})
		earlier, later := anyMoment(t, w, "earlier"), anyMoment(t, w, "later")
		if later.Before(earlier) {
			earlier, later = later, earlier
		}
		require.LessOrEqual(t, w.Allowance(earlier), w.Allowance(later))
		require.Zero(t, w.Allowance(w.Since))
		require.Equal(t, w.Capacity(), w.Allowance(w.Reset))

		need := rapid.Int64Range(0, w.Limit).Draw(t, "need")
		admits := func(at time.Time) bool { return add(w.Expected(), need) <= add(w.Allowance(at), w.Burst()) }
		wake := w.WakeAt(0, need, w.Burst(), earlier)
		require.False(t, wake.Before(earlier))
		require.False(t, wake.After(w.Reset))
		if wake.After(earlier) {
			require.False(t, admits(wake.Add(-time.Microsecond)), "a microsecond earlier pace would have refused")
		}
		if add(w.Expected(), need)-w.Burst() <= w.Capacity() {
			require.True(t, admits(wake))
		}
		recent := w.RecentSince(later)
		require.False(t, recent.After(later))
		require.False(t, recent.Before(w.Since))
	})
}

func TestWorkingHoursReadAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"mon-fri 09:00-18:00 in Europe/Berlin":        "mon-fri 09:00-18:00 in Europe/Berlin",
		"Sat-Mon 10:00-24:00":                         "mon 10:00-24:00, sat-sun 10:00-24:00 in UTC",
		"mon 09:00-12:00, tue-thu 09:00-18:00 in UTC": "mon 09:00-12:00, tue-thu 09:00-18:00 in UTC",
		"mon-sun 00:00-24:00 in Australia/Lord_Howe":  "mon-sun 00:00-24:00 in Australia/Lord_Howe",
		"mon-fri 09:00-18:00, wed 09:00-12:00 in UTC": "mon-tue 09:00-18:00, wed 09:00-12:00, thu-fri 09:00-18:00 in UTC",
	} {
		hours, err := ParseWorkingHours(text)
		require.NoError(t, err, text)
		require.Equal(t, want, hours.String())
		again, err := ParseWorkingHours(want)
		require.NoError(t, err)
		require.Equal(t, hours.Days, again.Days)
	}
	for _, text := range []string{"", "mon", "mon 09:00", "mon 18:00-09:00", "mon-day 09:00-18:00", "mon 09:00-25:00", "mon 09:00-18:00 in Berlin", "mon 09:00-18:00 tue"} {
		_, err := ParseWorkingHours(text)
		require.Error(t, err, text)
		require.Contains(t, err.Error(), "such as", text)
	}
}

func FuzzParseWorkingHours(f *testing.F) {
	for _, seed := range []string{"mon-fri 09:00-18:00 in Europe/Berlin", "sat-mon 10:00-24:00", "mon 1-2,", " in "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		hours, err := ParseWorkingHours(text)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		again, err := ParseWorkingHours(hours.String())
		require.NoError(t, err, "%q was written %q", text, hours)
		require.Equal(t, hours.Days, again.Days)
	})
}
