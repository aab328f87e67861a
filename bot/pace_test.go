package bot

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// limiter is a homeserver's leaky bucket, as Synapse has it.
type limiter struct {
	perSecond float64
	burst     float64
	level     float64
	at        time.Time
	refusals  int
}

func (l *limiter) offer(now time.Time) (taken bool, wait time.Duration) {
	l.level = max(0, l.level-now.Sub(l.at).Seconds()*l.perSecond)
	l.at = now
	if l.level+1 > l.burst {
		l.refusals++
		return false, time.Duration(math.Ceil((l.level+1-l.burst)/l.perSecond*1000)) * time.Millisecond
	}
	l.level++
	return true, 0
}

// drive offers messages as fast as the pace allows until n were taken, and returns how long that took.
func drive(p *pace, server *limiter, clock *time.Time, n int) time.Duration {
	began := *clock
	for taken := 0; taken < n; {
		if wait := p.take(); wait > 0 {
			*clock = clock.Add(wait)
			continue
		}
		ok, wait := server.offer(*clock)
		if ok {
			p.taken()
			taken++
		} else {
			p.refused(wait)
		}
		*clock = clock.Add(10 * time.Millisecond)
	}
	return clock.Sub(began)
}

func newDriven(perSecond, burst float64) (*pace, *limiter, *time.Time) {
	clock := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	return newPace(func() time.Time { return clock }), &limiter{perSecond: perSecond, burst: burst, at: clock}, &clock
}

func TestUnderStockSynapseLimitsThePaceUsesAllThatIsAllowedAndRarelyAsksForMore(t *testing.T) {
	t.Parallel()
	p, server, clock := newDriven(0.2, 10)
	took := drive(p, server, clock, 50)
	require.InDelta(t, 200, took.Seconds(), 15, "10 at once and 40 at 0.2 a second")
	require.LessOrEqual(t, server.refusals, 40/provenAfter+3)
}

func TestIdleTimeEarnsTheBurstAgain(t *testing.T) {
	t.Parallel()
	p, server, clock := newDriven(0.2, 10)
	drive(p, server, clock, 14)
	*clock = clock.Add(2 * time.Minute)
	require.Less(t, drive(p, server, clock, 8), 2*time.Second)
}

func TestALimitThatWasLiftedIsForgotten(t *testing.T) {
	t.Parallel()
	p, server, clock := newDriven(0.2, 10)
	drive(p, server, clock, 14)
	server.perSecond, server.burst = 10000, 10000
	drive(p, server, clock, 60)
	require.False(t, p.limited())
}

func TestSilenceIsKeptForAsLongAsItIsAskedFor(t *testing.T) {
	t.Parallel()
	p, _, clock := newDriven(1, 1)
	p.taken()
	p.refused(7 * time.Second)
	require.Equal(t, 7*time.Second, p.take())
	p.refused(2 * time.Second)
	require.Equal(t, 7*time.Second, p.take(), "a shorter silence does not end a longer one")
	*clock = clock.Add(7 * time.Second)
	require.Zero(t, p.take())
	require.Positive(t, p.take(), "one message after a silence, not all that waited")
}

func TestWithoutARefusalNothingIsSpaced(t *testing.T) {
	t.Parallel()
	p, server, clock := newDriven(10000, 10000)
	require.Less(t, drive(p, server, clock, 500), 6*time.Second)
	require.False(t, p.limited())
}

func TestWhatWasLearnedOfTheLimitsIsTakenUpAfterARestart(t *testing.T) {
	t.Parallel()
	p, server, clock := newDriven(0.2, 10)
	drive(p, server, clock, 12)
	refusals := server.refusals
	again := newPace(func() time.Time { return *clock })
	again.resume(5*time.Second, 10)
	drive(again, server, clock, 3)
	require.LessOrEqual(t, server.refusals, refusals+1, "the first message may ask, the others know")
}

func TestOneRoomIsNotFloodedAndOthersAreNotHeldUpByIt(t *testing.T) {
	t.Parallel()
	clock := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	rooms := newRoomPace(func() time.Time { return clock })
	for range roomBurst {
		require.Zero(t, rooms.take("busy"))
	}
	wait := rooms.take("busy")
	require.InDelta(t, float64(time.Second)/roomRate, float64(wait), float64(time.Millisecond))
	require.Zero(t, rooms.take("other"))
	clock = clock.Add(wait + time.Millisecond)
	require.Zero(t, rooms.take("busy"))
}
