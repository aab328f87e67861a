package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// The kinds of action.
const (
	ActionOverride = "override" // lifts pace for one refused dispatch
	ActionGrant    = "grant"    // lifts a window by an amount, for some epochs
	ActionPause    = "pause"
	ActionResume   = "resume"
	ActionDispatch = "dispatch" // asks for work
)

// Action is what a passed proposal carries out, fixed when it opens.
type Action struct {
	Kind     string          `json:"kind"`
	Dispatch DispatchID      `json:"dispatch,omitzero"`
	Reason   string          `json:"reason,omitempty"`   // of a pause
	Request  json.RawMessage `json:"request,omitempty"`  // of a dispatch, as it was asked
	Override json.RawMessage `json:"override,omitempty"` // of a grant, as it was asked

	Ask   *Ask           `json:"-"` // of a dispatch
	Grant *OverrideGrant `json:"-"` // of a grant
}

// stored is an action in the database: an ask as the register understood it.
type stored struct {
	Action
	Ask   *Ask           `json:"ask,omitempty"`
	Grant *OverrideGrant `json:"grant,omitempty"`
}

func (a *Action) stored() json.RawMessage {
	return encode(stored{Action: *a, Ask: a.Ask, Grant: a.Grant})
}

// actionOf reads a proposal's action. One of a register that had only overrides has no details.
func actionOf(row *query.Proposal) (*Action, error) {
	if row.Action == nil {
		return nil, nil
	}
	if row.Details == nil {
		return &Action{Kind: *row.Action, Dispatch: DispatchID(*row.DispatchID)}, nil
	}
	var kept stored
	if err := json.Unmarshal(row.Details, &kept); err != nil {
		return nil, fmt.Errorf("reading the linked action: %w", err)
	}
	kept.Action.Ask, kept.Action.Grant = kept.Ask, kept.Grant
	return &kept.Action, nil
}

// words is an action in plain words, and what it may spend.
type words struct {
	text    string
	spends  bool
	amounts []Amount // none although it spends: nobody knows
}

// checkAction refuses an action that cannot be carried out or that the opener may not ask for, and says in plain words what it would do.
func (t *transaction) checkAction(ctx context.Context, action *Action, opener string) (words, error) {
	if action == nil {
		return words{}, nil
	}
	if action.Kind != ActionOverride && action.Kind != ActionGrant {
		if err := t.mayAskFor(ctx, action.Kind, opener); err != nil {
			return words{}, err
		}
	}
	switch action.Kind {
	case ActionOverride:
		return t.overrideWords(ctx, action)
	case ActionGrant:
		return t.grantWords(ctx, action)
	case ActionPause:
		text := "Pause the fleet: nothing is admitted or claimed until it resumes; running work goes on."
		if action.Reason != "" {
			text += " The reason: " + stopped(action.Reason)
		}
		return words{text: text}, nil
	case ActionResume:
		return words{text: "Let the fleet resume: what waits is judged in its order."}, nil
	case ActionDispatch:
		return t.dispatchWords(ctx, action)
	}
	return words{}, &Error{
		Code: CodeInvalid, Field: "action.kind", Detail: fmt.Sprintf("%s is nothing a proposal can carry out.", action.Kind),
		Example: ActionOverride, NextStep: "Name one of override, grant, pause, resume and dispatch.",
	}
}

// mayAskFor refuses what the opener could not do alone: it is carried out in the opener's name. An override nobody can do alone.
func (t *transaction) mayAskFor(ctx context.Context, kind, opener string) error {
	row, err := t.GetIdentity(ctx, query.GetIdentityParams{TenantID: t.Tenant, Name: opener})
	if err != nil && !none(err) {
		return fmt.Errorf("looking up who opens: %w", err)
	}
	if err == nil && identityOf(row).Has("operator", "admin") {
		return nil
	}
	return &Error{
		Code: CodeForbidden, Field: "action",
		Detail:   fmt.Sprintf("%s may not ask the board for a %s; that takes the role operator or admin.", opener, kind),
		NextStep: "Let an operator or an admin propose it, or open the proposal without an action.",
	}
}

func (t *transaction) overrideWords(ctx context.Context, action *Action) (words, error) {
	row, err := t.lockDispatch(ctx, action.Dispatch)
	if err != nil {
		return words{}, err
	}
	if row.State != StateRefused {
		return words{}, &Error{
			Code: CodeNotRefused, Field: "action.dispatch",
			Detail:   fmt.Sprintf("%s is %s, not refused; there is nothing to override.", action.Dispatch, row.State),
			NextStep: "Only a refused dispatch needs an override.",
		}
	}
	out := words{spends: true}
	if err := json.Unmarshal(row.Estimate, &out.amounts); err != nil {
		return words{}, fmt.Errorf("reading the estimate of %s: %w", DispatchID(row.ID), err)
	}
	out.text = liftText(&row, out.amounts)
	return out, nil
}

// liftText says what an override does in plain words, with what the board must weigh: which work, whose and how much. The
// reason of the refusal is left out, since its numbers are old when the board reads it.
func liftText(row *query.Dispatch, estimate []Amount) string {
	return fmt.Sprintf("Lift the pace for %s, %s's refused work for %s, %s on %s: “%s”. The cap still holds.",
		DispatchID(row.ID), row.CreatedBy, row.Role, costText(estimate), row.ModelRequested, shortly(row.Brief))
}

func costText(estimate []Amount) string {
	cost := "without an estimate"
	for i, amount := range estimate {
		if i == 0 {
			cost = "estimated at "
		} else {
			cost += " and "
		}
		cost += budget.Format(amount.Micros, amount.Unit)
	}
	return cost
}

func shortly(brief string) string {
	brief = strings.Join(strings.Fields(brief), " ")
	if runes := []rune(brief); len(runes) > 100 {
		brief = string(runes[:99]) + "…"
	}
	return brief
}

// dispatchWords judges the work as if it were asked for now, so that what nobody could dispatch is refused before anyone votes.
func (t *transaction) dispatchWords(ctx context.Context, action *Action) (words, error) {
	if action.Ask == nil {
		return words{}, &Error{
			Code: CodeInvalid, Field: "action.request", Detail: "The action dispatch needs the work it asks for.",
			Example: `{"role": "coder", "brief": "Add a health check"}`, NextStep: "Give the request.",
		}
	}
	trial := *action.Ask
	trial.DryRun = true
	b, err := t.openBook(ctx)
	if err != nil {
		return words{}, err
	}
	dispatch, err := t.admitOne(ctx, b, trial)
	if err != nil {
		return words{}, err
	}
	return words{text: fmt.Sprintf("Dispatch work for %s, %s on %s: “%s”. The ladder then admits, queues or refuses it like any other.",
		dispatch.Role, costText(dispatch.Estimate), dispatch.ModelRequested, shortly(dispatch.Brief))}, nil
}

// grantWords says how much more a window is to allow, if it can be lifted so.
func (t *transaction) grantWords(ctx context.Context, action *Action) (words, error) {
	if action.Grant == nil {
		return words{}, &Error{
			Code: CodeInvalid, Field: "action.override", Detail: "The action grant needs the override it grants.",
			Example: `{"provider": "claude", "micros": 40000000}`, NextStep: "Say which window, and how much.",
		}
	}
	wanted := *action.Grant
	wanted.Subscription, wanted.Window = cmp.Or(wanted.Subscription, wanted.Provider), cmp.Or(wanted.Window, DefaultWindow)
	wanted.Lifts, wanted.Cycles = cmp.Or(wanted.Lifts, budget.LiftPace), cmp.Or(wanted.Cycles, 1)
	b, err := t.openBook(ctx)
	if err != nil {
		return words{}, err
	}
	key := windowKey(wanted.Provider, wanted.Subscription, wanted.Window)
	id := b.named(key)
	if id == 0 {
		return words{}, noWindow(wanted.Subscription, wanted.Window)
	}
	window, _ := b.window(id)
	if err := wanted.check(window, b.now); err != nil {
		return words{}, err
	}
	cycles := "the current cycle"
	if wanted.Cycles > 1 {
		cycles = fmt.Sprintf("each of %d cycles, the current one included", wanted.Cycles)
	}
	return words{
		text:   fmt.Sprintf("Lift the %s of %s by %s in %s. Work still passes the same gate.", wanted.Lifts, key, budget.Format(wanted.Micros, window.Unit), cycles),
		spends: true, amounts: []Amount{{Unit: window.Unit, Micros: inAll(wanted.Micros, int64(wanted.Cycles))}},
	}, nil
}

// inAll is an amount in each of some epochs, or the most there is.
func inAll(micros, cycles int64) int64 {
	if micros > math.MaxInt64/cycles {
		return math.MaxInt64
	}
	return micros * cycles
}

// recuse marks the seats that may not vote on an override: whoever asked for the work, and whoever would run it.
func (t *transaction) recuse(ctx context.Context, roster []Seat, action *Action) error {
	if action == nil || action.Kind != ActionOverride {
		return nil
	}
	row, err := t.GetDispatch(ctx, query.GetDispatchParams{TenantID: t.Tenant, ID: int64(action.Dispatch)})
	if err != nil {
		return fmt.Errorf("reading %s: %w", action.Dispatch, err)
	}
	why := map[string]string{}
	runners, err := t.Runners(ctx, query.RunnersParams{TenantID: t.Tenant, Role: row.Role, Now: t.now})
	if err != nil {
		return fmt.Errorf("reading who would run %s: %w", action.Dispatch, err)
	}
	for _, runner := range runners {
		why[runner] = fmt.Sprintf("%s would run %s", runner, action.Dispatch)
	}
	why[row.CreatedBy] = fmt.Sprintf("%s asked for %s", row.CreatedBy, action.Dispatch)
	for i := range roster {
		seat := &roster[i]
		seat.Recused = why[seat.Identity]
		if why[seat.Deputy] != "" {
			seat.Deputy, seat.DeputyMatrixID = "", ""
		}
	}
	return nil
}
