package conformance

import (
	"context"
	"net/url"
	"slices"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func dispatches() []promise {
	return []promise{
		{"dispatches", "a dispatch is decided at once and shown as it was answered", showDispatch},
		{"dispatches", "they are listed newest first, by state and page", listDispatches},
		{"dispatches", "a dry run answers D-0 and records nothing", dryRun},
		{"dispatches", "an open one can be cancelled, once", cancelDispatch},
		{"dispatches", "what was cancelled is asked for again as a new one, once", retryDispatch},
		{"dispatches", "one that is too late is recorded as refused, with the reason", refuseLate},
	}
}

// work asks for a dispatch that is expected to spend nothing, so that it holds nothing of anyone's window.
func (t *trial) work(role string) register.DispatchRequest {
	return register.DispatchRequest{Role: role, Brief: t.brief(), Project: provider, Estimate: []register.EstimateAmount{{Micros: 0}}}
}

func (t *trial) dispatch(ctx context.Context, request register.DispatchRequest) (register.Dispatch, error) {
	var made register.Dispatch
	if err := t.man(ctx, request.Role); err != nil {
		return made, err
	}
	err := t.change(ctx, operator, register.CreateDispatch(request), &made)
	return made, err
}

// ready makes a dispatch that has to be ready.
func (t *trial) ready(ctx context.Context, role string) (register.Dispatch, error) {
	made, err := t.dispatch(ctx, t.work(role))
	if err == nil && made.State != register.DispatchStateReady {
		err = seen("a dispatch that spends nothing is %s (“%s”), not ready; the fleet's own windows may have no room, so try a register that is not in use", made.State, made.Reason)
	}
	return made, err
}

func (t *trial) show(ctx context.Context, id string) (register.Dispatch, error) {
	var shown register.Dispatch
	err := t.read(ctx, viewer, "/api/fleet/dispatches/"+id, &shown)
	return shown, err
}

// inRole lists this run's dispatches of a role, newest first.
func (t *trial) inRole(ctx context.Context, role, query string) ([]register.Dispatch, error) {
	var list register.DispatchList
	if err := t.read(ctx, viewer, "/api/fleet/dispatches?limit=200"+query, &list); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Dispatches, func(d register.Dispatch) bool { return d.Role != role }), nil
}

func showDispatch(ctx context.Context, t *trial) error {
	asked := t.work(t.role("show"))
	asked.Priority, asked.Mission, asked.BriefClass = new(7), "conformance", register.DispatchRequestBriefClassHotfix
	asked.Origin = register.Origin{Transport: register.OriginTransportAPI, Thread: "$thread"}
	made, err := t.dispatch(ctx, asked)
	if err != nil {
		return err
	}
	switch {
	case made.Role != asked.Role || made.Brief != asked.Brief || made.Priority != 7 || made.Mission != asked.Mission || string(made.BriefClass) != string(asked.BriefClass):
		return seen("what was asked came back as %+v", made)
	case made.Origin != asked.Origin:
		return seen("the origin came back as %+v", made.Origin)
	case made.CreatedBy != operator:
		return seen("%s asked, and it is created by %s", operator, made.CreatedBy)
	case made.DryRun:
		return seen("it is a dry run, which nobody asked for")
	}
	shown, err := t.show(ctx, made.ID)
	if err != nil {
		return err
	}
	if shown.ID != made.ID || shown.Brief != made.Brief || !shown.CreatedAt.Equal(made.CreatedAt) || shown.State != made.State {
		return seen("%s was answered as %+v and is shown as %+v", made.ID, made, shown)
	}
	return nil
}

func retryDispatch(ctx context.Context, t *trial) error {
	first, err := t.ready(ctx, t.role("retry"))
	if err != nil {
		return err
	}
	again := register.RetryDispatch(first.ID, register.RetryRequest{})
	if err := t.refused(ctx, register.ProblemCodeNotRetryable, operator, again); err != nil {
		return err
	}
	if err := t.change(ctx, operator, register.CancelDispatch(first.ID, "to ask for it again"), nil); err != nil {
		return err
	}
	var second register.Dispatch
	if err := t.change(ctx, operator, again, &second); err != nil {
		return err
	}
	if second.ID == first.ID || second.RetryOf != first.ID || second.Brief != first.Brief || second.Role != first.Role {
		return seen("%s was asked for again as %+v", first.ID, second)
	}
	return t.refused(ctx, register.ProblemCodeAlreadyRetried, operator, again)
}

func listDispatches(ctx context.Context, t *trial) error {
	role := t.role("list")
	var made []string
	for range 3 {
		dispatch, err := t.dispatch(ctx, t.work(role))
		if err != nil {
			return err
		}
		made = append([]string{dispatch.ID}, made...)
	}
	if err := t.change(ctx, operator, register.CancelDispatch(made[1], ""), nil); err != nil {
		return err
	}
	for _, look := range []struct {
		query string
		want  []string
	}{
		{"", made},
		{"&state=cancelled", made[1:2]},
		{"&state=cancelled,ready,queued", made},
	} {
		listed, err := t.inRole(ctx, role, look.query)
		if err != nil {
			return err
		}
		if got := ids(listed); !slices.Equal(got, look.want) {
			return seen("?limit=200%s lists %v, not %v", look.query, got, look.want)
		}
	}
	return t.readOn(ctx)
}

// readOn follows next from page to page.
func (t *trial) readOn(ctx context.Context) error {
	var first, second register.DispatchList
	if err := t.read(ctx, viewer, "/api/fleet/dispatches?limit=2", &first); err != nil {
		return err
	}
	if len(first.Dispatches) != 2 || first.Next == "" {
		return seen("a page of 2 has %v and next %q", ids(first.Dispatches), first.Next)
	}
	if err := t.read(ctx, viewer, "/api/fleet/dispatches?limit=2&cursor="+url.QueryEscape(first.Next), &second); err != nil {
		return err
	}
	all := append(ids(first.Dispatches), ids(second.Dispatches)...)
	if slices.Sort(all); len(second.Dispatches) == 0 || len(slices.Compact(all)) != len(first.Dispatches)+len(second.Dispatches) {
		return seen("after %v with next %s comes %v", ids(first.Dispatches), first.Next, ids(second.Dispatches))
	}
	return nil
}

func ids(dispatches []register.Dispatch) []string {
	out := make([]string, 0, len(dispatches))
	for _, dispatch := range dispatches {
		out = append(out, dispatch.ID)
	}
	return out
}

func dryRun(ctx context.Context, t *trial) error {
	asked := t.work(t.role("dry"))
	asked.DryRun = true
	made, err := t.dispatch(ctx, asked)
	if err != nil {
		return err
	}
	if made.ID != "D-0" || !made.DryRun {
		return seen("it is %s, with dry_run %t", made.ID, made.DryRun)
	}
	listed, err := t.inRole(ctx, asked.Role, "")
	if err == nil && len(listed) > 0 {
		err = seen("%v was recorded", ids(listed))
	}
	return err
}

func cancelDispatch(ctx context.Context, t *trial) error {
	made, err := t.dispatch(ctx, t.work(t.role("cancel")))
	if err != nil {
		return err
	}
	var cancelled register.Dispatch
	if err := t.change(ctx, operator, register.CancelDispatch(made.ID, "not needed"), &cancelled); err != nil {
		return err
	}
	if cancelled.State != register.DispatchStateCancelled {
		return seen("%s is %s", made.ID, cancelled.State)
	}
	return t.refused(ctx, register.ProblemCodeNotOpen, operator, register.CancelDispatch(made.ID, "again"))
}

// late makes a dispatch whose deadline is over, so that it is refused whatever the windows allow.
func (t *trial) late(ctx context.Context, role string) (register.Dispatch, error) {
	asked := t.work(role)
	asked.Deadline = time.Now().Add(-time.Hour)
	return t.dispatch(ctx, asked)
}

func refuseLate(ctx context.Context, t *trial) error {
	made, err := t.late(ctx, t.role("late"))
	if err != nil {
		return err
	}
	if made.State != register.DispatchStateRefused || made.Reason == "" {
		return seen("%s is %s, with the reason %q", made.ID, made.State, made.Reason)
	}
	shown, err := t.show(ctx, made.ID)
	if err == nil && shown.State != register.DispatchStateRefused {
		err = seen("%s is shown as %s", made.ID, shown.State)
	}
	return err
}
