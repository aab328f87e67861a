package commands

import (
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// estimates reads one amount a unit; only a single one may come without its unit.
func (r *reader) estimates(where string, typed []string) []register.EstimateAmount {
	var out []register.EstimateAmount
	seen := map[register.Unit]bool{}
	for _, one := range typed {
		estimate, err := parseEstimate(one)
		r.under(where, err)
		switch {
		case err == nil && estimate.Unit == "" && len(typed) > 1:
			r.refuse(problemf("%s: of several, each needs its unit, and %s has none; such as %s 40ktokens %s 2percent.", where, read(one), where, where))
		case seen[estimate.Unit]:
			r.refuse(problemf("%s: %s is given twice.", where, estimate.Unit))
		}
		seen[estimate.Unit] = true
		out = append(out, estimate)
	}
	return out
}

// context reads a number of tokens, which may say so; 0 if none was typed.
func (r *reader) context(where, typed string) int64 {
	if typed == "" {
		return 0
	}
	number, unit, ok := splitUnit(typed)
	micros, err := budget.ParseAmount(number)
	if !ok || err != nil || unit != "" && unit != register.UnitTokens || micros%budget.Micro != 0 || micros < budget.Micro || micros > 1_000_000_000*budget.Micro {
		r.refuse(problemf("%s: %s is not a number of tokens from 1 to 1000M, such as 150k.", where, read(typed)))
		return 0
	}
	return micros / budget.Micro
}

// longest is the longest a run may be said to take.
const longest = 30 * 24 * time.Hour

// parseDuration reads how long something takes: 30m, 1h30m, 90 min.
func parseDuration(text string) (time.Duration, error) {
	typed := "+" + strings.TrimPrefix(strings.Join(strings.Fields(strings.ToLower(text)), " "), "+")
	if parts := relativeTime.FindStringSubmatch(typed); parts != nil {
		if took := relative(parts[1], time.Time{}).Sub(time.Time{}); took > 0 && took <= longest {
			return took, nil
		}
	}
	return 0, fmt.Errorf("%s is not how long something takes, from 1m to 30d, such as 30m or 1h30m", read(text))
}

// finish reads when a run has to be over, and how long it takes.
func (r *reader) finish(deadline, typed, takes string) (finishBy time.Time, seconds int) {
	finishBy = r.instant("--finish-by", typed)
	switch {
	case typed != "" && deadline != "":
		r.refuse(problemf("--deadline is the latest start, and --finish-by works it out; give one of them."))
	case takes != "" && typed == "":
		r.refuse(problemf("--takes works out the latest start for --finish-by, which is missing."))
	case takes != "":
		took, err := parseDuration(takes)
		r.under("--takes", err)
		seconds = int(took / time.Second)
	}
	return finishBy, seconds
}

// latestStart says by when an open dispatch has to start and, if that was worked out, how.
func latestStart(d register.Dispatch, zone *time.Location) string {
	if d.Deadline.IsZero() || d.State != register.DispatchStateQueued && d.State != register.DispatchStateReady {
		return ""
	}
	start := "Latest start: " + ahead(d.Deadline, d.CreatedAt, zone)
	if d.FinishBy.IsZero() {
		return start
	}
	return start + ", to be over by " + ahead(d.FinishBy, d.CreatedAt, zone) + ": it should take " + length(time.Duration(d.Expected.Seconds)*time.Second) + ", " + howExpected(d)
}

func howExpected(d register.Dispatch) string {
	switch d.Expected.From {
	case register.ExpectedFromGiven:
		return "as given"
	case register.ExpectedFromRuns:
		return fmt.Sprintf("as 9 in 10 of the last %d runs for %s on %s did", d.Expected.Runs, escape(d.Role), escape(d.ModelRequested))
	}
	return "since fewer than 9 earlier runs are known"
}

// ending is the state a dispatch is in, with what it failed by if that was not its own work.
func ending(d register.Dispatch) string {
	if d.Failure != "" {
		return string(d.State) + ": " + string(d.Failure)
	}
	return string(d.State)
}
