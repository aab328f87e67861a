package budget

import (
	_ "embed"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// zones are the names of the tz database, links too.
//
//go:embed testdata/zones.txt
var zones string

func zone(t require.TestingT, name string) *time.Location {
	location, err := time.LoadLocation(name)
	require.NoError(t, err)
	return location
}

// contiguous walks all epochs between two instants. Each begins where the last one ended, ends later than it begins, and is
// what every instant in it is told.
func contiguous(t *testing.T, r Recurrence, from, until time.Time) {
	epoch, _ := r.EpochAt(from)
	for epoch.Reset.Before(until) {
		next, ok := r.Next(epoch)
		if !ok || !next.Since.Equal(epoch.Reset) || !next.Reset.After(next.Since) {
			t.Fatalf("%s: after %v comes %v", r, epoch, next)
		}
		middle, _ := r.EpochAt(next.Since.Add(next.Reset.Sub(next.Since) / 2))
		last, _ := r.EpochAt(next.Reset.Add(-1))
		if middle != next || last != next {
			t.Fatalf("%s: %v is %v in its middle and %v at its end", r, next, middle, last)
		}
		epoch = next
	}
}

func TestResetsAreContiguousInEveryZoneOverThreeYears(t *testing.T) {
	t.Parallel()
	from := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	until := from.AddDate(3, 0, 0)
	names := strings.Fields(zones)
	require.Greater(t, len(names), 590)
	seen := map[string]bool{}
	var alike sync.Mutex
	t.Run("zones", func(t *testing.T) {
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				location := zone(t, name)
				changes := offsetChanges(location, from, until)
				clock := ""
				for at := from; at.Before(until); at = at.AddDate(0, 0, 3) {
					clock += at.In(location).Format("-0700")
				}
				for _, at := range changes {
					clock += at.String()
				}
				alike.Lock()
				same := seen[clock] // a zone with the very same clock as another one has the same resets
				seen[clock] = true
				alike.Unlock()
				for _, at := range []time.Duration{0, 150 * time.Minute} {
					if same {
						break
					}
					contiguous(t, Recurrence{Kind: Calendar, Every: 1, Period: Days, At: at, From: origin, Zone: location}, from, until)
					contiguous(t, Recurrence{Kind: Calendar, Every: 1, Period: Weeks, At: at, From: Date{2001, 1, 7}, Zone: location}, from, until)
					contiguous(t, Recurrence{Kind: Calendar, Every: 1, Period: Months, At: at, From: Date{2001, 1, 31}, Zone: location}, from, until)
				}
				contiguous(t, Recurrence{Kind: Calendar, Every: 2, Period: Weeks, At: 2 * time.Hour, From: origin, Zone: location}, from, until)
				for _, change := range changes {
					for _, every := range []int{1, 5} {
						r := Recurrence{Kind: Calendar, Every: every, Period: Hours, At: 30 * time.Minute, From: origin, Zone: location}
						contiguous(t, r, change.Add(-30*time.Hour), change.Add(30*time.Hour))
					}
				}
			})
		}
	})
}

// offsetChanges are the instants at which a zone's clock jumps.
func offsetChanges(location *time.Location, from, until time.Time) []time.Time {
	var changes []time.Time
	for at := from.In(location); ; {
		_, end := at.ZoneBounds()
		if end.IsZero() || end.After(until) {
			return changes
		}
		changes, at = append(changes, end), end
	}
}

func TestAClockThatJumpsIsReadTheLaterWayAndAnHourThatComesTwiceTheFirst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		zone, civil, instant string
	}{
		{"Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:30:00Z"},       // 02:00 jumps to 03:00: read as 03:30 summer time
		{"Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00Z"},       // comes at 00:30 and 01:30 UTC
		{"America/New_York", "2026-03-08T02:30", "2026-03-08T07:30:00Z"},    // read as 03:30 daylight time
		{"America/New_York", "2026-11-01T01:30", "2026-11-01T05:30:00Z"},    // the first
		{"Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:45:00Z"}, // half an hour's jump
		{"America/Santiago", "2026-09-06T00:00", "2026-09-06T04:00:00Z"},    // midnight does not exist
		{"Pacific/Apia", "2011-12-30T12:00", "2011-12-30T22:00:00Z"},        // a day that does not exist: 24 hours later
		{"Asia/Kolkata", "2026-03-29T02:30", "2026-03-28T21:00:00Z"},
		{"UTC", "2026-03-29T02:30", "2026-03-29T02:30:00Z"},
	} {
		civil, err := time.Parse("2006-01-02T15:04", c.civil)
		require.NoError(t, err)
		got := time.Unix(instantOf(civil.Unix(), zone(t, c.zone)), 0).UTC().Format(time.RFC3339)
		require.Equal(t, c.instant, got, "%s in %s", c.civil, c.zone)
	}
}

func TestACivilTimeKeepsItsHourOverTheSummer(t *testing.T) {
	t.Parallel()
	r, err := ParseRecurrence("every week on mon at 09:00 in Europe/Berlin")
	require.NoError(t, err)
	winter, _ := r.EpochAt(time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC))
	require.Equal(t, "2026-03-23T08:00:00Z", winter.Since.Format(time.RFC3339))
	require.Equal(t, "2026-03-30T07:00:00Z", winter.Reset.Format(time.RFC3339))
	require.Equal(t, 167*time.Hour, winter.Reset.Sub(winter.Since), "the week that loses an hour is an hour shorter")
}

func TestMonthsEndOnTheirLastDay(t *testing.T) {
	t.Parallel()
	r, err := ParseRecurrence("every month on 31 at 00:00 in UTC")
	require.NoError(t, err)
	var days []string
	epoch, _ := r.EpochAt(time.Date(2027, 12, 31, 0, 0, 0, 0, time.UTC))
	for range 4 {
		days = append(days, epoch.Since.Format(time.DateOnly))
		epoch, _ = r.Next(epoch)
	}
	require.Equal(t, []string{"2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31"}, days)
}

func TestTheLastDayOfADistantLeapYearIsADayLikeAnyOther(t *testing.T) {
	t.Parallel()
	for _, name := range strings.Fields(zones) {
		r := Recurrence{Kind: Calendar, Every: 1, Period: Days, At: 9 * time.Hour, From: Date{2026, time.January, 1}, Zone: zone(t, name)}
		for _, year := range []int{2040, 2080, 2096} {
			nine := time.Date(year, time.December, 31, 9, 0, 0, 0, r.Zone)
			epoch, ok := r.EpochAt(nine.Add(time.Hour))
			require.True(t, ok)
			require.Equal(t, Epoch{nine.UTC(), time.Date(year+1, time.January, 1, 9, 0, 0, 0, r.Zone).UTC()}, epoch, name)
		}
	}
}

func TestEpochsOfAnyRecurrenceAreContiguous(t *testing.T) {
	t.Parallel()
	names := strings.Fields(zones)
	rapid.Check(t, func(t *rapid.T) {
		r := anyCalendar(t, names)
		at := time.Unix(rapid.Int64Range(0, 4102444800).Draw(t, "at"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		epoch, ok := r.EpochAt(at)
		require.True(t, ok)
		require.False(t, epoch.Since.After(at))
		require.True(t, epoch.Reset.After(at))
		next, ok := r.Next(epoch)
		require.True(t, ok)
		require.Equal(t, epoch.Reset, next.Since)
		require.True(t, next.Reset.After(next.Since))
		back, err := ParseRecurrence(r.String())
		require.NoError(t, err, r.String())
		same, _ := back.EpochAt(at)
		require.Equal(t, epoch, same, "%s reads back as itself", r)
	})
}

func anyCalendar(t *rapid.T, names []string) Recurrence {
	r := Recurrence{
		Kind: Calendar, Every: rapid.IntRange(1, 30).Draw(t, "every"), Period: Period(rapid.IntRange(0, 3).Draw(t, "period")),
		At:   time.Duration(rapid.IntRange(0, 1439).Draw(t, "minute")) * time.Minute,
		From: Date{rapid.IntRange(1971, 2050).Draw(t, "year"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")), rapid.IntRange(1, 28).Draw(t, "day")},
		Zone: zone(t, rapid.SampledFrom(names).Draw(t, "zone")),
	}
	if r.Period == Months {
		r.From.Day = rapid.IntRange(1, 31).Draw(t, "day of the month")
	}
	return r
}

func TestRecurrencesReadAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"once":              "once",
		"provider":          "provider",
		"rolling 5h":        "rolling 5h",
		"Rolling 90m":       "rolling 1h30m",
		"every day":         "every day at 00:00 in UTC",
		"every 6h at 00:30": "every 6 hours at 00:30 in UTC",
		"every 2 Weeks on friday at 17:00 in America/New_York": "every 2 weeks on fri at 17:00 in America/New_York from 2001-01-05",
		"every month on 31 in Asia/Tokyo":                      "every month on 31 at 00:00 in Asia/Tokyo",
		"every 3 months from 2026-02-01":                       "every 3 months on 1 at 00:00 in UTC from 2026-02-01",
		"every week in Europe/Berlin at 09:00":                 "every week on mon at 09:00 in Europe/Berlin",
	} {
		got, err := ParseRecurrence(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got.String())
	}
}

func TestAMalformedRecurrenceSaysWhatIsWrongWithAnExample(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "weekly", "rolling", "rolling 5", "rolling 10s", "rolling -5h", "every", "every 0 days", "every 2", "every fortnight", "every 1001 days",
		"every day on mon", "every week on 1", "every month on 32", "every month on mon", "every day at 9", "every day at 25:00", "every day in Berlin",
		"every day in Local", "every day from tomorrow", "every day at", "every day by 09:00", "every -1 days",
	} {
		_, err := ParseRecurrence(text)
		require.Error(t, err, text)
		require.Contains(t, err.Error(), "such as", text)
	}
}

func FuzzParseRecurrence(f *testing.F) {
	for _, seed := range []string{"once", "rolling 5h", "every 2 weeks on mon at 09:00 in Europe/Berlin from 2026-01-05", "every 6h", "every month on 31", "every on on"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecurrence(text)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		back, err := ParseRecurrence(r.String())
		require.NoError(t, err, "%q was written %q", text, r)
		require.Equal(t, r.String(), back.String())
		if epoch, ok := r.EpochAt(start); ok {
			require.True(t, epoch.Reset.After(epoch.Since))
		}
	})
}

func TestRepeatsResetsAtTheGivenInstant(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	reset := time.Date(2026, 11, 30, 9, 0, 0, 0, berlin)
	epoch, ok := Repeats(1, Weeks, reset, berlin).EpochAt(reset.Add(-time.Hour))
	require.True(t, ok)
	require.True(t, reset.Equal(epoch.Reset))
}

func TestARollOverLeavesWhatIsSpentAndMovesWhatIsHeld(t *testing.T) {
	t.Parallel()
	r, err := ParseRecurrence("every day at 09:00")
	require.NoError(t, err)
	w := credits(1)
	w.Reset = start.Add(24 * time.Hour)
	w.Recurrence, w.Committed, w.Reserved, w.Margin, w.Recent, w.Extra = r, 400*Micro, 600*Micro, 100*Micro, 50*Micro, 10*Micro
	require.False(t, w.RollOver(start.Add(time.Hour)))
	require.True(t, w.RollOver(start.Add(24*time.Hour)))
	require.Equal(t, Epoch{start.Add(24 * time.Hour), start.Add(48 * time.Hour)}, Epoch{w.Since, w.Reset})
	require.Zero(t, w.Committed+w.Recent+w.Extra)
	require.Equal(t, int64(600*Micro), w.Reserved, "beyond the capacity too")
	require.Equal(t, int64(100*Micro), w.Margin)
	require.Equal(t, int64(100*Micro), w.Debt())
	require.True(t, w.RollOver(start.Add(30*24*time.Hour)), "after a long outage it is in today's epoch")
	require.Equal(t, start.Add(30*24*time.Hour), w.Since)
}

func TestARollOverNeverOverlapsAnEpochThatWasCorrected(t *testing.T) {
	t.Parallel()
	r, err := ParseRecurrence("every day at 09:00")
	require.NoError(t, err)
	w := credits(1)
	w.Recurrence, w.Reset = r, start.Add(26*time.Hour)
	require.True(t, w.RollOver(start.Add(27*time.Hour)))
	require.Equal(t, Epoch{start.Add(26 * time.Hour), start.Add(48 * time.Hour)}, Epoch{w.Since, w.Reset})
}

func TestAOneOffPastItsResetStaysLapsed(t *testing.T) {
	t.Parallel()
	w := credits(1)
	require.False(t, w.RollOver(w.Reset))
	require.True(t, w.Lapsed(w.Reset))
	w.Recurrence.Kind = Reported
	require.False(t, w.RollOver(w.Reset), "only a reading begins the next epoch of a reported window")
	require.Equal(t, MeterUnknown, w.Meter(w.Reset))
}

func TestARollingWindowOpensAtItsFirstAdmission(t *testing.T) {
	t.Parallel()
	fleet := claude()
	window := &fleet.Subscriptions[0].Windows[0]
	window.Recurrence, window.Since, window.Reset = OpensAfter(5*time.Hour), time.Time{}, time.Time{}
	require.False(t, window.Lapsed(start))

	refused := ask(1, 501*Micro)
	refused.Exact = true
	decision := decide(t, refused, fleet, start)
	decision.Apply(fleet)
	require.Equal(t, Refuse, decision.Outcome)
	require.True(t, window.Closed(), "a refusal does not open it")

	first := decide(t, ask(2, 100*Micro), fleet, start)
	require.Equal(t, Admit, first.Outcome, "waiting would not open the window, so that pace does not hold the first one up")
	first.Apply(fleet)
	require.Equal(t, Epoch{start, start.Add(5 * time.Hour)}, Epoch{window.Since, window.Reset})
	require.Equal(t, Queue, decide(t, ask(3, 100*Micro), fleet, start).Outcome)

	later := start.Add(11 * time.Hour)
	require.True(t, window.RollOver(later))
	require.Equal(t, Epoch{start.Add(10 * time.Hour), start.Add(15 * time.Hour)}, Epoch{window.Since, window.Reset}, "work that still runs keeps it open")
	window.Settle(first.Holds[0], 90*Micro)
	require.True(t, window.RollOver(start.Add(16*time.Hour)))
	require.True(t, window.Closed())
}
