package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// Report is what a command may write to the file named by MOSAIC_RESULT_FILE. Without it the exit code decides the
// outcome and the run counts as unmetered.
type Report struct {
	Outcome   register.CompleteRequestOutcome `json:"outcome"`
	Actuals   []register.Amount               `json:"actuals"`
	Unmetered string                          `json:"unmetered"`
	Result    register.Result                 `json:"result"`
}

// beat is how often a running command's progress is looked at; a claim is renewed at least every third of its TTL.
const beat = time.Second

// run runs the command on one claim and reports how it ended, also when the worker itself is being stopped.
func (w *Worker) run(ctx context.Context, claim register.Claim) error {
	dispatch := claim.Dispatch
	log := zerolog.Ctx(ctx).With().Str("dispatch", dispatch.ID).Int("attempt", dispatch.Attempt).Logger()
	folder, err := w.folder(dispatch)
	if err != nil {
		return err
	}
	log.Info().Str("model", dispatch.Model).Str("folder", folder).Msg("running")

	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	output := &tail{keep: 4096}
	finished := make(chan error, 1)
	command := w.command(running, claim, folder, output)
	go func() {
		finished <- spawn(command, func(err error) {
			if err != nil {
				log.Error().Err(err).Str("command", w.Command[0]).Msg("command did not start")
			}
		})
	}()

	exit := w.watch(running, stop, claim, output, finished)
	if cause := context.Cause(running); errors.Is(cause, errClaimLost) || errors.Is(cause, errCancelled) {
		log.Warn().Err(cause).Msg("run stopped; nothing is reported, the register has moved on")
		return nil
	}
	report := w.report(folder, exit, output)
	request := register.CompleteRequest{
		Claim: claim.ID, Outcome: report.Outcome, Actuals: report.Actuals, Unmetered: report.Unmetered, Result: report.Result,
	}
	reporting, end := context.WithTimeout(context.WithoutCancel(ctx), w.TTL)
	defer end()
	if err := w.insist(reporting, "complete-"+claim.ID, register.CompleteDispatch(dispatch.ID, request), nil, 0); err != nil {
		return fmt.Errorf("reporting %s: %w", dispatch.ID, err)
	}
	log.Info().Str("outcome", string(report.Outcome)).Msg("reported")
	return nil
}

var (
	errCancelled = errors.New("the dispatch was cancelled")
	errClaimLost = errors.New("the claim was lost")
)

// watch sends heartbeats until the command ends, and stops it when the register says so.
func (w *Worker) watch(ctx context.Context, stop context.CancelCauseFunc, claim register.Claim, output *tail, finished <-chan error) error {
	ticks := time.NewTicker(beat)
	defer ticks.Stop()
	told, last := "", time.Now()
	for {
		select {
		case exit := <-finished:
			return exit
		case now := <-ticks.C:
			line := output.lastLine()
			if line == told && now.Sub(last) < w.TTL/3 {
				continue
			}
			alive, err := w.heartbeat(ctx, claim, line)
			switch {
			case err == nil && alive.Cancelled:
				stop(errCancelled)
			case err != nil && !register.Retryable(err) && ctx.Err() == nil:
				stop(errClaimLost)
			case err == nil:
				told, last = line, now
			}
		}
	}
}

func (w *Worker) heartbeat(ctx context.Context, claim register.Claim, line string) (register.Heartbeat, error) {
	var alive register.Heartbeat
	err := w.insist(ctx, uuid.NewString(), register.HeartbeatDispatch(claim.Dispatch.ID, register.HeartbeatRequest{
		Claim: claim.ID, Progress: line, TTLSeconds: int(w.TTL.Seconds()),
	}), &alive, 1)
	return alive, err
}

// folder makes the run's own folder with the brief in it. It is kept: it is the evidence of the run.
func (w *Worker) folder(dispatch register.Dispatch) (string, error) {
	folder, err := filepath.Abs(filepath.Join(w.Directory, fmt.Sprintf("%s-%d", dispatch.ID, dispatch.Attempt)))
	if err != nil {
		return "", fmt.Errorf("naming the run's folder: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("making the run's folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "brief.md"), []byte(dispatch.Brief), 0o600); err != nil {
		return "", fmt.Errorf("writing the brief: %w", err)
	}
	return folder, nil
}

// command builds the child: in its own process group, so that what it starts stops with it.
func (w *Worker) command(ctx context.Context, claim register.Claim, folder string, output *tail) *exec.Cmd {
	dispatch := claim.Dispatch
	command := exec.CommandContext(ctx, w.Command[0], w.Command[1:]...)
	reserved, _ := json.Marshal(dispatch.Holds)
	command.Env = append(os.Environ(),
		"MOSAIC_AGENT_MODEL="+dispatch.Model,
		"MOSAIC_AGENT_ROLE="+dispatch.Role,
		"MOSAIC_AGENT_NAME="+w.Worker,
		"MOSAIC_SUBSCRIPTION="+dispatch.Subscription,
		"MOSAIC_RUN_ID="+claim.ID,
		"MOSAIC_DISPATCH="+dispatch.ID,
		"MOSAIC_RESERVED="+string(reserved),
		"MOSAIC_BRIEF_FILE="+filepath.Join(folder, "brief.md"),
		"MOSAIC_RESULT_FILE="+filepath.Join(folder, "result.json"),
		"MOSAIC_RUN_DIRECTORY="+folder,
	)
	// The token is the worker's, not the agent's.
	command.Env = without(command.Env, "MOSAIC_GATEWAY_TOKEN")
	command.Stdin = strings.NewReader(dispatch.Brief)
	command.Stdout, command.Stderr = output, output
	command.Cancel = func() error { return terminate(command) }
	command.WaitDelay = w.Grace
	return command
}

func without(environment []string, name string) []string {
	kept := environment[:0]
	for _, entry := range environment {
		if !strings.HasPrefix(entry, name+"=") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// report reads the child's result file, or makes do with its exit code.
func (w *Worker) report(folder string, exit error, output *tail) Report {
	_ = os.WriteFile(filepath.Join(folder, "output.log"), output.bytes(), 0o600)
	var report Report
	raw, err := os.ReadFile(filepath.Join(folder, "result.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		report.Unmetered = "the command wrote no result file, so its spend is unknown"
	case err != nil:
		report.Unmetered = "the command's result file could not be read: " + err.Error()
	default:
		if err := json.Unmarshal(raw, &report); err != nil {
			report = Report{Unmetered: "the command's result file is not the JSON that was expected: " + err.Error()}
		}
	}
	if report.Unmetered == "" && len(report.Actuals) == 0 {
		report.Unmetered = "the command reported no spend"
	}
	if len(report.Actuals) > 0 {
		report.Unmetered = ""
	}
	if exit != nil || !report.Outcome.Valid() {
		report.Outcome = register.CompleteRequestOutcomeDone
		if exit != nil {
			report.Outcome = register.CompleteRequestOutcomeFailed
		}
	}
	if report.Result.Summary == "" {
		report.Result.Summary = output.lastLines(10)
	}
	if exit != nil {
		report.Result.Summary = strings.TrimSpace(exit.Error() + "\n" + report.Result.Summary)
	}
	if report.Result.Reference == "" {
		report.Result.Reference = folder
	}
	return report
}
