package fleet

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func TestTheSameKeyAnswersTheSameAndHappensOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	by := b.by("olga")
	first, err := b.CreateDispatch(t.Context(), by, ask(10))
	require.NoError(t, err)
	b.claimed(t) // what is answered again is what was answered, not what became of it
	again, err := b.open(t, "beta").CreateDispatch(t.Context(), by, ask(10))
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, int64(10*budget.Micro), b.window(t).ReservedMicros)

	by.Hash = append([]byte{}, by.Hash...)
	by.Hash[0]++
	_, err = b.CreateDispatch(t.Context(), by, ask(11))
	requireCode(t, CodeIdempotencyMismatch, err)

	by.Caller = "coder-1"
	other, err := b.CreateDispatch(t.Context(), by, ask(11))
	require.NoError(t, err)
	require.Equal(t, DispatchID(2), other.ID, "keys are the caller's own")
}

func TestConcurrentCallsWithOneKeyHappenOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	by := b.by("olga")
	stores := []*Store{b.Store, b.open(t, "beta")}
	answers := make([]Dispatch, 16)
	var wait sync.WaitGroup
	for i := range answers {
		wait.Go(func() { answers[i], _ = stores[i%2].CreateDispatch(t.Context(), by, ask(10)) })
	}
	wait.Wait()
	for _, answer := range answers {
		require.Equal(t, answers[0], answer)
	}
	require.Equal(t, int64(10*budget.Micro), b.window(t).ReservedMicros)
}

func TestARequestThatFailedDoesNotUseUpItsKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	by := b.by("olga")
	_, err := b.CreateDispatch(t.Context(), by, ask(1, func(a *Ask) { a.Model = "opsu" }))
	requireCode(t, CodeInvalid, err)
	_, err = b.CreateDispatch(t.Context(), by, ask(1))
	require.NoError(t, err)
}

func TestAnswersAreForgottenAfterAWeek(t *testing.T) {
	t.Parallel()
	b := setup(t)
	by := b.by("olga")
	_, err := b.CreateDispatch(t.Context(), by, ask(1))
	require.NoError(t, err)
	b.clock.pass(AnswerRetention)
	require.NoError(t, b.Forget(t.Context()))
	again, err := b.CreateDispatch(t.Context(), by, ask(1))
	require.NoError(t, err)
	require.Equal(t, DispatchID(1), again.ID)
	b.clock.pass(1)
	b.clock.pass(AnswerRetention)
	require.NoError(t, b.Forget(t.Context()))
	again, err = b.CreateDispatch(t.Context(), by, ask(1))
	require.NoError(t, err)
	require.Equal(t, DispatchID(2), again.ID)
}
