package budget

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scoped is the claude subscription with windows of a role and a model beside its own, and one project window that all share.
func scoped() *Fleet {
	fleet := claude().with(codex())
	role, opus, project := credits(11), credits(12), credits(30)
	role.Name, role.Scope = "coders", Scope{OfRole, "coder"}
	opus.Name, opus.Model = "weekly opus", "opus"
	project.Name, project.Scope = "mosaic", Scope{OfProject, "mosaic"}
	fleet.Subscriptions[0].Windows = append(fleet.Subscriptions[0].Windows, role, opus)
	fleet.Shared = []Window{project}
	return fleet
}

func windowsOf(holds []Hold) []int64 {
	var ids []int64
	for _, hold := range holds {
		ids = append(ids, hold.Window)
	}
	return ids
}

func TestAWindowAppliesByItsScopeAndModel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                 string
		role, project, model string
		windows              []int64
	}{
		{"nothing but the subscription and the model", "reviewer", "", "opus", []int64{10, 12}},
		{"another model", "reviewer", "", "sonnet", []int64{10}},
		{"the role", "coder", "", "sonnet", []int64{10, 11}},
		{"all at once", "coder", "mosaic", "opus", []int64{10, 11, 12, 30}},
		{"a shared window on another provider", "coder", "mosaic", "gpt-5.5", []int64{20, 30}},
	} {
		request := ask(1, 5*Micro)
		request.Role, request.Project, request.Model = c.role, c.project, c.model
		decision := decide(t, request, scoped(), start)
		require.Equal(t, Admit, decision.Outcome, c.name)
		require.Equal(t, c.windows, windowsOf(decision.Holds), c.name)
	}
}

func TestAllScopesReserveOrNone(t *testing.T) {
	t.Parallel()
	fleet := scoped()
	fleet.Shared[0].Committed = 500 * Micro
	request := ask(1, 5*Micro)
	request.Role, request.Project = "coder", "mosaic"
	decision := decide(t, request, fleet, start)
	require.Equal(t, Queue, decision.Outcome)
	require.Equal(t, "mosaic", decision.Attempts[0].Window())
	decision.Apply(fleet)
	for _, id := range []int64{10, 11, 12, 20, 30} {
		require.Zero(t, fleet.Window(id).Reserved)
	}
	require.Len(t, fleet.Shared[0].Line, 1, "it waits in the line of the shared window too")

	request.Project = ""
	request.ID = 2
	fleet.Window(10).Leave(1)
	fleet.Window(11).Leave(1)
	fleet.Window(12).Leave(1)
	next := decide(t, request, fleet, start)
	require.Equal(t, Admit, next.Outcome, "the project's window is no other work's business")
	next.Apply(fleet)
	for id, want := range map[int64]int64{10: 5 * Micro, 11: 5 * Micro, 12: 5 * Micro, 20: 0, 30: 0} {
		require.Equal(t, want, fleet.Window(id).Reserved)
	}
}

func TestAModelsWindowLowersToAModelItDoesNotMeter(t *testing.T) {
	t.Parallel()
	fleet := scoped()
	fleet.Window(12).Committed = 500 * Micro
	request := ask(1, 5*Micro)
	request.Estimates = []Estimate{{Model: "opus", Mean: 5 * Micro}, {Model: "sonnet", Mean: 5 * Micro}}
	decision := decide(t, request, fleet, start)
	require.Equal(t, "sonnet", decision.Tier.Model, "it costs as much, but the model's window does not apply to it")
	require.Equal(t, []Verdict{OverCap, Admitted}, verdicts(decision))
}

func TestScopesReadAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Scope{
		"": {}, "subscription": {}, "role:coder": {OfRole, "coder"}, " Project: mosaic ": {OfProject, "mosaic"}, "mission:m-1": {OfMission, "m-1"},
	} {
		got, err := ParseScope(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		back, err := ParseScope(got.String())
		require.NoError(t, err)
		require.Equal(t, got, back)
	}
	for _, text := range []string{"coder", "role", "role:", "subscription:x", "team:a"} {
		_, err := ParseScope(text)
		require.ErrorContains(t, err, "such as role:coder", text)
	}
	require.True(t, Scope{OfMission, "m"}.Covers(&Request{Mission: "m"}))
	require.False(t, Scope{OfMission, "m"}.Covers(&Request{Mission: "n", Project: "m"}))
}

func TestPaceCountsMeansAndTheCapUpperBounds(t *testing.T) {
	t.Parallel()
	fleet := claude()
	request := ask(1, 20*Micro)
	request.Exact = true
	request.Estimates[0].Upper = 60 * Micro
	decision := decide(t, request, fleet, start)
	require.Equal(t, Admit, decision.Outcome, "the mean is within the slack of 25, the upper bound is not asked")
	require.Equal(t, []Hold{{Window: 10, Micros: 60 * Micro, Margin: 40 * Micro}}, decision.Holds)
	decision.Apply(fleet)
	window := fleet.Window(10)
	require.Equal(t, int64(60*Micro), window.Used())
	require.Equal(t, int64(20*Micro), window.Expected())

	window.Committed = 400 * Micro
	request.ID = 2
	late := start.Add(99 * time.Minute)
	require.Equal(t, OverCap, decide(t, request, fleet, late).Attempts[0].Verdict, "400 + 60 + 60 is above 500")
	window.Settle(decision.Holds[0], 20*Micro)
	require.Equal(t, Admit, decide(t, request, fleet, late).Outcome, "420 + 60 is not")
}

func TestWorkShutOutByMarginsAloneIsNotToldToWaitForTheReset(t *testing.T) {
	t.Parallel()
	fleet := claude()
	window := fleet.Window(10)
	window.Committed, window.Reserved, window.Margin = 300*Micro, 180*Micro, 100*Micro
	request := ask(1, 10*Micro)
	request.Exact = true
	request.Estimates[0].Upper = 30 * Micro
	now := start.Add(80 * time.Minute)
	decision := decide(t, request, fleet, now)
	require.Equal(t, OverCap, decision.Attempts[0].Verdict)
	require.Equal(t, now.Add(window.Dwell()), decision.Start)
}
