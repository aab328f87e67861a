package work

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// watch looks after a running command: it streams progress and spend as heartbeats, asks for more before the reservation is used up,
// and stops the command when the register says so, the claim's TTL ends, or what is reserved is used up and more was refused.
type watch struct {
	*Worker
	claim    register.Claim
	place    folder
	out      *output
	reserved *reservation
	stop     context.CancelCauseFunc

	told      string            // the line of progress that was heard last
	metered   []register.Amount // and the spend
	beaten    time.Time         // when they were
	heard     time.Time         // when the register last answered, the claim itself at first
	unheard   bool
	unmetered bool // the meter could not be used last time
	stopping  bool // what was reserved is used up
}

func (w *watch) run(alive context.Context) {
	ticks := time.NewTicker(beat)
	defer ticks.Stop()
	w.heard = time.Now()
	for {
		select {
		case <-alive.Done():
			return
		case <-ticks.C:
			ended := w.meter(alive)
			w.report(alive)
			if alive.Err() == nil && !ended && !w.stopping {
				w.keepUp(alive)
			}
		}
	}
}

// meter reads what the command says it has spent; true says that it has also said how it ended.
func (w *watch) meter(ctx context.Context) (ended bool) {
	spent, ended, err := readMeter(w.place.result())
	if err != nil && !w.unmetered {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("the command's spend so far cannot be used; the command goes on")
	}
	w.unmetered = err != nil
	w.reserved.note(spent)
	return ended
}

// report sends a heartbeat if there is something to tell or the claim needs one.
func (w *watch) report(alive context.Context) {
	line, spent := w.out.progress(), w.reserved.spent()
	if line == w.told && slices.Equal(spent, w.metered) && time.Since(w.beaten) < min(pulse, w.TTL/3) {
		return
	}
	asked := time.Now()
	answer, err := w.heartbeat(alive, line, spent)
	switch {
	case alive.Err() != nil:
		return
	case err != nil && !register.Retryable(err):
		w.stop(fmt.Errorf("%w: %w", errClaimLost, err))
	case err != nil && time.Since(w.heard) >= w.TTL:
		w.stop(errTTLEnded)
	case err != nil && !w.unheard:
		zerolog.Ctx(alive).Warn().Err(err).Msg("heartbeat was not answered; the command goes on")
	case err == nil && answer.Cancelled:
		w.stop(errCancelled)
	}
	if w.unheard = err != nil; err == nil {
		w.told, w.metered, w.beaten, w.heard = line, spent, asked, asked
	}
}

func (w *watch) heartbeat(ctx context.Context, line string, spent []register.Amount) (register.Heartbeat, error) {
	var answer register.Heartbeat
	err := w.send(ctx, uuid.NewString(), register.HeartbeatDispatch(w.claim.Dispatch.ID, register.HeartbeatRequest{
		Claim: w.claim.ID, Metered: spent, Progress: line, TTLSeconds: int(w.TTL.Seconds()),
	}), &answer)
	return answer, err
}

func (w *watch) keepUp(alive context.Context) {
	unit, why := w.reserved.keepUp(alive)
	if unit == "" {
		return
	}
	zerolog.Ctx(alive).Warn().Err(why).Str("unit", string(unit)).Msg("the reservation is used up; stopping the command")
	w.stopping = true
	w.stop(fmt.Errorf("%w: %w", errBudget, why))
}
