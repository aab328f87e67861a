package commands

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// monday is when the commands of these tests arrive: Mon 23 Nov 2026, 10:00 in Berlin.
var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func berlin(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	return zone
}

// typed is a line as a phone sends it.
func typed(t testing.TB, text string) Asked {
	t.Helper()
	return Asked{Text: text, At: monday, Zone: berlin(t), Origin: register.Origin{Transport: register.OriginTransportMatrix, Room: "!room", Event: "$event"}}
}

// understood is what a typed line comes to.
func understood(t testing.TB, text string) Call {
	t.Helper()
	call, err := Prepare(typed(t, text))
	require.NoError(t, err, text)
	return call
}

// misunderstood is why a typed line does not come to a call.
func misunderstood(t testing.TB, text string) *UsageError {
	t.Helper()
	call, err := Prepare(typed(t, text))
	var failure *UsageError
	require.True(t, errors.As(err, &failure), "%q became %+v", text, call)
	return failure
}
