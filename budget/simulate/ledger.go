package simulate

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// entry is one dispatch of the ledger, as GET /api/fleet/dispatches shows it.
type entry struct {
	ID             string    `json:"id"`
	Role           string    `json:"role"`
	Kind           string    `json:"brief_class"`
	ModelRequested string    `json:"model_requested"`
	Model          string    `json:"model"`
	Exact          bool      `json:"exact"`
	Priority       int       `json:"priority"`
	Estimate       []amount  `json:"estimate"`
	Actuals        []amount  `json:"actuals"`
	Created        time.Time `json:"created_at"`
	Started        time.Time `json:"started_at"`
	Finished       time.Time `json:"finished_at"`
	Deadline       time.Time `json:"deadline"`
}

type amount struct {
	Unit   string `json:"unit"`
	Micros int64  `json:"micros"`
}

// Ledger is the work that a real ledger tells of.
type Ledger struct {
	Jobs    []Job
	Skipped int // dispatches that say neither what they cost nor what was estimated
}

// ReadLedger reads dispatches: the JSON that GET /api/fleet/dispatches answers, or a list of them, or a CSV with a heading
// line that names at least created_at, unit and actual. A dispatch that has not finished counts with its estimate.
func ReadLedger(from io.Reader, ladder budget.Ladder) (*Ledger, error) {
	text, err := io.ReadAll(from)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	var entries []entry
	switch text = bytes.TrimSpace(text); {
	case len(text) == 0:
		return nil, fmt.Errorf("the ledger is empty, give the answer of GET /api/fleet/dispatches, or a CSV such as\n%s", exampleCSV)
	case text[0] == '{' || text[0] == '[':
		entries, err = readJSON(text)
	default:
		entries, err = readCSV(text)
	}
	if err != nil {
		return nil, err
	}
	ledger := &Ledger{}
	for i := range entries {
		job, known, err := entries[i].job(ladder)
		switch {
		case err != nil:
			return nil, fmt.Errorf("dispatch %s (number %d): %w", entries[i].ID, i+1, err)
		case !known:
			ledger.Skipped++
		default:
			ledger.Jobs = append(ledger.Jobs, job)
		}
	}
	if len(ledger.Jobs) == 0 {
		return nil, fmt.Errorf("none of the %d dispatches in the ledger says what it cost or would have cost, so there is nothing to play", len(entries))
	}
	slices.SortStableFunc(ledger.Jobs, func(a, b Job) int { return a.Arrives.Compare(b.Arrives) })
	return ledger, nil
}

const exampleCSV = "created_at,started_at,finished_at,role,model_requested,model,unit,actual\n" +
	"2026-11-23T09:00:00Z,2026-11-23T09:00:04Z,2026-11-23T09:12:40Z,coder,opus,opus,credits,4.2"

func readJSON(text []byte) ([]entry, error) {
	var answer struct {
		Dispatches []entry `json:"dispatches"`
	}
	into := any(&answer)
	if text[0] == '[' {
		into = &answer.Dispatches
	}
	if err := json.Unmarshal(text, into); err != nil {
		return nil, fmt.Errorf("the ledger is not the JSON of dispatches: %w; give the answer of GET /api/fleet/dispatches", err)
	}
	return answer.Dispatches, nil
}

func readCSV(text []byte) ([]entry, error) {
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("the ledger is not a CSV: %w; write it such as\n%s", err, exampleCSV)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[strings.ToLower(strings.TrimSpace(name))] = i
	}
	for _, needed := range []string{"created_at", "unit", "actual"} {
		if _, there := column[needed]; !there {
			return nil, fmt.Errorf("the ledger's heading has no column %s, write it such as\n%s", needed, exampleCSV)
		}
	}
	var entries []entry
	for line, row := range rows[1:] {
		cell := func(name string) string {
			if i, there := column[name]; there {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		e, err := readRow(cell)
		if err != nil {
			return nil, fmt.Errorf("line %d of the ledger: %w", line+2, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func readRow(cell func(string) string) (entry, error) {
	e := entry{
		ID: cell("id"), Role: cell("role"), Kind: cell("brief_class"), ModelRequested: cell("model_requested"), Model: cell("model"),
		Exact: strings.EqualFold(cell("exact"), "true"),
	}
	for name, into := range map[string]*time.Time{"created_at": &e.Created, "started_at": &e.Started, "finished_at": &e.Finished, "deadline": &e.Deadline} {
		if text := cell(name); text != "" {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return e, fmt.Errorf("%s %q is not an instant, write it such as 2026-11-23T09:00:00Z", name, text)
			}
			*into = at
		}
	}
	if text := cell("priority"); text != "" {
		priority, err := strconv.Atoi(text)
		if err != nil {
			return e, fmt.Errorf("priority %q is not a whole number, write it such as 5", text)
		}
		e.Priority = priority
	}
	for name, into := range map[string]*[]amount{"actual": &e.Actuals, "estimate": &e.Estimate} {
		if text := cell(name); text != "" {
			micros, err := budget.ParseAmount(text)
			if err != nil {
				return e, fmt.Errorf("%s: %w", name, err)
			}
			*into = []amount{{Unit: cell("unit"), Micros: micros}}
		}
	}
	return e, nil
}

// unknownLength is how long a dispatch is taken to last that has not finished.
const unknownLength = 10 * time.Minute

// job is the dispatch as work that comes again: what it cost on the model it ran on, as it would have on the requested one.
func (e *entry) job(ladder budget.Ladder) (job Job, known bool, err error) {
	tiers, err := ladder.From(e.ModelRequested)
	if err != nil {
		return job, false, err
	}
	if e.Created.IsZero() {
		return job, false, fmt.Errorf("it does not say when it was created, such as 2026-11-23T09:00:00Z")
	}
	job = Job{
		Arrives: e.Created.UTC(), Role: e.Role, Kind: e.Kind, Model: e.ModelRequested, Exact: e.Exact, Priority: e.Priority, Lasts: unknownLength,
	}
	costs, ran := e.Actuals, tiers[0]
	if len(costs) == 0 {
		costs = e.Estimate
	} else if e.Model != "" {
		below, err := ladder.From(e.Model)
		if err != nil {
			return job, false, err
		}
		ran = below[0]
	}
	for _, cost := range costs {
		job.Costs = append(job.Costs, budget.Amount{Unit: cost.Unit, Micros: onTier(cost.Micros, tiers[0], ran)})
	}
	for _, estimate := range e.Estimate {
		job.Given = append(job.Given, budget.Estimate{Model: tiers[0].Model, Unit: estimate.Unit, Mean: estimate.Micros, Upper: estimate.Micros})
	}
	if e.Finished.After(e.Started) && !e.Started.IsZero() {
		job.Lasts = e.Finished.Sub(e.Started)
	}
	if e.Deadline.After(e.Created) {
		job.Patience = e.Deadline.Sub(e.Created)
	}
	return job, len(costs) > 0, nil
}

// Replay is the plan of a ledger on a fleet, from its windows' beginning until a window after its last job.
func (l *Ledger) Replay(fleet budget.Fleet) *Plan {
	plan := &Plan{Fleet: fleet, Jobs: l.Jobs, Begin: l.Jobs[0].Arrives}
	longest := time.Duration(0)
	for window := range Windows(&fleet) {
		plan.Begin = earlier(plan.Begin, window.Since)
		longest = max(longest, window.Reset.Sub(window.Since))
	}
	plan.End = l.Jobs[len(l.Jobs)-1].Arrives.Add(longest)
	return plan
}
