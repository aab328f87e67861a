package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// shareDependencies keeps what a newcomer waits for as it is until the newcomer is recorded, and refuses what can never be
// waited for: what does not exist, and what ended otherwise than done. Only earlier work exists, so there are no circles.
func (t *transaction) shareDependencies(ctx context.Context, b *book, dependsOn []int64) error {
	if len(dependsOn) == 0 {
		return nil
	}
	rows, err := t.ShareDispatches(ctx, query.ShareDispatchesParams{TenantID: t.Tenant, Dispatches: dependsOn})
	if err != nil {
		return fmt.Errorf("reading what it depends on: %w", err)
	}
	found := make(map[int64]bool)
	for _, row := range rows {
		found[row.ID] = true
		if row.State != StateDone {
			b.undone[row.ID] = row.State
		}
	}
	for _, id := range dependsOn {
		if !found[id] {
			return &Error{
				Code: CodeNotFound, Field: "depends_on",
				Detail:   fmt.Sprintf("There is no dispatch %s to wait for; a dispatch can only wait for earlier ones.", DispatchID(id)),
				NextStep: "List the dispatches to see their numbers.",
			}
		}
	}
	return b.neverAfter(dependsOn)
}

// neverAfter refuses to wait for what ended otherwise than done.
func (b *book) neverAfter(dependsOn []int64) error {
	for _, id := range dependsOn {
		switch state := b.undone[id]; state {
		case StateFailed, StateRefused, StateCancelled:
			return &Error{
				Code: CodeNotOpen, Field: "depends_on",
				Detail:   fmt.Sprintf("%s is %s, so nothing can run after it.", DispatchID(id), state),
				NextStep: "Dispatch it again and wait for the new one, or wait for none.",
			}
		}
	}
	return nil
}

// learnUndone reads which of the dispatches that rows depend on are not done.
func (t *transaction) learnUndone(ctx context.Context, b *book, rows ...query.Dispatch) error {
	var needed []int64
	for _, row := range rows {
		needed = append(needed, row.DependsOn...)
	}
	if len(needed) == 0 {
		return nil
	}
	undone, err := t.NotDone(ctx, query.NotDoneParams{TenantID: t.Tenant, Dispatches: needed})
	if err != nil {
		return fmt.Errorf("reading what waiting work depends on: %w", err)
	}
	for _, row := range undone {
		b.undone[row.ID] = row.State
	}
	return nil
}

// awaits is what a dispatch still depends on, as the reason of its wait; empty if nothing.
func (b *book) awaits(row *query.Dispatch) string {
	var names []string
	for _, id := range row.DependsOn {
		if _, waits := b.undone[id]; waits {
			names = append(names, DispatchID(id).String())
		}
	}
	switch last := len(names) - 1; last {
	case -1:
		return ""
	case 0:
		return fmt.Sprintf("Waits until %s is done.", names[0])
	default:
		return fmt.Sprintf("Waits until %s and %s are done.", strings.Join(names[:last], ", "), names[last])
	}
}

// endDependents cancels what waits for a dispatch that ended otherwise than done, with that cause, and what waits for those.
func (t *transaction) endDependents(ctx context.Context, b *book, ended *query.Dispatch) error {
	switch ended.State {
	case StateFailed, StateRefused, StateCancelled:
	default:
		return nil
	}
	rows, err := t.LockDependents(ctx, query.LockDependentsParams{TenantID: t.Tenant, Dispatch: ended.ID})
	if err != nil {
		return fmt.Errorf("reading what waits for %s: %w", DispatchID(ended.ID), err)
	}
	for i := range rows {
		row := &rows[i]
		b.cancelled[row.ID] = struct{}{}
		row.State, row.FinishedAt = StateCancelled, &t.now
		row.Reason = fmt.Sprintf("Cancelled because %s, which it waited for, is %s.", DispatchID(ended.ID), ended.State)
		clearWait(row)
		if _, err := t.putAndTell(ctx, row, "dispatch.cancelled"); err != nil {
			return err
		}
		if err := t.endDependents(ctx, b, row); err != nil {
			return err
		}
	}
	return nil
}

// numbers are the dispatches named, each once.
func numbers(ids []DispatchID) []int64 {
	out := make([]int64, 0, len(ids))
	for _, id := range ids {
		out = append(out, int64(id))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func identifiers(numbers []int64) []DispatchID {
	var out []DispatchID
	for _, number := range numbers {
		out = append(out, DispatchID(number))
	}
	return out
}
