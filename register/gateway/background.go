package gateway

import (
	"context"
	"time"

	"github.com/rs/zerolog"
)

const (
	// numberEvery is how late events of another gateway may reach readers of this one.
	numberEvery = 200 * time.Millisecond
	sweepEvery  = time.Second
	forgetEvery = time.Hour
	// wakeAtLeast judges waiting work anew even if the gateway that changed something died before it could.
	wakeAtLeast = 10 * time.Second
	// wakeAtMost bounds how often time alone wakes.
	wakeAtMost = 50 * time.Millisecond
)

// number numbers committed events and tells the streams, at once after a local commit.
func (g *Gateway) number(ctx context.Context) error {
	tick := time.NewTicker(numberEvery)
	defer tick.Stop()
	for {
		last, err := g.store.NumberEvents(ctx)
		if err == nil {
			g.stream.advance(last)
		} else {
			complain(ctx, err, "Numbering events failed; trying again")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-g.changed:
		}
	}
}

// wake judges waiting work at its promised start, and after changes.
func (g *Gateway) wake(ctx context.Context) error {
	for {
		if _, err := g.store.Wake(ctx); err != nil {
			complain(ctx, err, "Waking the waiting line failed; trying again")
		}
		if !g.slept(ctx) {
			return nil
		}
	}
}

// slept waits until it is time to wake; false says that the gateway stops.
func (g *Gateway) slept(ctx context.Context) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-g.replan:
			return true
		case <-time.After(g.untilWake(ctx)):
			return true
		case <-g.schedule: // look at the clock again
		}
	}
}

func (g *Gateway) untilWake(ctx context.Context) time.Duration {
	next, err := g.store.NextWake(ctx)
	if err != nil {
		complain(ctx, err, "Reading the next wake-up failed; trying again")
		return sweepEvery
	}
	if next.IsZero() {
		return wakeAtLeast
	}
	return min(wakeAtLeast, max(wakeAtMost, time.Until(next)))
}

// sweep ends lost claims and due proposals, finds silent agents and unclaimed work, and forgets old answers.
func (g *Gateway) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	forgotten := time.Time{}
	for {
		if err := g.store.Sweep(ctx); err != nil {
			complain(ctx, err, "The sweep failed; trying again")
		}
		if time.Since(forgotten) > forgetEvery {
			if err := g.store.Forget(ctx); err != nil {
				complain(ctx, err, "Forgetting old answers failed; trying again")
			}
			forgotten = time.Now()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func complain(ctx context.Context, err error, message string) {
	if ctx.Err() == nil {
		zerolog.Ctx(ctx).Error().Err(err).Msg(message)
	}
}
