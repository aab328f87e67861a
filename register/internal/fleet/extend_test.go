package fleet

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func (b *bundle) extend(t *testing.T, claim Claim, totals ...Amount) (Extension, error) {
	t.Helper()
	return b.ExtendDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, claim.ID, totals)
}

func TestTheCapMayRefuseAnExtensionAndPaceMayNot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(5, exact))
	claim := b.claimed(t)
	require.Equal(t, StateQueued, b.dispatch(t, ask(100, exact)).State, "pace admits no 100 credits now")
	extension, err := b.extend(t, claim, Amount{coins, 400 * budget.Micro})
	require.NoError(t, err)
	require.Equal(t, []Amount{{coins, 400 * budget.Micro}}, extension.Reserved)
	require.Equal(t, "queue", b.window(t).Step)

	_, err = b.extend(t, claim, Amount{coins, 500*budget.Micro + 1})
	refused := requireCode(t, CodeCapReached, err)
	require.Equal(t, "The window main of claude has 100 credits left, and the extension takes 100.000001 credits more; nothing lifts the cap.", refused.Detail)
	require.Equal(t, int64(400*budget.Micro), b.window(t).ReservedMicros)
	_, err = b.extend(t, claim, Amount{coins, 500 * budget.Micro})
	require.NoError(t, err, "up to the micro-unit")
	require.Equal(t, "refuse", b.window(t).Step, "the step follows")
	require.Contains(t, b.story(t), "dispatch.extended")
	b.audit(t)
}

func TestTheFloorIsNotExtendedInto(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.FloorMicros = new(int64(100 * budget.Micro)) })
	b.dispatch(t, ask(5))
	claim := b.claimed(t)
	_, err := b.extend(t, claim, Amount{coins, 401 * budget.Micro})
	requireCode(t, CodeCapReached, err)
	_, err = b.extend(t, claim, Amount{coins, 400 * budget.Micro})
	require.NoError(t, err)
}

func TestAnExtensionIsMadeOnAllWindowsOrOnNone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.subscribed(t)
	b.dispatch(t, ask(0, several))
	claim := b.claimed(t)
	before := b.standing(t)
	_, err := b.extend(t, claim, Amount{coins, 10 * budget.Micro}, Amount{tokenUnit, 1001 * budget.Micro})
	require.Contains(t, requireCode(t, CodeCapReached, err).Detail, "The window five of claude has 980 tokens left")
	require.Equal(t, before, b.standing(t))

	extension, err := b.extend(t, claim, Amount{tokenUnit, 1000 * budget.Micro}, Amount{points, 60 * budget.Micro})
	require.NoError(t, err)
	require.Equal(t, []Amount{{coins, 5 * budget.Micro}, {points, 60 * budget.Micro}, {tokenUnit, 1000 * budget.Micro}}, extension.Reserved)
	require.Len(t, extension.Holds, 4)
	require.Equal(t, map[string][2]int64{"main": {0, 5}, "five": {0, 1000}, "week": {0, 1000}, "share": {0, 60}}, b.standing(t))
	b.audit(t)

	_, err = b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{tokenUnit, 900 * budget.Micro}}})
	require.NoError(t, err)
	require.Equal(t, map[string][2]int64{"main": {5, 0}, "five": {900, 0}, "week": {900, 0}, "share": {60, 0}}, b.standing(t), "what was not metered is committed as held")
	b.audit(t)
}

func TestAnExtensionIsMadeOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(5))
	claim := b.claimed(t)
	m := b.by("coder-1")
	first, err := b.ExtendDispatch(t.Context(), m, 1, claim.ID, []Amount{{coins, 10 * budget.Micro}})
	require.NoError(t, err)
	again, err := b.ExtendDispatch(t.Context(), m, 1, claim.ID, []Amount{{coins, 10 * budget.Micro}})
	require.NoError(t, err)
	require.Equal(t, first, again)
	told := len(b.events(t))
	lower, err := b.extend(t, claim, Amount{coins, 3 * budget.Micro})
	require.NoError(t, err)
	require.Equal(t, first.Reserved, lower.Reserved, "a total below what is held changes nothing")
	require.Len(t, b.events(t), told)
	require.Equal(t, int64(10*budget.Micro), b.window(t).ReservedMicros)
	b.audit(t)
}

func TestOnlyARunningClaimCanBeExtended(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(5))
	claim := b.claimed(t)
	ten := Amount{coins, 10 * budget.Micro}
	other := claim
	other.ID = "another"
	_, err := b.extend(t, other, ten)
	requireCode(t, CodeClaimLost, err)
	_, err = b.SetPause(t.Context(), b.by("olga"), true, "")
	require.NoError(t, err)
	_, err = b.extend(t, claim, ten)
	require.NoError(t, err, "running work goes on while the fleet is paused")
	_, err = b.CancelDispatch(t.Context(), b.by("olga"), 1, "")
	require.NoError(t, err)
	_, err = b.extend(t, claim, ten)
	requireCode(t, CodeClaimLost, err)
	require.Zero(t, b.window(t).ReservedMicros)
	_, err = b.ExtendDispatch(t.Context(), b.by("coder-1"), 99, "x", []Amount{ten})
	requireCode(t, CodeNotFound, err)
}

func TestAWindowThatLapsedOrBeganAnewDuringTheRunIsExtendedAsItStands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(5))
	claim := b.claimed(t)
	b.clock.pass(101 * time.Minute)
	extension, err := b.extend(t, claim, Amount{coins, 9000 * budget.Micro})
	require.NoError(t, err, "the use of a lapsed window is unknown, and an unknown meter stops nothing")
	require.Equal(t, []Amount{{coins, 9000 * budget.Micro}}, extension.Reserved)
	require.Equal(t, int64(5*budget.Micro), b.window(t).ReservedMicros, "nothing is held there either")

	b.budget(t)
	require.Equal(t, int64(5*budget.Micro), b.window(t).ReservedMicros, "the hold came into the new epoch")
	_, err = b.extend(t, claim, Amount{coins, 501 * budget.Micro})
	requireCode(t, CodeCapReached, err)
	_, err = b.extend(t, claim, Amount{coins, 20 * budget.Micro})
	require.NoError(t, err)
	require.Equal(t, int64(20*budget.Micro), b.window(t).ReservedMicros)

	b.budget(t, func(s *BudgetSet) { s.Window, s.LimitMicros = "week", 30*budget.Micro })
	_, err = b.extend(t, claim, Amount{coins, 31 * budget.Micro})
	requireCode(t, CodeCapReached, err)
	_, err = b.extend(t, claim, Amount{coins, 30 * budget.Micro})
	require.NoError(t, err)
	require.Equal(t, map[string][2]int64{"main": {0, 30}, "week": {0, 30}}, b.standing(t), "a window set meanwhile holds the whole of it")
	b.audit(t)

	_, err = b.extend(t, claim, Amount{"dollars", 3 * budget.Micro})
	require.NoError(t, err, "no window counts dollars")
	b.audit(t)
}

func TestNoExtensionsTogetherPassTheCap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.LimitMicros = 1000 * budget.Micro; s.Since = start.Add(-99 * 100 * time.Minute) })
	const extenders = 64
	claims := make([]Claim, extenders)
	for i := range claims {
		b.dispatch(t, ask(1, exact))
		claims[i] = b.claimed(t)
	}
	other := b.open(t, "beta") // a second gateway
	granted := make([]bool, extenders)
	failures := make([]error, extenders)
	var wait sync.WaitGroup
	for i := range claims {
		m, store := b.by("coder-1"), b.Store
		if i%2 == 1 {
			store = other
		}
		wait.Go(func() {
			_, err := store.ExtendDispatch(t.Context(), m, claims[i].Dispatch.ID, claims[i].ID, []Amount{{coins, 40 * budget.Micro}})
			granted[i], failures[i] = err == nil, err
		})
	}
	wait.Wait()
	count := int64(0)
	for i, err := range failures {
		if granted[i] {
			count++
			continue
		}
		var refusal *Error
		require.True(t, errors.As(err, &refusal), "%v", err)
		require.Equal(t, CodeCapReached, refusal.Code)
	}
	require.Equal(t, int64((1000-extenders)/39), count, "as many as fit")
	w := b.window(t)
	require.Equal(t, (extenders+39*count)*budget.Micro, w.ReservedMicros)
	require.LessOrEqual(t, w.UsedMicros, w.LimitMicros)
	b.audit(t)
}
