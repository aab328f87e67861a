package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

const (
	// runsLooked is how many earlier runs an expectation is worked out of, at most.
	runsLooked = 50
	// defaultTakes is expected of a run nothing is known of: the default life of a claim.
	defaultTakes = 900 * time.Second
)

// Where an expectation comes from.
const (
	takesGiven   = "given"
	takesRuns    = "runs"
	takesDefault = "default"
)

// Expected is how long a run is expected to take, and how that was worked out.
type Expected struct {
	Seconds int64  `json:"seconds"`
	From    string `json:"from"`
	Runs    int    `json:"runs,omitempty"` // how many earlier runs it was worked out of
}

func (e Expected) duration() time.Duration { return time.Duration(e.Seconds) * time.Second }

// latestStart works out the deadline of a dispatch that has to be over by an instant.
func (t *transaction) latestStart(ctx context.Context, row *query.Dispatch, ask Ask) error {
	if ask.FinishBy.IsZero() {
		return nil
	}
	expected, err := t.expect(ctx, row, ask.Takes)
	if err != nil {
		return err
	}
	finish := ask.FinishBy.UTC().Truncate(time.Microsecond)
	row.FinishBy, row.Expected = &finish, encode(expected)
	row.Deadline = pointer(finish.Add(-expected.duration()))
	return nil
}

// expect is how long a run takes: as given, or by the earlier runs of its role and model that were done at their first
// attempt. Those that failed or were cancelled say nothing of it.
func (t *transaction) expect(ctx context.Context, row *query.Dispatch, given time.Duration) (Expected, error) {
	if given > 0 {
		return Expected{Seconds: wholeSeconds(given), From: takesGiven}, nil
	}
	allowed, err := t.Ladder.From(row.ModelRequested)
	if err := refuseInput(err, &budget.Decision{}); err != nil {
		return Expected{}, err
	}
	seconds, err := t.LastRuns(ctx, query.LastRunsParams{TenantID: t.Tenant, Role: row.Role, Model: allowed[0].Model, Most: runsLooked})
	if err != nil {
		return Expected{}, fmt.Errorf("reading how long runs of %s took: %w", row.Role, err)
	}
	runs := make([]time.Duration, len(seconds))
	for i, took := range seconds {
		runs[i] = time.Duration(took * float64(time.Second))
	}
	if long, known := budget.LongRun(runs); known {
		return Expected{Seconds: wholeSeconds(long), From: takesRuns, Runs: len(runs)}, nil
	}
	return Expected{Seconds: int64(defaultTakes / time.Second), From: takesDefault, Runs: len(runs)}, nil
}

func wholeSeconds(d time.Duration) int64 { return max(1, int64(math.Ceil(d.Seconds()))) }

// tooLateToFinish adds to the refusal of a dispatch that cannot be over in time how its latest start was worked out.
func tooLateToFinish(row *query.Dispatch, decision *budget.Decision, reason string) string {
	if row.FinishBy == nil || row.Attempt > 0 || decision.Outcome != budget.Refuse || !decision.Late() {
		return reason
	}
	var expected Expected
	if err := json.Unmarshal(row.Expected, &expected); err != nil {
		return reason
	}
	how := "as was given"
	switch expected.From {
	case takesRuns:
		how = fmt.Sprintf("as 9 in 10 of the last %d runs for %s on %s did", expected.Runs, row.Role, row.ModelRequested)
	case takesDefault:
		how = "since too few earlier runs are known"
	}
	return fmt.Sprintf("%s It has to be over by %s and is expected to take %s, %s.", reason,
		row.FinishBy.UTC().Format("2006-01-02 15:04:05 UTC"), expected.duration(), how)
}
