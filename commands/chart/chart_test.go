package chart

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

var draw = flag.String("draw", "", "write the tests' pictures into this folder, to look at them")

const credit = 1_000_000

var began = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// half is a window of 5 hours and 500 credits at half time: 300 used of them, 40 held, more to come.
func half() register.Forecast {
	w := register.Window{
		Provider: "claude", Subscription: "claude", Window: "main", Unit: register.UnitCredits, LimitMicros: 500 * credit, UsedMicros: 300 * credit,
		ReservedMicros: 40 * credit, BurstMicros: 25 * credit, Step: register.StepQueue, Since: began, ResetAt: began.Add(5 * time.Hour),
	}
	f := register.Forecast{Window: w, Now: began.Add(150 * time.Minute), Text: "Runs dry.", RunsDryAt: began.Add(4 * time.Hour)}
	for i := range 49 {
		at := began.Add(time.Duration(i) * 5 * time.Hour / 48)
		f.Spread = append(f.Spread, spread(at, int64(i)*500*credit/48))
		switch {
		case !at.After(f.Now):
			f.Uses = append(f.Uses, use(at, int64(i)*300*credit/24))
		default:
			expected := min(500, 300+int64(i-24)*300/24) * credit
			f.Path = append(f.Path, outlook(at, (300+int64(i-24)*100/24)*credit, expected, min(500*credit, expected+60*credit)))
		}
	}
	return f
}

type (
	useOf = struct {
		At         time.Time `json:"at"`
		UsedMicros int64     `json:"used_micros"`
	}
	spreadOf = struct {
		AllowanceMicros int64     `json:"allowance_micros"`
		At              time.Time `json:"at"`
	}
	outlookOf = struct {
		At             time.Time `json:"at"`
		ExpectedMicros int64     `json:"expected_micros"`
		HighMicros     int64     `json:"high_micros"`
		LowMicros      int64     `json:"low_micros"`
	}
)

func use(at time.Time, micros int64) useOf       { return useOf{at, micros} }
func spread(at time.Time, micros int64) spreadOf { return spreadOf{micros, at} }

func outlook(at time.Time, low, expected, high int64) outlookOf {
	return outlookOf{at, expected, high, low}
}

func drawn(t *testing.T, name string, f register.Forecast) image.Image {
	t.Helper()
	raw, err := Draw(f, time.UTC)
	require.NoError(t, err)
	require.Less(t, len(raw), 300_000)
	if *draw != "" {
		require.NoError(t, os.WriteFile(*draw+"/"+name+".png", raw, 0o644))
	}
	picture, err := png.Decode(bytes.NewReader(raw))
	require.NoError(t, err)
	return picture
}

// near says whether a colour is drawn within a few pixels of a place.
func near(picture image.Image, x, y int, wanted color.Color) bool {
	const reach = 7
	r, g, b, _ := wanted.RGBA()
	for dx := -reach; dx <= reach; dx++ {
		for dy := -reach; dy <= reach; dy++ {
			R, G, B, _ := picture.At(x+dx, y+dy).RGBA()
			if distance(r, R)+distance(g, G)+distance(b, B) < 40<<8 {
				return true
			}
		}
	}
	return false
}

func distance(a, b uint32) uint32 { return max(a, b) - min(a, b) }

// place is where an instant and an amount of claude's window stand, measured by the picture's own axes: the reset and the cap.
func place(minutes, credits float64) (int, int) {
	left, right, top, bottom := 130.0, 1040.0, 150.0, 710.0
	return int(left + (right-left)*minutes/300), int(bottom - (bottom-top)*credits/525)
}

func TestAChartIsSizedForAPhoneAndOpaque(t *testing.T) {
	t.Parallel()
	picture := drawn(t, "half", half())
	require.Equal(t, image.Rect(0, 0, Width, Height), picture.Bounds())
	for x := range Width {
		for _, y := range []int{0, Height / 2, Height - 1} {
			_, _, _, alpha := picture.At(x, y).RGBA()
			require.Equal(t, uint32(0xffff), alpha)
		}
	}
}

func TestTheLinesAreDrawnWhereTheNumbersAre(t *testing.T) {
	t.Parallel()
	picture := drawn(t, "half", half())
	for name, c := range map[string]struct {
		minutes, credits float64
		colour           color.Color
	}{
		"spent at the first hour":          {60, 120, spent},
		"spent now":                        {148, 299, spent},
		"held beside now":                  {147, 275, held},
		"what is used up is a line":        {100, 500, full},
		"expected later":                   {200, 400, expected},
		"the band below what is expected":  {240, 400, band},
		"even spread, which is behind":     {60, 100, ink},
		"work waits above the even spread": {40, 91, slack},
	} {
		x, y := place(c.minutes, c.credits)
		require.True(t, near(picture, x, y, c.colour), "%s: at %d, %d", name, x, y)
	}
	x, y := place(220, 100)
	for _, colour := range []color.Color{spent, expected, band, full} {
		require.False(t, near(picture, x, y, colour), "nothing is drawn where nothing is")
	}
}

// luminance is that of WCAG 2, for contrast.
func luminance(c color.Color) float64 {
	r, g, b, _ := c.RGBA()
	part := func(v uint32) float64 { f := float64(v) / 0xffff; return f * f * (f*0.6 + 0.4) }
	return 0.2126*part(r) + 0.7152*part(g) + 0.0722*part(b)
}

func TestLinesStandOutAgainstTheGroundInEveryClient(t *testing.T) {
	t.Parallel()
	for _, line := range []color.Color{ink, spent, expected, slack, full} {
		require.Greater(t, (luminance(ground)+0.05)/(luminance(line)+0.05), 4.5)
	}
}

func TestEveryKindOfWindowCanBeDrawn(t *testing.T) {
	t.Parallel()
	week := half()
	week.Window.Window, week.Window.Subscription, week.Window.FloorMicros, week.Window.ResetAt = "weekly", "team-a@example.org", 50*credit, began.AddDate(0, 0, 7)
	drawn(t, "week", week)
	fresh := half()
	fresh.Now, fresh.Uses, fresh.Path, fresh.Window.UsedMicros, fresh.Window.ReservedMicros = began, nil, nil, 0, 0
	drawn(t, "fresh", fresh)
	huge := half()
	huge.Window.Unit, huge.Window.LimitMicros, huge.Window.UsedMicros = register.UnitTokens, 1<<62, 1<<61
	drawn(t, "huge", huge)
	over := half()
	over.Window.UsedMicros, over.Now = 620*credit, began.Add(6*time.Hour)
	drawn(t, "over", over)
	closed := half()
	closed.Window.Closed = true
	_, err := Draw(closed, nil)
	require.ErrorContains(t, err, "has not begun")
}
