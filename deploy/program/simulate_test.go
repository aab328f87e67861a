package program

import (
	"bytes"
	"image/png"
	"io"
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
	_, err := parser.Parse(append([]string{"simulate", "--seeds=1", "--hours=5", "--subscriptions=1"}, arguments...))
	require.NoError(t, err)
	return &cli.Simulate
}

func TestASimulationIsPrintedAndDrawnTheSameForEachSeed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "plot.png")
	var first, second, calm bytes.Buffer
	require.NoError(t, simulateWith(t, "--plot="+file).play(&first))
	require.NoError(t, simulateWith(t).play(&second))
	require.Equal(t, first.String(), second.String())
	require.Regexp(t, `(?m)^ +governor +greedy +hourly +most-headroom$`, first.String())
	require.Regexp(t, `(?m)^overshoot at admission +0\.00 %`, first.String())
	require.NoError(t, simulateWith(t, "--load=0.5").play(&calm))
	require.NotEqual(t, first.String(), calm.String())

	drawn, err := os.Open(file)
	require.NoError(t, err)
	defer drawn.Close()
	picture, err := png.Decode(drawn)
	require.NoError(t, err)
	require.Equal(t, 1200, picture.Bounds().Dx())
}

func TestASimulationThatCannotBePlayedSaysWhy(t *testing.T) {
	t.Parallel()
	for flag, says := range map[string]string{
		"--seeds=0":         "0 seeds play nothing",
		"--subscriptions=0": "0 subscriptions can spend nothing",
		"--window=90m":      "does not last whole hours",
		"--hours=0":         "no time to play",
		"--burst=101":       "not between 0 and 100",
		"--limit=much":      "much",
		"--load=0":          "is not above zero",
		"--largest=0.1":     "the mean cost",
		"--plot=/nowhere/a": "writing the plot",
	} {
		require.ErrorContains(t, simulateWith(t, flag).play(io.Discard), says, flag)
	}
}
