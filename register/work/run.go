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

const (
	// beat is how often a running command's progress and spend are looked at.
	beat = time.Second
	// pulse is how often the register hears of a run that has no news, and the run whether it was cancelled: at least every third of its TTL.
	pulse = 10 * time.Second
)

// Why a run is stopped before the command ends by itself, unless the worker is.
var (
	errCancelled = errors.New("the dispatch was cancelled")
	errClaimLost = errors.New("the claim was lost")
	errTTLEnded  = errors.New("no heartbeat was answered within the claim's TTL, so it counts as lost")
	errBudget    = errors.New("what was reserved is used up, and more was refused")
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
		return errors.Join(fmt.Errorf("%w: %w", errUnable, err), w.complete(ctx, claim, reported(unmetered, end, said{}, "")))
	}
	reserved := newReservation(w, claim, place)
	if err := reserved.write(); err != nil {
		log.Warn().Err(err).Msg("the command cannot read what is reserved")
	}
	noted := noteOf(claim)
	if err := noted.write(place); err != nil {
		log.Warn().Err(err).Msg("collectors cannot tell this run's use from other use")
	}
	log.Info().Str("model", dispatch.Model).Str("folder", string(place)).Msg("running")
	end, printed := w.watched(ctx, claim, place, reserved, noted)
	noted.Ended = time.Now().UTC()
	if err := noted.write(place); err != nil {
		log.Warn().Err(err).Msg("collectors cannot tell when this run ended")
	}
	if end.err != nil {
		log.Info().Err(end.err).AnErr("stopped", end.stopped).Msg("command failed")
	}
	written := readReport(place.result())
	if len(written.Actuals) == 0 {
		written.Actuals = reserved.spent() // what was metered is spent, whatever became of the file
	}
	report := reported(written, end, printed, place)
	if errors.Is(end.stopped, errTTLEnded) {
		return w.letGo(ctx, claim, report)
	}
	return w.complete(ctx, claim, report)
}

// watched runs the command with heartbeats; printed is its output.
func (w *Worker) watched(ctx context.Context, claim register.Claim, place folder, reserved *reservation, noted note) (end ending, printed said) {
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
		end = w.carryOut(running, claim, place, noted, out)
	}()
	watch := watch{Worker: w, claim: claim, place: place, out: out, reserved: reserved, stop: stop}
	watch.run(alive)
	return end, out.said()
}

// letGo leaves a run whose claim counts as lost to the register, which puts the dispatch through the gate again; if it can still be
// told what the run spent, the claim then ends by itself.
func (w *Worker) letGo(ctx context.Context, claim register.Claim, report Report) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.Grace)
	defer cancel()
	err := w.insist(ctx, uuid.NewString(), register.HeartbeatDispatch(claim.Dispatch.ID, register.HeartbeatRequest{
		Claim: claim.ID, Metered: report.Actuals, Progress: "stopped: " + errTTLEnded.Error(), TTLSeconds: int(shortestTTL.Seconds()),
	}), nil, 0)
	zerolog.Ctx(ctx).Warn().AnErr("last_word", err).Interface("actuals", report.Actuals).Msg("the claim's TTL ended; the register decides what becomes of the dispatch")
	return nil
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
			Outcome: report.Outcome, failure: report.failure, Unmetered: clip("the gateway did not take the run's report: "+err.Error(), unmeteredLimit),
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
		Claim: claim.ID, Outcome: report.Outcome, Failure: report.failure, Actuals: report.Actuals, Unmetered: report.Unmetered, Result: report.Result, Output: report.output,
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
