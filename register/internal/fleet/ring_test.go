package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// used says what claude's window has used, by hand.
func (b *bundle) used(t *testing.T, credits int64) {
	t.Helper()
	b.budget(t, func(s *BudgetSet) {
		s.UsedMicros, s.ResetAt = new(credits*budget.Micro), start.Add(100*time.Minute)
	})
}

func (b *bundle) rings(t *testing.T) []Ring {
	t.Helper()
	list, err := b.Rings(t.Context())
	require.NoError(t, err)
	return list.Rings
}

// told is the events of a type.
func (b *bundle) told(t *testing.T, kind string) []Event {
	t.Helper()
	var out []Event
	for _, event := range b.events(t) {
		if event.Type == kind {
			out = append(out, event)
		}
	}
	return out
}

func TestTheFirstNoticeOfALevelIsPostedAndLaterOnesAreEdits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	for _, credits := range []int64{20, 0, 20, 500, 0, 500} {
		b.used(t, credits)
		b.clock.pass(6 * time.Minute)
		wake(t, b)
	}
	var seen []string
	for _, step := range stepsIn(b.events(t)) {
		how := "edit "
		if step.Post {
			how = "post "
		}
		seen = append(seen, how+step.To)
		require.Equal(t, step.Post && step.To == "refuse", step.Ring != nil, "only a first refuse rings")
	}
	require.Equal(t, []string{"post downgrade", "edit normal", "post refuse", "edit normal", "edit refuse"}, seen)
}

func TestANewEpochPostsAndRingsAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.used(t, 500)
	_, err := b.ResetBudget(t.Context(), b.by("olga"), BudgetReset{Provider: "claude", ResetAt: start.Add(time.Hour), Zero: true})
	require.NoError(t, err)
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = new(int64(500 * budget.Micro)) })
	var rings []RingID
	for _, step := range stepsIn(b.events(t)) {
		if step.Ring != nil {
			rings = append(rings, *step.Ring)
		}
	}
	require.Len(t, rings, 2)
}

func TestAnUnacknowledgedRefusalRingsAgainAfterFifteenAndFortyFiveMinutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.used(t, 500)
	other := b.open(t, "beta") // two gateways sweep: still one ring each time
	for range 60 {
		b.clock.pass(time.Minute)
		b.sweep(t)
		require.NoError(t, other.Sweep(t.Context()))
	}
	again := b.told(t, "ring.again")
	require.Len(t, again, 2)
	require.Equal(t, start.Add(15*time.Minute), again[0].At)
	require.Equal(t, start.Add(45*time.Minute), again[1].At)
	require.Equal(t, 3, again[1].Ring.Rung)
	require.Equal(t, "refuse", again[1].Window.Step)
	require.Zero(t, b.rings(t)[0].NextAt)
}

func TestAnAcknowledgedRefusalRingsNoMoreAndWhoDidIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.used(t, 500)
	rings := b.rings(t)
	require.Len(t, rings, 1)
	require.Equal(t, start.Add(15*time.Minute), rings[0].NextAt)
	by := b.by("olga")
	acked, err := b.AckRings(t.Context(), by, nil)
	require.NoError(t, err)
	require.Equal(t, "olga", acked.Rings[0].AckedBy)
	same, err := b.AckRings(t.Context(), by, nil)
	require.NoError(t, err)
	require.Equal(t, acked, same, "the same key answers the same")
	later, err := b.AckRings(t.Context(), b.by("ada"), []RingID{rings[0].ID})
	require.NoError(t, err)
	require.Equal(t, "olga", later.Rings[0].AckedBy, "it stays with who was first")
	b.clock.pass(time.Hour)
	b.sweep(t)
	require.Empty(t, b.told(t, "ring.again"))
	told := b.told(t, "ring.acked")
	require.Len(t, told, 1)
	require.Equal(t, "olga", told[0].Actor)
}

func TestARefusalThatEasedRingsNoMore(t *testing.T) {
	t.Parallel()
	for name, ease := range map[string]func(*testing.T, *bundle){
		"by more room": func(t *testing.T, b *bundle) {
			b.used(t, 0)
			b.clock.pass(6 * time.Minute)
			wake(t, b)
		},
		"by a new epoch": func(t *testing.T, b *bundle) {
			_, err := b.ResetBudget(t.Context(), b.by("olga"), BudgetReset{Provider: "claude", ResetAt: start.Add(time.Hour), Zero: true})
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.budget(t)
			b.used(t, 500)
			ease(t, b)
			b.clock.pass(20 * time.Minute)
			b.sweep(t)
			require.Empty(t, b.told(t, "ring.again"))
			require.Empty(t, b.rings(t))
		})
	}
}

func TestARingThatCameDueTwiceWhileNoGatewayRanRingsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.used(t, 500)
	b.clock.pass(50 * time.Minute)
	b.sweep(t)
	b.sweep(t)
	require.Len(t, b.told(t, "ring.again"), 1)
}

func TestARingNobodyKnowsCannotBeAcknowledged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.AckRings(t.Context(), b.by("olga"), []RingID{7})
	require.Contains(t, requireCode(t, CodeNotFound, err).Detail, "R-7")
	none, err := b.AckRings(t.Context(), b.by("olga"), nil)
	require.NoError(t, err)
	require.Empty(t, none.Rings)
}

func TestARoomKeepsItsVerbosityWhenItIsBoundAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.SetRoomVerbosity(t.Context(), b.by("olga"), "!a:x", VerbosityLow)
	requireCode(t, CodeNotFound, err)
	bound, err := b.BindRoom(t.Context(), b.by("olga"), Room{Room: "!a:x", Purposes: []string{"budget"}})
	require.NoError(t, err)
	require.Equal(t, VerbosityMedium, bound.Verbosity)
	quiet, err := b.SetRoomVerbosity(t.Context(), b.by("olga"), "!a:x", VerbosityLow)
	require.NoError(t, err)
	require.Equal(t, bound.Version+1, quiet.Version)
	again, err := b.BindRoom(t.Context(), b.by("olga"), Room{Room: "!a:x", Purposes: []string{"budget", "fleet"}})
	require.NoError(t, err)
	require.Equal(t, VerbosityLow, again.Verbosity)
}
