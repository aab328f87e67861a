package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// FailureBudget is a run that was stopped because its reservation was used up and not extended.
const FailureBudget = "budget"

// Completion is how a run ended.
type Completion struct {
	Claim     string
	Outcome   string // StateDone or StateFailed
	Failure   string // FailureBudget, for a failed run that was stopped at its reservation
	Actuals   []Amount
	Unmetered string // why there is no actual; the estimate is then committed
	Result    json.RawMessage
	Output    string // the whole result, at most OutputLimit bytes, if Result holds only its end
}

// CompleteDispatch ends a run: its holds become ledger entries. A run that was cancelled meanwhile still books what it spent.
func (s *Store) CompleteDispatch(ctx context.Context, m Mutation, id DispatchID, completion Completion) (Dispatch, error) {
	return once(ctx, s, m, func(t *transaction) (Dispatch, error) {
		if len(completion.Actuals) == 0 && completion.Unmetered == "" {
			return Dispatch{}, &Error{
				Code: CodeActualMissing, Field: "actuals",
				Detail:   "A run cannot be completed without what it spent.",
				Example:  `{"actuals": [{"unit": "credits", "micros": 4000000}]}`,
				NextStep: "Report actuals, or say in unmetered why there are none.",
			}
		}
		b, err := t.openBook(ctx)
		if err != nil {
			return Dispatch{}, err
		}
		row, err := t.lockDispatch(ctx, id)
		if err != nil {
			return Dispatch{}, err
		}
		if row.Claim == "" || row.Claim != completion.Claim {
			return Dispatch{}, claimLost(&row)
		}
		switch row.State {
		case StateRunning:
			return t.complete(ctx, b, &row, completion)
		case StateCancelled:
			return t.completeLate(ctx, b, &row, completion)
		}
		return Dispatch{}, claimLost(&row)
	})
}

func (t *transaction) complete(ctx context.Context, b *book, row *query.Dispatch, completion Completion) (Dispatch, error) {
	t.change.Replan = true
	spent, kind, err := completion.spent(row)
	if err != nil {
		return Dispatch{}, err
	}
	if err := t.settle(ctx, b, row, spent, kind, true); err != nil {
		return Dispatch{}, err
	}
	row.State, row.FinishedAt = completion.Outcome, &t.now
	row.Actuals, row.Unmetered, row.Result = encode(completion.Actuals), completion.Unmetered, completion.Result
	row.Reason = fmt.Sprintf("%s finished it.", row.Worker)
	if completion.Outcome == StateFailed {
		row.Reason = fmt.Sprintf("%s reported that it failed.", row.Worker)
	}
	if completion.Failure == FailureBudget {
		row.Failure = completion.Failure
		row.Reason = fmt.Sprintf("%s stopped it: what was reserved is used up, and more was refused.", row.Worker)
	}
	if err := t.keepOutput(ctx, row, completion); err != nil {
		return Dispatch{}, err
	}
	dispatch, err := t.putAndTell(ctx, row, "dispatch."+row.State)
	if err != nil {
		return Dispatch{}, err
	}
	if err := t.learn(ctx, b, row, completion); err != nil {
		return Dispatch{}, err
	}
	if err := t.endDependents(ctx, b, row); err != nil {
		return Dispatch{}, err
	}
	if err := t.offer(ctx, b, row.Worker); err != nil {
		return Dispatch{}, err
	}
	return dispatch, t.closeBook(ctx, b)
}

// spent is what a run says it spent and, in the units it leaves out, what it was metered to.
func (c Completion) spent(row *query.Dispatch) ([]Amount, string, error) {
	metered, err := meteredOf(row)
	if err != nil {
		return nil, "", err
	}
	spent, kind := slices.Clone(c.Actuals), kindActual
	if len(spent) == 0 {
		kind = kindMetered
	}
	for _, amount := range metered {
		if _, said := amountIn(spent, amount.Unit); !said {
			spent = append(spent, amount)
		}
	}
	return spent, kind, nil
}

// completeLate books what a cancelled run spent beyond what its heartbeats had reported.
func (t *transaction) completeLate(ctx context.Context, b *book, row *query.Dispatch, completion Completion) (Dispatch, error) {
	t.change.Replan = true
	metered, err := meteredOf(row)
	if err != nil {
		return Dispatch{}, err
	}
	var rest []Amount
	for _, actual := range completion.Actuals {
		before, _ := amountIn(metered, actual.Unit)
		rest = append(rest, Amount{actual.Unit, max(0, actual.Micros-before)})
	}
	if err := t.commitUnheld(ctx, b, row, rest, kindActual, nil); err != nil {
		return Dispatch{}, err
	}
	row.Actuals, row.Unmetered, row.Result, row.Claim = encode(completion.Actuals), completion.Unmetered, completion.Result, ""
	if err := t.keepOutput(ctx, row, completion); err != nil {
		return Dispatch{}, err
	}
	dispatch, err := t.putAndTell(ctx, row, "dispatch.cancelled")
	if err != nil {
		return Dispatch{}, err
	}
	if err := t.offer(ctx, b, row.Worker); err != nil {
		return Dispatch{}, err
	}
	return dispatch, t.closeBook(ctx, b)
}
