package conformance_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/conformance"
)

func TestTheReferenceGatewayKeepsEveryPromise(t *testing.T) {
	t.Parallel()
	b := setup(t)
	options := conformance.Options{URL: b.url + "/", Token: b.admin, WorkerToken: b.worker, ReadToken: b.read}
	options.RateProbe = rateProbe
	for range 2 { // what a run leaves behind does not trouble the next
		report, err := conformance.Run(t.Context(), options)
		require.NoError(t, err)
		text := table(t, report)
		for _, result := range report.Results {
			require.True(t, result.Kept(), text)
		}
		require.Empty(t, report.Left)
		require.Greater(t, len(report.Results), 60)
		require.Contains(t, text, " kept, 0 broken, 0 not tried\n")
	}
}

func TestARunLeavesNothingOpenAndTouchesNoOtherWindow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	api := register.NewAPI(b.url, b.admin)
	require.NoError(t, api.Send(t.Context(), register.By{Key: "claude"}, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Unit: "credits", LimitMicros: 500_000_000, ResetAt: time.Now().Add(time.Hour),
	}), nil))
	require.NoError(t, api.Send(t.Context(), register.By{Key: "seat"}, register.PutSeat("ceo", register.SeatRequest{Lens: "mission", Identity: "root"}), nil))
	before, err := api.Budgets(t.Context(), register.By{}, "claude")
	require.NoError(t, err)

	report := b.try(t, b.url)
	require.Empty(t, report.Broken(), table(t, report))
	require.Empty(t, report.Left)

	after, err := api.Budgets(t.Context(), register.By{}, "claude")
	require.NoError(t, err)
	before.Windows[0].AllowanceMicros, after.Windows[0].AllowanceMicros = 0, 0
	require.Equal(t, before.Windows, after.Windows)
	open, err := api.Dispatches(t.Context(), register.By{}, "", 200, register.DispatchStateQueued, register.DispatchStateReady, register.DispatchStateRunning)
	require.NoError(t, err)
	require.Empty(t, open.Dispatches)
	undecided, err := api.Proposals(t.Context(), register.By{}, register.ProposalStateOpen, "", 200)
	require.NoError(t, err)
	require.Empty(t, undecided.Proposals)
	seats, err := api.Seats(t.Context(), register.By{})
	require.NoError(t, err)
	require.Len(t, seats.Seats, 1, "a board that is there is used")
	identities, err := api.Identities(t.Context(), register.By{})
	require.NoError(t, err)
	for _, identity := range identities.Identities {
		require.True(t, identity.Name[:4] != "conf" || len(identity.Roles) == 0, "%s may still do something", identity.Name)
	}
	require.Eventually(t, func() bool {
		ours, err := api.Budgets(t.Context(), register.By{}, "conformance")
		return err == nil && len(ours.Windows) == 1 && ours.Windows[0].Lapsed
	}, time.Minute, 100*time.Millisecond)
}

func TestOnlyTheAreasThatAreNamedAreTried(t *testing.T) {
	t.Parallel()
	b := setup(t)
	report, err := conformance.Run(t.Context(), conformance.Options{URL: b.url, Token: b.admin, Only: []string{"settings", "dispatches"}})
	require.NoError(t, err)
	areas := make(map[string]int)
	for _, result := range report.Results {
		require.True(t, result.Kept(), table(t, report))
		areas[result.Area]++
	}
	require.Equal(t, 1, areas["people"], "whoever the run acts for is made whatever is tried")
	require.Greater(t, areas["settings"], 1)
	require.Greater(t, areas["dispatches"], 1)
	require.Positive(t, areas["shapes"], "what was answered is held against the contract")
	require.Len(t, areas, 4, table(t, report))
}

func TestAnAreaThatThereIsNotIsToldWithThoseThatThereAre(t *testing.T) {
	t.Parallel()
	_, err := conformance.Run(t.Context(), conformance.Options{URL: "http://127.0.0.1:1", Token: "a-token", Only: []string{"claims", "claim"}})
	require.ErrorContains(t, err, `there is no area "claim" of promises: the areas are people, agents, dispatches, claims, `)
	require.ErrorContains(t, err, "for example --only claims,board")
}

func TestWithoutMoreTokensItSaysWhatItDidNotTry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	report := b.try(t, b.url)
	require.Empty(t, report.Broken(), table(t, report))
	require.Contains(t, table(t, report), "not tried: it takes --read-token or --worker-token")
}

func TestAGatewayThatIsNotThereIsNoReport(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	server.Close()
	_, err := conformance.Run(t.Context(), conformance.Options{URL: server.URL, Token: "a-token"})
	require.ErrorContains(t, err, "The gateway cannot be reached.")
}
