package commands

import (
	"encoding/json"
	"errors"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// action reads what a passed proposal is to carry out: one thing, or nothing.
func (g *proposeGrammar) action(r *reader) register.Action {
	var asked []string
	var action register.Action
	ask := func(flag string, linked register.Action) {
		asked, action = append(asked, flag), linked
	}
	if g.For != "" {
		ask("--for", register.Action{Kind: register.ActionKindOverride, Dispatch: r.dispatch("--for", g.For)})
	}
	if g.Override != "" {
		ask("--override", register.Action{Kind: register.ActionKindGrant, Override: r.lift("--override", g.Override)})
	}
	if g.Pause {
		ask("--pause", register.Action{Kind: register.ActionKindPause})
	}
	if g.Resume {
		ask("--resume", register.Action{Kind: register.ActionKindResume})
	}
	if g.Dispatch != "" {
		ask("--dispatch", register.Action{Kind: register.ActionKindDispatch, Request: r.work("--dispatch", g.Dispatch)})
	}
	if len(asked) > 1 {
		r.refuse(problemf("A proposal carries out one thing, and this asks for %s.", listing(asked, "and")))
	}
	return action
}

// lift reads an override as P:AMOUNT[:CYCLES].
func (r *reader) lift(where, typed string) *register.OverrideRequest {
	parts := strings.Split(straightDashes(typed), ":")
	if len(parts) < 2 || len(parts) > 3 {
		r.refuse(problemf("%s: %s is not a provider and an amount, such as claude:40 or claude:40:2 for two cycles.", where, read(typed)))
		return nil
	}
	out := &register.OverrideRequest{Provider: r.provider(where, parts[0])}
	if amounts := r.estimates(where, parts[1:2]); len(amounts) == 1 {
		out.Micros, out.Unit = amounts[0].Micros, amounts[0].Unit
	}
	if out.Micros == 0 {
		r.refuse(problemf("%s: %s lifts nothing; give an amount above zero, such as claude:40.", where, read(typed)))
	}
	if len(parts) == 3 {
		out.Cycles = r.number(where, parts[2], 1, 1000, "2")
	}
	return out
}

// work reads a dispatch written as the command dispatch is.
func (r *reader) work(where, typed string) *register.DispatchRequest {
	call, err := Prepare(Asked{Text: "dispatch " + strings.TrimPrefix(strings.TrimSpace(typed), "dispatch "), At: r.at, Zone: r.zone, Origin: r.origin, Said: r.said})
	var usage *UsageError
	if errors.As(err, &usage) {
		r.refuse(problemf("%s: %s", where, usage.Problem))
		return nil
	}
	if err != nil || call.Mutation == nil {
		r.refuse(problemf(`%s: write the work as the command dispatch does, such as coder "Add a health check".`, where))
		return nil
	}
	var request register.DispatchRequest
	if err := json.Unmarshal(call.Mutation.Body, &request); err != nil {
		r.refuse(problemf("%s: the work cannot be read.", where))
	}
	if request.DryRun {
		r.refuse(problemf("%s: a dry run decides nothing, so there is nothing for the board to decide.", where))
	}
	return &request
}
