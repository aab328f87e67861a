package work

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// secrets are the program's own; the command gets none of them.
var secrets = []string{
	"MOSAIC_GATEWAY_TOKEN", "MOSAIC_GATEWAY_DATABASE", "MOSAIC_BOT_DATABASE", "MOSAIC_BOT_PICKLE_KEY", "MATRIX_PASSWORD", "MATRIX_ACCESS_TOKEN",
}

// carryOut runs the command on a claim's brief until it ends or ctx does.
func (w *Worker) carryOut(ctx context.Context, claim register.Claim, place folder, noted note, printed *output) ending {
	brief, err := os.Open(place.brief())
	if err != nil {
		return ending{err: fmt.Errorf("opening the brief: %w", err)}
	}
	defer brief.Close()
	command := exec.CommandContext(ctx, w.Command[0], w.Command[1:]...)
	command.Env = slices.Concat(inherited(), w.Environment[subscription(claim.Dispatch)], w.about(claim, place), noted.about())
	command.Stdin = brief
	return runGroup(ctx, command, printed, w.Grace)
}

// inherited is the worker's environment without its secrets.
func inherited() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(secrets, name)
	})
}

// neededContext is what one session was said to need; empty if nothing was.
func neededContext(dispatch register.Dispatch) string {
	if dispatch.ContextTokens == 0 {
		return ""
	}
	return strconv.FormatInt(dispatch.ContextTokens, 10)
}

// about is what the environment tells of the run beside its claim.
func (n note) about() []string {
	return []string{"MOSAIC_ATTEMPT=" + strconv.Itoa(n.Attempt), "MOSAIC_RUN_BEGAN=" + n.Began.Format(time.RFC3339Nano)}
}

// about is what the environment tells the command about its run.
func (w *Worker) about(claim register.Claim, place folder) []string {
	dispatch := claim.Dispatch
	reserved, _ := json.Marshal(dispatch.Holds) // it has only strings and numbers
	return []string{
		"MOSAIC_DISPATCH=" + dispatch.ID,
		"MOSAIC_RUN_ID=" + claim.ID,
		"MOSAIC_AGENT_NAME=" + w.Worker,
		"MOSAIC_AGENT_ROLE=" + dispatch.Role,
		"MOSAIC_AGENT_MODEL=" + dispatch.Model,
		"MOSAIC_SUBSCRIPTION=" + subscription(dispatch),
		"MOSAIC_RESERVED=" + string(reserved),
		"MOSAIC_RESERVED_FILE=" + place.reserved(),
		"MOSAIC_CONTEXT_CAP=" + strconv.FormatInt(claim.ContextCap, 10),
		"MOSAIC_CONTEXT_TOKENS=" + neededContext(dispatch),
		"MOSAIC_BRIEF_FILE=" + place.brief(),
		"MOSAIC_RESULT_FILE=" + place.result(),
		"MOSAIC_RUN_DIRECTORY=" + string(place),
	}
}
