package fleet

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNoMoreThanTheBoundRunAtOncePerRoleAndHostHoweverManyAsk(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.options.WorkerBound = 3
	for range 10 {
		b.dispatch(t, ask(1))
	}
	var wait sync.WaitGroup
	var got, withheld atomic.Int64
	for range 12 {
		wait.Go(func() {
			claim, err := b.ClaimOn(t.Context(), b.by("coder-1"), "coder", "coder-1", "alpha", time.Minute)
			if claim != nil {
				got.Add(1)
			} else if _, ok := err.(*Withheld); ok {
				withheld.Add(1)
			}
		})
	}
	wait.Wait()
	require.Equal(t, int64(3), got.Load())
	require.Equal(t, int64(9), withheld.Load())
	_, err := b.ClaimOn(t.Context(), b.by("coder-1"), "coder", "coder-1", "alpha", time.Minute)
	require.EqualError(t, err, "3 dispatches for coder run on alpha already; at most 3 may at once.")

	other, err := b.ClaimOn(t.Context(), b.by("coder-1"), "coder", "coder-2", "beta", time.Minute)
	require.NoError(t, err)
	require.NotNil(t, other, "another host has a bound of its own")
	b.dispatch(t, ask(1, func(a *Ask) { a.Role = "tester" }))
	test, err := b.ClaimOn(t.Context(), b.by("coder-1"), "tester", "tester-1", "alpha", time.Minute)
	require.NoError(t, err)
	require.NotNil(t, test, "and so has another role")

	b.complete(t, *other, StateDone)
	_, err = b.CancelDispatch(t.Context(), b.by("olga"), 1, "")
	require.NoError(t, err)
	again, err := b.ClaimOn(t.Context(), b.by("coder-1"), "coder", "coder-1", "alpha", time.Minute)
	require.NoError(t, err)
	require.NotNil(t, again, "what ends makes room")
}
