package gateway

import (
	"context"
	"crypto/rand"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAnAdminLiftsAWindowAndNobodyLiftsTheProvidersLimit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	pace := register.GrantOverride(register.OverrideRequest{Provider: "claude", Micros: 40_000_000, Reason: "the audit"})
	requireCode(t, register.ProblemCodeForbidden, b.olga.Send(t.Context(), register.By{Key: rand.Text()}, pace, nil))
	var granted register.OverrideChange
	b.send(t, b.admin, pace, &granted)
	require.Equal(t, register.LiftPace, granted.Override.Lifts)
	list, err := b.reader.Overrides(t.Context(), register.By{}, false, "")
	require.NoError(t, err)
	require.Equal(t, []register.Override{granted.Override}, list.Overrides)

	database, err := pgx.Connect(t.Context(), b.database)
	require.NoError(t, err)
	defer func() { _ = database.Close(context.WithoutCancel(t.Context())) }()
	_, err = database.Exec(t.Context(), `UPDATE fleet.definitions SET mine = false`)
	require.NoError(t, err)
	limit := register.GrantOverride(register.OverrideRequest{Provider: "claude", Micros: 1, Lifts: register.LiftLimit})
	failure := requireCode(t, register.ProblemCodeProviderLimit, b.admin.Send(t.Context(), register.By{Key: rand.Text()}, limit, nil))
	require.Equal(t, http.StatusConflict, failure.Status)
	require.Contains(t, failure.Detail, "is the provider's: no override lifts it")
}
