package work

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// beat is how often a running command's progress is looked at; a claim is renewed at least every third of its TTL.
const beat = time.Second

// Why a run is stopped before the command ends by itself, unless the worker is.
var (
	errCancelled = errors.New("the dispatch was cancelled")
	errClaimLost = errors.New("the claim was lost")
)

// errUnable says that this worker can run nothing at all.
var errUnable = errors.New("this worker cannot run anything")

// run runs the command on one claim and reports how it ended, also when the worker itself is being stopped.
func (w *Worker) run(ctx context.Context, claim register.Claim) error {
	dispatch := claim.Dispatch
	log := zerolog.Ctx(ctx).With().Str("dispatch", dispatch.ID).Int("attempt", dispatch.Attempt).Logger()
	ctx = log.WithContext(ctx)
	place, err := w.newFolder(claim)
	if err != nil {
		end := ending{err: err}
		unmetered := Report{Unmetered: "the command was never started"}
		return errors.Join(fmt.Errorf("%w: %w", errUnable, err), w.complete(ctx, claim, reported(unmetered, end, "", "")))
	}
	log.Info().Str("model", dispatch.Model).Str("folder", string(place)).Msg("running")
	end, printed := w.watched(ctx, claim, place)
	if end.err != nil {
		log.Info().Err(end.err).AnErr("stopped", end.stopped).Msg("command failed")
	}
	return w.complete(ctx, claim, reported(readReport(place.result()), end, printed, place))
}

// watched runs the command with heartbeats; printed is the end of its output.
func (w *Worker) watched(ctx context.Context, claim register.Claim, place folder) (end ending, printed string) {
	var log io.Writer
	if file, err := os.OpenFile(place.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err == nil {
		defer file.Close()
		log = file
	}
	out := newOutput(log)
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// The claim is kept until the command has ended, also while it is being stopped.
	alive, ended := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer ended()
		end = w.carryOut(running, claim, place, out)
	}()
	w.watch(alive, stop, claim, out)
	return end, out.end()
}

// watch sends heartbeats until alive ends, and stops the command when the register says so.
func (w *Worker) watch(alive context.Context, stop context.CancelCauseFunc, claim register.Claim, out *output) {
	ticks := time.NewTicker(beat)
	defer ticks.Stop()
	told, heard, unheard := "", time.Time{}, false
	for {
		select {
		case <-alive.Done():
			return
		case now := <-ticks.C:
			line := out.progress()
			if line == told && now.Sub(heard) < w.TTL/3 {
				continue
			}
			answer, err := w.heartbeat(alive, claim, line)
			switch {
			case alive.Err() != nil:
				return
			case err != nil && !register.Retryable(err):
				stop(fmt.Errorf("%w: %w", errClaimLost, err))
			case err != nil && !unheard:
				zerolog.Ctx(alive).Warn().Err(err).Msg("heartbeat was not answered; the command goes on")
			case err == nil && answer.Cancelled:
				stop(errCancelled)
			}
			if unheard = err != nil; err == nil {
				told, heard = line, now
			}
		}
	}
}

func (w *Worker) heartbeat(ctx context.Context, claim register.Claim, line string) (register.Heartbeat, error) {
	var answer register.Heartbeat
	err := w.send(ctx, uuid.NewString(), register.HeartbeatDispatch(claim.Dispatch.ID, register.HeartbeatRequest{
		Claim: claim.ID, Progress: line, TTLSeconds: int(w.TTL.Seconds()),
	}), &answer)
	return answer, err
}

// complete tells the register how a run ended, until it is answered; a worker that is being stopped gives up after the grace
// period. A report the gateway does not take is replaced by one that says so.
func (w *Worker) complete(ctx context.Context, claim register.Claim, report Report) error {
	log := zerolog.Ctx(ctx)
	ctx, cancel := lingering(ctx, w.Grace)
	defer cancel()
	err := w.insist(ctx, "complete-"+claim.ID, completion(claim, report), nil, 0)
	if err != nil && !register.Retryable(err) && !movedOn(err) && ctx.Err() == nil {
		log.Warn().Err(err).Msg("the gateway did not take the report; reporting without it")
		plain := Report{
			Outcome: report.Outcome, Unmetered: clip("the gateway did not take the run's report: "+err.Error(), unmeteredLimit),
			Result: register.Result{Summary: "The run's report was not taken; it lies in the run's folder.", Reference: report.Result.Reference},
		}
		err = w.insist(ctx, "complete-plainly-"+claim.ID, completion(claim, plain), nil, 0)
	}
	switch {
	case movedOn(err):
		log.Warn().Err(err).Interface("actuals", report.Actuals).Msg("the register has moved on; the run is not counted")
		return nil
	case err != nil:
		return fmt.Errorf("reporting %s: %w", claim.Dispatch.ID, err)
	}
	log.Info().Str("outcome", string(report.Outcome)).Msg("reported")
	return nil
}

func completion(claim register.Claim, report Report) register.Mutation {
	return register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{
		Claim: claim.ID, Outcome: report.Outcome, Actuals: report.Actuals, Unmetered: report.Unmetered, Result: report.Result,
	})
}

func movedOn(err error) bool {
	code := register.CodeOf(err)
	return code == register.ProblemCodeClaimLost || code == register.ProblemCodeNotFound
}

// lingering outlasts ctx by a while: what has happened must still be told.
func lingering(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(by, cancel) })
	return longer, func() { stop(); cancel() }
}
