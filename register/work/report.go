package work

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// Report is what a command may write to the file named by MOSAIC_RESULT_FILE. Without it the exit code decides the
// outcome and the run counts as unmetered.
type Report struct {
	Outcome   register.CompleteRequestOutcome `json:"outcome"`
	Actuals   []register.Amount               `json:"actuals"`
	Unmetered string                          `json:"unmetered"`
	Result    register.Result                 `json:"result"`

	failure register.CompleteRequestFailure // what it failed by, if not by its own work
	output  string                          // the whole of what it said, where the result holds only the end
}

// What the register takes, in bytes.
const (
	resultLimit    = 1 << 20 // of the file
	summaryLimit   = 4000
	referenceLimit = 2000
	unmeteredLimit = 490
	outputLimit    = 1 << 20
)

// readReport reads the command's result file. What cannot be used of it is said in Unmetered.
func readReport(path string) Report {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Report{Unmetered: "the command wrote no result file, so its spend is unknown"}
	case err == nil && !info.Mode().IsRegular():
		return Report{Unmetered: "the command's result file is not a plain file"}
	case err == nil && info.Size() > resultLimit:
		return Report{Unmetered: fmt.Sprintf("the command's result file is larger than %d bytes", resultLimit)}
	}
	raw, err := readUpTo(path, resultLimit)
	if err != nil {
		return Report{Unmetered: "the command's result file could not be read: " + err.Error()}
	}
	var report Report
	if err := json.Unmarshal(raw, &report); err != nil {
		return Report{Unmetered: "the command's result file is not the JSON that was expected: " + err.Error()}
	}
	if report.Outcome != "" && !report.Outcome.Valid() {
		return Report{Unmetered: fmt.Sprintf("the command's result file has the outcome %q, which is neither done nor failed", report.Outcome)}
	}
	return report
}

func readUpTo(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit))
}

// reported is what a run is completed with: the command's own report, or what its end tells.
func reported(report Report, end ending, printed said, place folder) Report {
	switch {
	case errors.Is(end.stopped, errBudget):
		report.Outcome, report.failure = register.CompleteRequestOutcomeFailed, register.CompleteRequestFailureBudget
	case end.err != nil:
		report.Outcome = register.CompleteRequestOutcomeFailed
	case report.Outcome == "" && end.stopped != nil:
		report.Outcome = register.CompleteRequestOutcomeFailed
	case report.Outcome == "":
		report.Outcome = register.CompleteRequestOutcomeDone
	}
	switch {
	case len(report.Actuals) > 0:
		report.Unmetered = ""
	case report.Unmetered == "":
		report.Unmetered = "the command reported no spend"
	}
	report.Unmetered = clip(legible(report.Unmetered), unmeteredLimit)
	summary := strings.TrimSpace(legible(report.Result.Summary))
	whole := summary
	if summary == "" {
		summary, whole = printed.end, printed.whole
	}
	why := clip(strings.TrimSpace(stoppedWhy(end)+" "+endedHow(end)), 1000)
	report.Result.Summary = strings.TrimSpace(why + "\n" + clipFront(summary, summaryLimit-len(why)))
	if lines := lastLines(whole, len(whole)+1); !strings.HasSuffix(report.Result.Summary, lines) {
		report.output = clipFront(whole, outputLimit)
	}
	if report.Result.Reference = clip(legible(report.Result.Reference), referenceLimit); report.Result.Reference == "" {
		report.Result.Reference = clip(legible(string(place)), referenceLimit)
	}
	report.Result.ExitCode = exitCode(end)
	return report
}

// stoppedWhy is a sentence on what stopped the command, or empty.
func stoppedWhy(end ending) string {
	switch {
	case end.stopped == nil:
		return ""
	case errors.Is(end.stopped, errCancelled), errors.Is(end.stopped, errClaimLost), errors.Is(end.stopped, errTTLEnded), errors.Is(end.stopped, errBudget):
		return "The command was stopped: " + strings.TrimSuffix(end.stopped.Error(), ".") + "."
	}
	return "The command was stopped: the worker was stopped."
}

// endedHow is a sentence on an end that was not well, or empty.
func endedHow(end ending) string {
	var exit *exec.ExitError
	switch {
	case end.err == nil:
		return ""
	case !errors.As(end.err, &exit):
		return "The command could not be started: " + legible(end.err.Error()) + "."
	case exit.Exited():
		return fmt.Sprintf("The command ended with exit code %d.", exit.ExitCode())
	}
	return "The command was ended by a " + exit.String() + "."
}

// exitCode is nil for a command that did not start or was ended by a signal.
func exitCode(end ending) *int {
	var exit *exec.ExitError
	switch {
	case end.err == nil:
		return new(0)
	case errors.As(end.err, &exit) && exit.Exited():
		return new(exit.ExitCode())
	}
	return nil
}
