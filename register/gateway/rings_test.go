package gateway

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// full is a window of which nothing is left.
func full(name string) register.Mutation {
	return register.SetBudget(register.BudgetSetRequest{
		Provider: "codex", Window: name, Unit: "tokens", LimitMicros: 9, UsedMicros: new(int64(9)), ResetAt: time.Now().Add(time.Hour),
	})
}

// burn spends a long window so fast that it is warned of.
func (b *bundle) burn(t *testing.T) {
	t.Helper()
	b.send(t, b.olga, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Unit: "credits", LimitMicros: 50_000_000_000, UsedMicros: new(int64(0)), ResetAt: time.Now().Add(time.Hour),
	}), nil)
	b.send(t, b.olga, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Window: "month", Unit: "credits", LimitMicros: 500_000_000, Since: time.Now().Add(-2 * time.Hour), ResetAt: time.Now().Add(30 * 24 * time.Hour),
	}), nil)
	b.dispatch(t, ask(10))
	require.NoError(t, b.store.Warn(t.Context()))
}

// ringTwice rings the operators, rings again a quarter of an hour later, and acknowledges it.
func (b *bundle) ringTwice(t *testing.T) {
	t.Helper()
	b.send(t, b.olga, full("full"), nil)
	later, err := fleet.Open(t.Context(), b.database, fleet.Options{
		Tenant: tenant, Host: "later", Clock: func() time.Time { return time.Now().Add(16 * time.Minute) },
	})
	require.NoError(t, err)
	defer later.Close()
	require.NoError(t, later.Sweep(t.Context()))
	b.send(t, b.olga, register.AckRings(), nil)
}

func TestARefusalIsAcknowledgedOnceAndByWhoeverWasFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send(t, b.olga, full("one"), nil)
	b.send(t, b.olga, full("two"), nil)
	rings, err := b.reader.Rings(t.Context(), register.By{})
	require.NoError(t, err)
	require.Len(t, rings.Rings, 2)
	require.Equal(t, "one", rings.Rings[0].Window)
	require.False(t, rings.Rings[0].NextAt.IsZero())

	b.refused(t, register.ProblemCodeForbidden, b.reader, register.AckRings())
	failure := b.refused(t, register.ProblemCodeNotFound, b.olga, register.AckRings("R-77"))
	require.Contains(t, failure.Detail, "R-77")
	var acked register.RingList
	b.send(t, b.olga, register.AckRings(rings.Rings[1].ID), &acked)
	require.Len(t, acked.Rings, 1)
	b.send(t, b.admin, register.AckRings(), &acked)
	require.Equal(t, "root", acked.Rings[0].AckedBy)
	require.Equal(t, "olga", acked.Rings[1].AckedBy)
}
