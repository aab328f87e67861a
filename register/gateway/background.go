package gateway

import (
	"context"
	"time"

	"github.com/rs/zerolog"
)

const (
	// numberEvery is how late events of another gateway may reach readers of this one.
	numberEvery = 200 * time.Millisecond
	// sealEvery is how long entries may wait for their seal.
	sealEvery  = 500 * time.Millisecond
	sweepEvery = time.Second
	// wakeAtLeast judges waiting work anew even if the gateway that changed something died before it could.
	wakeAtLeast = 10 * time.Second
	// wakeAtMost bounds how often time alone wakes.
	wakeAtMost = 50 * time.Millisecond
)

// number numbers committed events and tells the streams, at once after a local commit. What another gateway committed may have
// moved the next wake-up, so that one that dies before its timer delays nobody.
func (g *Gateway) number(ctx context.Context) error {
	tick := time.NewTicker(numberEvery)
	defer tick.Stop()
	for ours := true; ; {
		before, _ := g.stream.position()
		last, err := g.store.NumberEvents(ctx)
		if err == nil {
			g.stream.advance(last)
		} else {
			complain(ctx, err, "Numbering events failed; trying again")
		}
		if last > before && !ours {
			poke(g.schedule)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			ours = false
		case <-g.changed:
			ours = true
		}
	}
}

// seal seals what was numbered, behind the writes. It looks only when the log has grown, which every gateway learns of.
func (g *Gateway) seal(ctx context.Context) error {
	tick := time.NewTicker(sealEvery)
	defer tick.Stop()
	for sealed := int64(0); ; {
		if last, _ := g.stream.position(); last > sealed {
			var err error
			if sealed, err = g.store.Seal(ctx); err != nil {
				complain(ctx, err, "Sealing the audit failed; trying again")
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
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
	return min(wakeAtLeast, max(wakeAtMost, next.Sub(g.options.Now())))
}

// sweep ends lost claims and due proposals, and finds silent agents and unclaimed work.
func (g *Gateway) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := g.store.Sweep(ctx); err != nil {
			complain(ctx, err, "The sweep failed; trying again")
		} else {
			g.swept.Store(g.options.Now().UnixNano())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// choresAgain is when the periodic work is started again if it could not start.
const choresAgain = 5 * time.Second

// chores does the periodic work that one gateway does for all.
func (g *Gateway) chores(ctx context.Context) error {
	for {
		err := g.store.DoChores(ctx, g.options.Log)
		if ctx.Err() != nil {
			return nil
		}
		complain(ctx, err, "The periodic work could not start; trying again")
		select {
		case <-ctx.Done():
		case <-time.After(choresAgain):
		}
	}
}

func complain(ctx context.Context, err error, message string) {
	if ctx.Err() == nil {
		zerolog.Ctx(ctx).Error().Err(err).Msg(message)
	}
}
