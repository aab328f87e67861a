package commands

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func instantOf(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return at
}

func TestTimesAreReadAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"2026-11-30T09:00:00+01:00":         "2026-11-30T08:00:00Z",
		"2026-11-30T09:00+01:00":            "2026-11-30T08:00:00Z",
		"2026-11-30 09:00+0100":             "2026-11-30T08:00:00Z",
		"2026-11-30T09:00Z":                 "2026-11-30T09:00:00Z",
		"2026–11–30t9:00z":                  "2026-11-30T09:00:00Z",
		"2026-11-30 09:00":                  "2026-11-30T08:00:00Z",
		"2026-11-30T09:00:30":               "2026-11-30T08:00:30Z",
		"2026-07-01 09:00":                  "2026-07-01T07:00:00Z",
		"2026-11-30 09:00 America/New_York": "2026-11-30T14:00:00Z",
		"+5h":                               "2026-11-23T14:00:00Z",
		"+90m":                              "2026-11-23T10:30:00Z",
		"+2d":                               "2026-11-25T09:00:00Z",
		"+1d12h":                            "2026-11-24T21:00:00Z",
		"+1 h 30 min":                       "2026-11-23T10:30:00Z",
		"in 2 weeks":                        "2026-12-07T09:00:00Z",
		"17:00":                             "2026-11-23T16:00:00Z",
		"9:30":                              "2026-11-24T08:30:00Z", // it is 10:00: tomorrow's
		"10:00":                             "2026-11-24T09:00:00Z", // now is not ahead
		"5pm":                               "2026-11-23T16:00:00Z",
		"12:30 AM":                          "2026-11-23T23:30:00Z",
		"17:00 UTC":                         "2026-11-23T17:00:00Z",
		"today 23:59":                       "2026-11-23T22:59:00Z",
		"tomorrow 9:00":                     "2026-11-24T08:00:00Z",
		"Tomorrow at 9:00 Asia/Tokyo":       "2026-11-24T00:00:00Z",
		"fri 17:00":                         "2026-11-27T16:00:00Z",
		"Friday at 5pm":                     "2026-11-27T16:00:00Z",
		"mon 17:00":                         "2026-11-23T16:00:00Z",
		"mon 9:00":                          "2026-11-30T08:00:00Z",
		"fri 17:00 europe/london":           "2026-11-27T17:00:00Z",
		"fri 17:00 america/port_of_spain":   "2026-11-27T21:00:00Z",
	} {
		got, err := parseTime(typed, monday, berlin(t))
		require.NoError(t, err, typed)
		require.Equal(t, instantOf(t, want), got, typed)
	}
}

func TestATimeThatCannotBeReadIsSaidWithWhatIsAccepted(t *testing.T) {
	t.Parallel()
	for _, typed := range []string{
		"", "soon", "25:00", "9", "13pm", "0am", "2026-02-30 09:00", "2026-13-01 09:00", "2026-11-30", "2026-11-30T09:00+99:00", "fri", "fry 17:00", "+5",
		"-5h", "+5y", "17:61", "tomorrow", "yesterday 9:00", "30.11.2026 09:00", "17:00:99",
	} {
		_, err := parseTime(typed, monday, berlin(t))
		require.ErrorContains(t, err, acceptedTimes, typed)
		if typed != "" {
			require.True(t, strings.HasPrefix(err.Error(), `"`+typed+`" is not a time`), err)
		}
	}
	for _, typed := range []string{"17:00 CET", "17:00 Europe/Nowhere", "17:00 Local", "17:00 ../etc", "fri 17:00 europe"} {
		_, err := parseTime(typed, monday, berlin(t))
		require.ErrorContains(t, err, "is not a time zone; write one such as Europe/Berlin", typed)
	}
	for _, typed := range []string{"+999999w", "1969-12-31T00:00Z"} {
		_, err := parseTime(typed, monday, berlin(t))
		require.ErrorContains(t, err, "is not a time between the years 1970 and 9999", typed)
	}
}

func TestAnExampleInATimesErrorIsReadable(t *testing.T) {
	t.Parallel()
	for _, example := range []string{"+5h", "+2d", "17:00", "fri 17:00", "tomorrow 9:00", "2026-11-30 09:00", "17:00 Europe/Berlin"} {
		require.Contains(t, acceptedTimes, example)
		_, err := parseTime(example, monday, berlin(t))
		require.NoError(t, err, example)
	}
}

func TestASkippedTimeIsTheLaterOneAndADoubledTimeTheFirst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ typed, zone, want string }{
		{"2027-03-28 02:30", "Europe/Berlin", "2027-03-28T01:30:00Z"},       // skipped: 03:30 summer time
		{"2027-03-28 01:59", "Europe/Berlin", "2027-03-28T00:59:00Z"},       // the last minute before
		{"2027-03-28 03:00", "Europe/Berlin", "2027-03-28T01:00:00Z"},       // the first minute after
		{"2026-10-25 02:30", "Europe/Berlin", "2026-10-25T00:30:00Z"},       // doubled: still summer time
		{"2026-10-25 03:00", "Europe/Berlin", "2026-10-25T02:00:00Z"},       // after it
		{"2026-11-01 01:30", "America/New_York", "2026-11-01T05:30:00Z"},    // doubled
		{"2027-03-14 02:30", "America/New_York", "2027-03-14T07:30:00Z"},    // skipped
		{"2011-12-30 12:00", "Pacific/Apia", "2011-12-30T22:00:00Z"},        // a whole day skipped: noon of the 31st
		{"2026-10-04 02:15", "Australia/Lord_Howe", "2026-10-03T15:45:00Z"}, // half an hour skipped
	} {
		zone, err := time.LoadLocation(c.zone)
		require.NoError(t, err)
		got, err := parseTime(c.typed, monday, zone)
		require.NoError(t, err)
		require.Equal(t, instantOf(t, c.want), got, "%s in %s", c.typed, c.zone)
	}
	beforeTheGap := instantOf(t, "2027-03-27T20:00:00Z")
	got, err := parseTime("tomorrow 2:30", beforeTheGap, berlin(t))
	require.NoError(t, err)
	require.Equal(t, instantOf(t, "2027-03-28T01:30:00Z"), got)
	got, err = parseTime("+24h", beforeTheGap, berlin(t))
	require.NoError(t, err)
	require.Equal(t, beforeTheGap.Add(24*time.Hour), got, "a relative time is a length, whatever the clocks do")
}

func TestEveryReadableWallClockTimeIsShownByTheClocksUnlessSkipped(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Europe/Berlin", "America/Santiago", "Africa/Casablanca", "Asia/Tehran", "Pacific/Chatham", "UTC"} {
		zone, err := time.LoadLocation(name)
		require.NoError(t, err)
		for hour := range 24 * 370 {
			naive := time.Date(2026, 1, 1, hour, 30, 0, 0, time.UTC)
			got, err := parseTime(naive.Format("2006-01-02 15:04"), monday, zone)
			require.NoError(t, err)
			if !shows(got, naive, zone) {
				require.False(t, shows(got.Add(-time.Hour), naive, zone) || shows(got.Add(time.Hour), naive, zone), "%s in %s exists", naive, name)
			}
			require.False(t, shows(got.Add(-time.Hour), naive, zone), "%s in %s is the first", naive, name)
		}
	}
}

func TestInstantsAreShownInTheirZoneWithTheDistance(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]string{
		0:                            "Mon 23 Nov 10:00 CET, now",
		20 * time.Second:             "Mon 23 Nov 10:00 CET, in 20 s",
		5 * time.Minute:              "Mon 23 Nov 10:05 CET, in 5 min",
		5*time.Hour - time.Second:    "Mon 23 Nov 14:59 CET, in 5 h",
		72 * time.Minute:             "Mon 23 Nov 11:12 CET, in 1 h 12 min",
		6*24*time.Hour + 3*time.Hour: "Sun 29 Nov 13:00 CET, in 6 d 3 h",
		200 * 24 * time.Hour:         "Fri 11 Jun 2027 11:00 CEST, in 200 d",
		-3 * time.Minute:             "Mon 23 Nov 09:57 CET, 3 min ago",
		24*time.Hour - time.Second:   "Tue 24 Nov 09:59 CET, in 1 d",
	} {
		require.Equal(t, want, ahead(monday.Add(after), monday, berlin(t)))
	}
}
