package conformance

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func agents() []promise {
	return []promise{
		{"agents", "a declared agent is listed by name and page, and stays live when it is declared again", declareAndList},
		{"agents", "work that only lacks a worker waits, holds nothing, and is ready once one is declared", waitForWorker},
		{"agents", "a worker gets only work of the subscriptions it is logged in to", claimOwnSubscriptions},
		{"agents", "a worker gets only work of the models up to its ceiling, and a ceiling that is no model is 400 invalid", claimBelowCeiling},
		{"agents", "an agent that is not heard for its liveness is gone, and back when it claims", goAndComeBack},
		{"agents", "a retired agent gets no more work: 409 agent_retired", retireForGood},
	}
}

// elsewhere is a subscription that no work is routed to.
const elsewhere = provider + "/elsewhere"

// declare makes a worker of this run, which is retired at its end.
func (t *trial) declare(ctx context.Context, name string, declaration register.AgentDeclaration) (register.Agent, error) {
	if declaration.LivenessSeconds == 0 {
		declaration.LivenessSeconds = 600
	}
	var agent register.Agent
	err := t.report(ctx, register.DeclareAgent(name, declaration), &agent)
	return agent, err
}

// man makes sure that a role has a worker, so that its work does not wait for one.
func (t *trial) man(ctx context.Context, role string) error {
	t.manning.Lock()
	defer t.manning.Unlock()
	if t.manned[role] {
		return nil
	}
	_, err := t.declare(ctx, role+"-1", register.AgentDeclaration{})
	t.manned[role] = err == nil
	return err
}

func declareAndList(ctx context.Context, t *trial) error {
	role := t.role("declare")
	declaration := register.AgentDeclaration{Host: "a.conformance.invalid", Runtime: "none", LivenessSeconds: 60}
	var first register.Agent
	for _, name := range []string{role + "-1", role + "-2", role + "-3"} {
		agent, err := t.declare(ctx, name, declaration)
		if err != nil {
			return err
		}
		if agent.Name != name || agent.Role != role || agent.Host != declaration.Host || agent.Runtime != "none" || agent.State != register.AgentStateLive || len(agent.Subscriptions) > 0 {
			return seen("%s was declared as %+v", name, agent)
		}
		if first.Name == "" {
			first = agent
		}
	}
	var listed []string
	for cursor, more := "", true; more; {
		var page register.AgentList
		if err := t.read(ctx, viewer, "/api/fleet/agents?state=live&limit=2&cursor="+url.QueryEscape(cursor), &page); err != nil {
			return err
		}
		for _, agent := range page.Agents {
			if agent.Role == role {
				listed = append(listed, agent.Name)
			}
		}
		cursor, more = page.Next, page.Next != ""
	}
	if want := []string{role + "-1", role + "-2", role + "-3"}; !slices.Equal(listed, want) {
		return seen("page by page %v are listed, not %v", listed, want)
	}
	time.Sleep(time.Second)
	again, err := t.declare(ctx, first.Name, declaration)
	if err == nil && !again.LiveUntil.After(first.LiveUntil) {
		err = seen("declared again it is live until %s, and was until %s", again.LiveUntil, first.LiveUntil)
	}
	return err
}

func waitForWorker(ctx context.Context, t *trial) error {
	role := t.role("lack")
	var made register.Dispatch
	if err := t.change(ctx, operator, register.CreateDispatch(t.work(role)), &made); err != nil {
		return err
	}
	if made.State != register.DispatchStateQueued || len(made.Holds) > 0 || !made.PromisedStart.IsZero() || made.Reason == "" {
		return seen("without a worker it is %s with %d holds, promised for %s (“%s”)", made.State, len(made.Holds), made.PromisedStart, made.Reason)
	}
	if _, err := t.declare(ctx, role+"-1", register.AgentDeclaration{}); err != nil {
		return err
	}
	shown, err := t.show(ctx, made.ID)
	if err == nil && shown.State != register.DispatchStateReady {
		err = seen("once a worker is declared it is %s (“%s”)", shown.State, shown.Reason)
	}
	return err
}

func claimOwnSubscriptions(ctx context.Context, t *trial) error {
	role := t.role("login")
	if _, err := t.declare(ctx, role+"-2", register.AgentDeclaration{Subscriptions: []string{elsewhere}}); err != nil {
		return err
	}
	made, err := t.ready(ctx, role)
	if err != nil {
		return err
	}
	other, err := t.claim(ctx, role, role+"-2", 60)
	if err != nil {
		return err
	}
	if other != nil {
		return seen("a worker logged in to %s only was given %s on %s", elsewhere, other.Dispatch.ID, other.Dispatch.Provider)
	}
	own, err := t.claim(ctx, role, role+"-1", 60)
	switch {
	case err != nil:
		return err
	case own == nil || own.Dispatch.ID != made.ID:
		return seen("%s is ready, and a worker that is logged in to everything was not given it", made.ID)
	case own.Dispatch.Model == "" || own.Dispatch.Provider == "":
		return seen("the claim names no model or provider to run on")
	}
	return t.report(ctx, t.unmetered(own), nil)
}

// claimBelowCeiling has one worker that may run the lowest model of the ladder only, and one that may run all of them.
func claimBelowCeiling(ctx context.Context, t *trial) error {
	_, tiers, err := t.ladder(ctx)
	if err != nil {
		return err
	}
	role, lowest := t.role("ceiling"), tiers[len(tiers)-1].Model
	made, err := t.ready(ctx, role)
	if err != nil {
		return err
	}
	if made.Model == lowest {
		return notTried("work is routed to the lowest model, " + lowest + ", anyway; it takes a ladder of two, with room on the higher")
	}
	low := role + "-2"
	declared, err := t.declare(ctx, low, register.AgentDeclaration{ModelCeiling: lowest})
	if err != nil {
		return err
	}
	if declared.ModelCeiling != lowest {
		return seen("declared with the ceiling %s, it has the ceiling %q", lowest, declared.ModelCeiling)
	}
	if beyond, err := t.claim(ctx, role, low, 60); err != nil || beyond != nil {
		return orSeen(err, "a worker with the ceiling %s was given work on %s", lowest, made.Model)
	}
	asked := t.work(role)
	asked.Model, asked.Exact = lowest, true
	within, err := t.dispatch(ctx, asked)
	if err != nil {
		return err
	}
	for _, want := range []struct {
		worker string
		work   register.Dispatch
	}{{low, within}, {role + "-1", made}} {
		claim, err := t.claim(ctx, role, want.worker, 60)
		if err != nil || claim == nil || claim.Dispatch.ID != want.work.ID {
			return orSeen(err, "%s, on %s, is %s, and %s was not given it", want.work.ID, want.work.Model, want.work.State, want.worker)
		}
		if err := t.report(ctx, t.unmetered(claim), nil); err != nil {
			return err
		}
	}
	return t.reportRefused(ctx, register.ProblemCodeInvalid, register.DeclareAgent(low, register.AgentDeclaration{ModelCeiling: "conformance-no-model"}))
}

func goAndComeBack(ctx context.Context, t *trial) error {
	role := t.role("silent")
	if _, err := t.declare(ctx, role+"-1", register.AgentDeclaration{LivenessSeconds: 5}); err != nil {
		return err
	}
	is := func(want register.AgentState) error {
		var agent register.Agent
		if err := t.read(ctx, viewer, "/api/fleet/agents/"+role+"-1", &agent); err != nil {
			return err
		}
		if agent.State != want {
			return seen("it is %s, not %s", agent.State, want)
		}
		return nil
	}
	if err := soon(ctx, 30*time.Second, func() error { return is(register.AgentStateGone) }); err != nil {
		return err
	}
	if _, err := t.claim(ctx, role, role+"-1", 60); err != nil {
		return err
	}
	return is(register.AgentStateLive)
}

func retireForGood(ctx context.Context, t *trial) error {
	role := t.role("retire")
	if _, err := t.ready(ctx, role); err != nil {
		return err
	}
	var agent register.Agent
	if err := t.change(ctx, "", register.RetireAgent(role+"-1"), &agent); err != nil {
		return err
	}
	if agent.State != register.AgentStateRetired {
		return seen("retired it is %s", agent.State)
	}
	for _, m := range []register.Mutation{
		register.ClaimDispatch(register.ClaimRequest{Role: role, Worker: role + "-1"}), register.DeclareAgent(role+"-1", register.AgentDeclaration{}),
	} {
		if err := t.reportRefused(ctx, register.ProblemCodeAgentRetired, m); err != nil {
			return err
		}
	}
	return nil
}

// retireAll takes this run's agents out of use.
func (t *trial) retireAll(ctx context.Context, retire func(name string)) error {
	for after, more := "", true; more; {
		page, err := t.api.Agents(ctx, register.By{}, after, 200, register.AgentStateLive, register.AgentStateGone)
		if err != nil {
			return err
		}
		for _, agent := range page.Agents {
			if strings.HasPrefix(agent.Role, t.role("")) {
				retire(agent.Name)
			}
		}
		after, more = page.Next, page.Next != ""
	}
	return nil
}
