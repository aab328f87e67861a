package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// The states of a dispatch.
const (
	StateQueued    = "queued"
	StateReady     = "ready"
	StateRunning   = "running"
	StateDone      = "done"
	StateFailed    = "failed"
	StateCancelled = "cancelled"
	StateRefused   = "refused"
)

// States are all of them.
var States = []string{StateQueued, StateReady, StateRunning, StateDone, StateFailed, StateCancelled, StateRefused}

// Amount is a quantity in micro-units of a unit.
type Amount struct {
	Unit   string `json:"unit,omitempty"`
	Micros int64  `json:"micros"`
}

// Hold is what one window has reserved for a dispatch.
type Hold struct {
	Provider     string `json:"provider"`
	Subscription string `json:"subscription"`
	Window       string `json:"window"`
	Unit         string `json:"unit"`
	Micros       int64  `json:"micros"`
}

// RoutingAttempt is one tier on one subscription that the ladder tried.
type RoutingAttempt struct {
	Model         string    `json:"model"`
	Provider      string    `json:"provider"`
	Subscription  string    `json:"subscription"`
	Estimate      *Amount   `json:"estimate,omitempty"`
	Verdict       string    `json:"verdict"`
	Reason        string    `json:"reason"`
	Window        string    `json:"window,omitempty"` // that decided it; the numbers speak of it
	RoomMicros    *int64    `json:"room_micros,omitempty"`
	Headroom      float64   `json:"headroom,omitempty"`
	Ahead         int       `json:"ahead,omitempty"`
	AheadMicros   int64     `json:"ahead_micros,omitempty"`
	EarliestStart time.Time `json:"earliest_start,omitzero"`
}

// Dispatch is one piece of work, as the ladder decided it and as it went on.
type Dispatch struct {
	ID             DispatchID       `json:"id"`
	TenantID       string           `json:"tenant_id"`
	Host           string           `json:"host"`
	Role           string           `json:"role"`
	Brief          string           `json:"brief"`
	BriefClass     string           `json:"brief_class"`
	Project        string           `json:"project,omitempty"`
	Mission        string           `json:"mission,omitempty"`
	ModelRequested string           `json:"model_requested"`
	Exact          bool             `json:"exact"`
	Estimate       []Amount         `json:"estimate"`
	Priority       int              `json:"priority"`
	Deadline       time.Time        `json:"deadline,omitzero"`
	FinishBy       time.Time        `json:"finish_by,omitzero"`
	Expected       json.RawMessage  `json:"expected,omitempty"`
	ContextTokens  int64            `json:"context_tokens,omitempty"`
	DependsOn      []DispatchID     `json:"depends_on,omitempty"`
	RetryOf        *DispatchID      `json:"retry_of,omitempty"`
	State          string           `json:"state"`
	Reason         string           `json:"reason,omitempty"`
	PromisedStart  time.Time        `json:"promised_start,omitzero"`
	Model          string           `json:"model,omitempty"`
	Provider       string           `json:"provider,omitempty"`
	Subscription   string           `json:"subscription,omitempty"`
	Downgraded     bool             `json:"downgraded"`
	Lifted         bool             `json:"lifted"`
	Attempt        int              `json:"attempt"`
	MaxAttempts    int              `json:"max_attempts"`
	Failure        string           `json:"failure,omitempty"`
	Attempts       []RoutingAttempt `json:"attempts"`
	Holds          []Hold           `json:"holds"`
	Learned        []Expectation    `json:"learned,omitempty"`
	Metered        []Amount         `json:"metered,omitempty"`
	Actuals        []Amount         `json:"actuals"`
	Unmetered      string           `json:"unmetered,omitempty"`
	Progress       string           `json:"progress,omitempty"`
	Result         json.RawMessage  `json:"result,omitempty"`
	Worker         string           `json:"worker,omitempty"`
	Origin         json.RawMessage  `json:"origin,omitempty"`
	CreatedBy      string           `json:"created_by"`
	CreatedAt      time.Time        `json:"created_at"`
	StartedAt      time.Time        `json:"started_at,omitzero"`
	FinishedAt     time.Time        `json:"finished_at,omitzero"`
	DryRun         bool             `json:"dry_run,omitempty"`
}

// DispatchPage is dispatches, newest first.
type DispatchPage struct {
	Dispatches []Dispatch `json:"dispatches"`
	Next       string     `json:"next,omitempty"`
	Now        time.Time  `json:"now"`
}

// Dispatch reads one dispatch.
func (s *Store) Dispatch(ctx context.Context, id DispatchID) (Dispatch, error) {
	var dispatch Dispatch
	err := s.read(ctx, func(t *transaction) error {
		row, err := t.GetDispatch(ctx, query.GetDispatchParams{TenantID: t.Tenant, ID: int64(id)})
		if none(err) {
			return noDispatch(id)
		}
		if err != nil {
			return fmt.Errorf("reading the dispatch: %w", err)
		}
		dispatches, err := t.dispatches(ctx, []query.Dispatch{row})
		if err != nil {
			return err
		}
		dispatch = dispatches[0]
		return nil
	})
	return dispatch, err
}

// Dispatches reads a page of dispatches, newest first: only those in states, unless there are none, and older than before,
// unless it is 0.
func (s *Store) Dispatches(ctx context.Context, states []string, before DispatchID, page int) (DispatchPage, error) {
	var out DispatchPage
	err := s.read(ctx, func(t *transaction) error {
		out.Now = t.now
		rows, err := t.ListDispatches(ctx, query.ListDispatchesParams{
			TenantID: t.Tenant, States: append([]string{}, states...), Before: int64(before), Page: int32(page) + 1,
		})
		if err != nil {
			return fmt.Errorf("listing the dispatches: %w", err)
		}
		if len(rows) > page {
			rows = rows[:page]
			out.Next = DispatchID(rows[page-1].ID).String()
		}
		out.Dispatches, err = t.dispatches(ctx, rows)
		return err
	})
	return out, err
}

// DispatchCounts is how many dispatches there are in each state.
func (s *Store) DispatchCounts(ctx context.Context) (map[string]int64, error) {
	rows, err := query.New(s.pool).CountDispatches(ctx, s.options.Tenant)
	if err != nil {
		return nil, fmt.Errorf("counting the dispatches: %w", err)
	}
	counts := make(map[string]int64, len(rows))
	for _, row := range rows {
		counts[row.State] = row.Dispatches
	}
	return counts, nil
}

func noDispatch(id DispatchID) error {
	return notFound("dispatch "+id.String(), "List the dispatches to see their numbers.")
}

// dispatches adds to the rows what they hold.
func (t *transaction) dispatches(ctx context.Context, rows []query.Dispatch) ([]Dispatch, error) {
	holds, err := t.holdsOf(ctx, rows)
	if err != nil {
		return nil, err
	}
	out := make([]Dispatch, 0, len(rows))
	for _, row := range rows {
		dispatch, err := dispatchOf(row, holds[row.ID])
		if err != nil {
			return nil, err
		}
		out = append(out, dispatch)
	}
	return out, nil
}

// holdsOf reads what dispatches hold in one statement, since a window may roll over between two.
func (t *transaction) holdsOf(ctx context.Context, rows []query.Dispatch) (map[int64][]Hold, error) {
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	held, err := t.HeldOn(ctx, query.HeldOnParams{TenantID: t.Tenant, Dispatches: ids})
	if err != nil {
		return nil, fmt.Errorf("reading the holds: %w", err)
	}
	holds := make(map[int64][]Hold)
	for _, h := range held {
		holds[h.DispatchID] = append(holds[h.DispatchID], Hold{Provider: h.Provider, Subscription: h.Subscription, Window: h.WindowName, Unit: h.Unit, Micros: h.Micros})
	}
	return holds, nil
}

func dispatchOf(row query.Dispatch, holds []Hold) (Dispatch, error) {
	dispatch := Dispatch{
		ID: DispatchID(row.ID), TenantID: row.TenantID, Host: row.Host, Role: row.Role, Brief: row.Brief,
		BriefClass: row.BriefClass, Project: row.Project, Mission: row.Mission, ModelRequested: row.ModelRequested,
		Exact: row.Exact, Priority: int(row.Priority), Deadline: instant(row.Deadline), DependsOn: identifiers(row.DependsOn), State: row.State, Reason: row.Reason,
		PromisedStart: instant(row.PromisedStart), Model: row.Model, Provider: row.Provider, Subscription: row.Subscription,
		Downgraded: row.Downgraded, Lifted: row.Lifted, Attempt: int(row.Attempt), MaxAttempts: int(row.MaxAttempts), Holds: holds, Unmetered: row.Unmetered,
		Progress: row.Progress, Result: row.Result, Worker: row.Worker, Origin: row.Origin, CreatedBy: row.CreatedBy,
		FinishBy: instant(row.FinishBy), Expected: row.Expected, ContextTokens: row.ContextTokens, RetryOf: (*DispatchID)(row.RetryOf),
		Failure: row.Failure, CreatedAt: row.CreatedAt.UTC(), StartedAt: instant(row.StartedAt), FinishedAt: instant(row.FinishedAt),
	}
	if dispatch.Holds == nil {
		dispatch.Holds = []Hold{}
	}
	for _, part := range []struct {
		from json.RawMessage
		into any
	}{{row.Estimate, &dispatch.Estimate}, {row.Attempts, &dispatch.Attempts}, {row.Metered, &dispatch.Metered}, {row.Actuals, &dispatch.Actuals}, {row.Learned, &dispatch.Learned}} {
		if err := json.Unmarshal(part.from, part.into); err != nil {
			return Dispatch{}, fmt.Errorf("reading dispatch %s: %w", dispatch.ID, err)
		}
	}
	if len(dispatch.Metered) == 0 {
		dispatch.Metered = nil
	}
	if len(dispatch.Learned) == 0 {
		dispatch.Learned = nil
	}
	return dispatch, nil
}

// requestOf is what a dispatch asks of the ladder. Once it has run, its deadline, the latest start, is met for good.
func requestOf(row *query.Dispatch) (budget.Request, error) {
	request := budget.Request{
		Place:    placeOf(row),
		Role:     row.Role,
		Project:  row.Project,
		Mission:  row.Mission,
		Model:    row.ModelRequested,
		Exact:    row.Exact,
		Deadline: instant(row.Deadline),
	}
	if row.Attempt > 0 {
		request.Deadline = time.Time{}
	}
	var estimate []Amount
	if err := json.Unmarshal(row.Estimate, &estimate); err != nil {
		return budget.Request{}, fmt.Errorf("reading the estimate of %s: %w", DispatchID(row.ID), err)
	}
	for _, amount := range estimate {
		request.Estimates = append(request.Estimates, budget.Estimate{Unit: amount.Unit, Mean: amount.Micros})
	}
	return request, nil
}

// placeOf is where a dispatch stands in a line.
func placeOf(row *query.Dispatch) budget.Place {
	return budget.Place{ID: row.ID, Priority: int(row.Priority), Lifted: row.Lifted, Arrived: row.CreatedAt.UTC()}
}

func instant(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.UTC()
}

func pointer(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// encode writes what this package itself built, which cannot fail.
func encode(value any) json.RawMessage {
	body, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("writing %T as JSON: %v", value, err))
	}
	if string(body) == "null" {
		return json.RawMessage("[]")
	}
	return body
}
