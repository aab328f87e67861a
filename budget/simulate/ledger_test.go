package simulate

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func read(t *testing.T, text string) *Ledger {
	t.Helper()
	ledger, err := ReadLedger(strings.NewReader(text), budget.DefaultLadder())
	require.NoError(t, err)
	return ledger
}

func TestALedgerIsReadFromTheAPIsAnswerOrACSV(t *testing.T) {
	t.Parallel()
	fromJSON := read(t, `{"dispatches": [
		{"id": "D-2", "role": "coder", "brief_class": "fix", "model_requested": "opus", "model": "sonnet", "priority": 5,
		 "created_at": "2026-11-23T10:00:00Z", "started_at": "2026-11-23T10:00:10Z", "finished_at": "2026-11-23T10:05:10Z",
		 "deadline": "2026-11-23T11:00:00Z", "estimate": [], "actuals": [{"unit": "credits", "micros": 3000000}]},
		{"id": "D-1", "role": "coder", "brief_class": "fix", "model_requested": "opus", "created_at": "2026-11-23T09:00:00Z",
		 "estimate": [{"unit": "credits", "micros": 8000000}], "actuals": []},
		{"id": "D-3", "role": "coder", "model_requested": "opus", "created_at": "2026-11-23T12:00:00Z", "estimate": [], "actuals": []}
	], "now": "2026-11-23T13:00:00Z"}`)
	require.Equal(t, 1, fromJSON.Skipped)
	require.Len(t, fromJSON.Jobs, 2)
	require.Equal(t, Job{
		Arrives: begin, Role: "coder", Kind: "fix", Model: "opus", Lasts: 10 * time.Minute,
		Costs: []budget.Amount{{Unit: "credits", Micros: 8 * budget.Micro}},
		Given: []budget.Estimate{{Model: "opus", Unit: "credits", Mean: 8 * budget.Micro, Upper: 8 * budget.Micro}},
	}, fromJSON.Jobs[0], "what has not finished counts with its estimate")
	require.Equal(t, Job{
		Arrives: begin.Add(time.Hour), Role: "coder", Kind: "fix", Model: "opus", Priority: 5, Lasts: 5 * time.Minute, Patience: time.Hour,
		Costs: []budget.Amount{{Unit: "credits", Micros: 5 * budget.Micro}},
	}, fromJSON.Jobs[1], "3 credits on sonnet are 5 on opus")

	fromCSV := read(t, exampleCSV)
	require.Equal(t, []budget.Amount{{Unit: "credits", Micros: 4_200_000}}, fromCSV.Jobs[0].Costs)
	require.Equal(t, 12*time.Minute+36*time.Second, fromCSV.Jobs[0].Lasts)
}

func TestALedgerThatCannotBeReadSaysWhy(t *testing.T) {
	t.Parallel()
	for text, why := range map[string]string{
		"":                            "the ledger is empty",
		"{":                           "not the JSON of dispatches",
		`[]`:                          "none of the 0 dispatches",
		"created_at,unit\n":           "no column actual",
		"created_at,unit,actual\na,b": "not a CSV",
		"created_at,unit,actual\nyesterday,credits,1":                                                        `line 2 of the ledger: created_at "yesterday" is not an instant`,
		"created_at,unit,actual\n2026-11-23T09:00:00Z,credits,-1":                                            "line 2 of the ledger: actual: \"-1\" is not an amount",
		"created_at,unit,actual,priority\n2026-11-23T09:00:00Z,credits,1,high":                               `priority "high" is not a whole number`,
		"created_at,unit,actual,model_requested\n2026-11-23T09:00:00Z,credits,1,opsu":                        `The model "opsu" is not in the ladder`,
		`[{"id":"D-9","model_requested":"opus","actuals":[{"unit":"credits","micros":1}]}]`:                  "dispatch D-9 (number 1): it does not say when it was created",
		`[{"id":"D-9","created_at":"2026-11-23T09:00:00Z","model":"x","actuals":[{"unit":"u","micros":1}]}]`: `The model "x" is not in the ladder`,
	} {
		_, err := ReadLedger(strings.NewReader(text), budget.DefaultLadder())
		require.ErrorContains(t, err, why)
	}
}

func TestALedgerIsPlayedAsItCame(t *testing.T) {
	t.Parallel()
	lines := []string{"created_at,started_at,finished_at,role,model_requested,unit,actual"}
	for minute := range 400 {
		at := begin.Add(time.Duration(minute) * time.Minute)
		lines = append(lines, strings.Join([]string{at.Format(time.RFC3339), at.Format(time.RFC3339), at.Add(5 * time.Minute).Format(time.RFC3339), "coder", "opus", "credits", "3"}, ","))
	}
	plan := read(t, strings.Join(lines, "\n")).Replay(twoAccounts())
	require.Equal(t, begin, plan.Begin)
	reports, err := Compare(plan)
	require.NoError(t, err)
	for _, report := range reports {
		require.Equal(t, 400, report.Arrived)
		require.Zero(t, report.OvershootAtAdmission)
	}
	require.Equal(t, 400, reports[0].Started, "1200 credits in 400 minutes fit into two accounts of 500 in 5 hours")
}
