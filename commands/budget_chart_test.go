package commands

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestThePictureAndItsWordsSayTheSame(t *testing.T) {
	t.Parallel()
	f := register.Forecast{
		Now: monday, Text: "Lasts until the reset at 2026-11-29 12:00:00 UTC and leaves about 80 credits, by its rate.",
		Window: window(func(w *register.Window) {
			w.ReservedMicros, w.FloorMicros, w.Since = 10*credit, 50*credit, monday.Add(-time.Hour)
		}),
	}
	reads(t, chartWords(f, berlin(t)),
		"claude: 210 of 500 credits used, allowance now 250, step normal",
		"Held for work in flight: 10 credits",
		"Kept back: 50 credits, so that 450 credits may be used",
		"Lasts until the reset at Sun 29 Nov 13:00 CET and leaves about 80 credits, by its rate.",
		"Began Mon 23 Nov 09:00 CET, resets Sun 29 Nov 13:00 CET, in 6 d 3 h")
}

func TestOfSeveralWindowsTheOneThatRunsDryFirstIsDrawn(t *testing.T) {
	t.Parallel()
	named := func(name string, used int64, dry time.Time) register.Forecast {
		return register.Forecast{RunsDryAt: dry, Window: window(func(w *register.Window) { w.Window, w.UsedMicros = name, used*credit })}
	}
	closed := named("closed", 0, time.Time{})
	closed.Window.Closed = true
	all := []register.Forecast{closed, named("full", 400, time.Time{}), named("late", 1, monday.Add(2*time.Hour)), named("soon", 1, monday.Add(time.Hour))}
	require.Equal(t, "soon", slices.MinFunc(all, urgency).Window.Window)
	require.Equal(t, "full", slices.MinFunc(all[:2], urgency).Window.Window)
}

func TestAFileIsForATerminal(t *testing.T) {
	t.Parallel()
	_, err := Prepare(Asked{Text: "budget chart --out x.png", At: monday, Origin: register.Origin{Transport: register.OriginTransportMatrix, Room: "!r"}})
	require.ErrorContains(t, err, "in a room the picture is posted")
	_, err = Prepare(Asked{Text: "budget chart --out x.png", At: monday})
	require.NoError(t, err)
}
