package chart

import (
	"bytes"
	"image/png"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget/simulate"
)

func TestASimulationIsDrawnForAPageAndForAPhone(t *testing.T) {
	t.Parallel()
	window := budget.Window{
		ID: 1, Name: "5h", Unit: "credits", Limit: 500 * credit, BurstPPM: budget.DefaultBurstPPM, Since: began, Reset: began.Add(5 * time.Hour),
	}
	shape := simulate.Shape{
		Seed: 1, Cycles: 2, Demand: 1.5, Mean: 0.006, Largest: 0.01, Sigma: 0.5, Longest: 0.02, Burst: 0.1, Exact: 0.5, Patience: 0.15,
		Fleet: budget.Fleet{
			Ladder: budget.DefaultLadder(), LimitBursts: true,
			Subscriptions: []budget.Subscription{{ID: 1, Provider: "claude", Name: "claude", Windows: []budget.Window{window}}},
		},
	}
	plan, err := simulate.Generate(shape)
	require.NoError(t, err)
	var reports []*simulate.Report
	for _, policy := range append([]simulate.Policy{&simulate.Governor{}}, simulate.Baselines()...) {
		report, err := simulate.Play(plan, policy)
		require.NoError(t, err)
		reports = append(reports, report)
	}
	for name, theme := range map[string]Theme{"light": Light, "dark": Dark, "room": Room} {
		shown := reports
		if theme.narrow() {
			asSet, tried := *reports[0], *reports[1]
			asSet.Policy, tried.Policy = "as set", "with slack 10 %, limits at 150 %, route drain"
			shown = []*simulate.Report{&asSet, &tried}
		}
		raw, err := Simulation(shown, theme)
		require.NoError(t, err)
		if *draw != "" {
			require.NoError(t, os.WriteFile(*draw+"/simulation-"+name+".png", raw, 0o644))
		}
		picture, err := png.Decode(bytes.NewReader(raw))
		require.NoError(t, err)
		require.Equal(t, theme.width, picture.Bounds().Dx())
		require.Equal(t, theme.height, picture.Bounds().Dy())
	}
	_, err = Simulation(nil, Light)
	require.ErrorContains(t, err, "nothing was played")
}
