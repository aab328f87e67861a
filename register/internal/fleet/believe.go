package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// watched is what is remembered of a window's readings in its epoch.
type watched struct {
	budget.Watch
	first     bool      // none was believed yet
	taken     time.Time // when the last believed one was
	lastDoubt string    // of the last reading, if it was doubted
}

func (t *transaction) watch(ctx context.Context, window *budget.Window) (watched, error) {
	w := watched{Watch: budget.Watch{Epoch: budget.Epoch{Since: window.Since, Reset: window.Reset}}}
	believed, err := t.LastBelieved(ctx, query.LastBelievedParams{TenantID: t.Tenant, WindowID: window.ID})
	switch {
	case none(err):
		w.first = true
	case err != nil:
		return w, fmt.Errorf("reading the last reading: %w", err)
	default:
		w.Used, w.taken = believed.UsedMicros, believed.TakenAt.UTC()
	}
	unlikely, err := t.LastUnlikely(ctx, query.LastUnlikelyParams{TenantID: t.Tenant, WindowID: window.ID})
	switch {
	case err == nil:
		doubted := readingOf(&unlikely)
		w.Doubted = doubted.rules()
	case !none(err):
		return w, fmt.Errorf("reading the last doubted reading: %w", err)
	}
	last, err := t.LastReading(ctx, query.LastReadingParams{TenantID: t.Tenant, WindowID: window.ID})
	switch {
	case err == nil:
		w.lastDoubt = last.Doubt
	case !none(err):
		return w, fmt.Errorf("reading the last reading: %w", err)
	}
	return w, nil
}

// judge decides whether a reading is believed, and whether it begins an epoch; a doubt is written into it with its cause.
func (w watched) judge(r *WindowReading, window *budget.Window, now time.Time) budget.Belief {
	if r.doubt, r.Cause = r.implausible(now); r.doubt != "" {
		return budget.Doubtful
	}
	if r.TakenAt.Before(w.taken) {
		r.doubt, r.Cause = doubtOlder, fmt.Sprintf("One that was taken later, at %s, is believed already.", w.taken.Format(time.RFC3339))
		return budget.Doubtful
	}
	if window.Lapsed(now) && r.ResetAt.IsZero() {
		r.doubt = doubtLapsed
		r.Cause = fmt.Sprintf("The window lapsed at %s, and this does not say when it resets now.", window.Reset.Format(time.RFC3339))
		return budget.Doubtful
	}
	if window.Lapsed(now) {
		return budget.NewEpoch
	}
	if w.first { // there is nothing yet that it could contradict but what people or estimates said
		return budget.SameReading
	}
	belief, _ := w.Believe(r.rules(), window.Limit)
	if belief == budget.Doubtful {
		r.doubt, r.Cause = doubtUnlikely, w.unlikely(r)
	}
	return belief
}

// implausible says why a reading is doubted by itself, whatever the window.
func (r *WindowReading) implausible(now time.Time) (doubt, cause string) {
	switch {
	case r.TakenAt.After(now):
		return doubtFuture, fmt.Sprintf("It was taken at %s, which is still to come; it is now %s.", r.TakenAt.Format(time.RFC3339), now.Format(time.RFC3339))
	case now.Sub(r.TakenAt) > budget.StaleFor:
		return doubtStale, fmt.Sprintf("It was taken at %s, more than %d minutes ago.", r.TakenAt.Format(time.RFC3339), int(budget.StaleFor.Minutes()))
	case !r.ResetAt.IsZero() && !r.ResetAt.After(now):
		return doubtReset, fmt.Sprintf("It says a reset that has passed, %s.", r.ResetAt.Format(time.RFC3339))
	}
	return "", ""
}

// unlikely is why a reading waits for a second one.
func (w watched) unlikely(r *WindowReading) string {
	const confirm = " It counts if the next reading agrees."
	used, before := budget.Format(r.UsedMicros, r.Unit), budget.Format(w.Used, r.Unit)
	length := time.Duration(r.EverySeconds) * time.Second
	if length == 0 {
		length = w.Epoch.Reset.Sub(w.Epoch.Since)
	}
	epoch := budget.Epoch{Since: r.ResetAt.Add(-length), Reset: r.ResetAt}
	switch {
	case !r.ResetAt.IsZero() && !budget.SameEpoch(epoch, w.Epoch):
		return fmt.Sprintf("It says a reset at %s instead of %s, before that has come.%s", r.ResetAt.Format(time.RFC3339), w.Epoch.Reset.Format(time.RFC3339), confirm)
	case r.UsedMicros < w.Used:
		return fmt.Sprintf("It says %s after %s; use does not fall before the reset.%s", used, before, confirm)
	}
	return fmt.Sprintf("It says %s after %s, which is more than half of the limit at once.%s", used, before, confirm)
}
