package program

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

func simulateWith(t *testing.T, arguments ...string) *simulateCommand {
	t.Helper()
	var cli program
	parser := kong.Must(&cli, kong.Name("mosaic-matrix"))
	_, err := parser.Parse(append([]string{"simulate", "--seeds=1", "--windows=1"}, arguments...))
	require.NoError(t, err)
	return &cli.Simulate
}

func playedBy(t *testing.T, c *simulateCommand) string {
	t.Helper()
	shape, err := c.shape()
	require.NoError(t, err)
	reports, err := c.play(shape)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, c.show(&out, "heading", reports))
	return out.String()
}

func TestASimulationIsPrintedAndDrawnTheSameForEachSeed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "plot.png")
	first := playedBy(t, simulateWith(t, "--plot="+file))
	require.Equal(t, first, playedBy(t, simulateWith(t)))
	require.NotEqual(t, first, playedBy(t, simulateWith(t, "--seed=2")))
	require.Regexp(t, `(?m)^ +governor +greedy +hourly +most-headroom$`, first)
	require.Regexp(t, `(?m)^overshoot at admission +0\.00 %`, first)

	drawn, err := os.Open(file)
	require.NoError(t, err)
	defer drawn.Close()
	picture, err := png.Decode(drawn)
	require.NoError(t, err)
	require.Equal(t, 1100, picture.Bounds().Dx())
}

func TestASimulationThatCannotBePlayedSaysWhy(t *testing.T) {
	t.Parallel()
	for flag, says := range map[string]string{
		"--seeds=0":                     "0 seeds play nothing",
		"--windows=0":                   "0 windows cannot be played",
		"--subscription=claude":         "has no window",
		"--subscription=other 5h=5":     "not a provider of the ladder",
		"--subscription=claude 5m=5":    "is not a window",
		"--subscription=claude 5h=much": "much",
		"--subscription=claude 5h=0":    "has no limit above zero",
		"--slack=101":                   "not a share of a window",
		"--demand=0":                    "is not above zero",
		"--largest=0.1":                 "the mean cost",
		"--plot=/nowhere/picture.png":   "writing the plot",
		"--ledger=/nowhere/ledger.csv":  "opening the ledger",
	} {
		require.ErrorContains(t, simulateWith(t, flag, "--no-larger").Run(context.Background()), says, flag)
	}
}
