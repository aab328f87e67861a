package fleet

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// agentStory is the agent events after the set-up.
func (b *bundle) agentStory(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, event := range b.events(t) {
		if event.Agent != nil {
			out = append(out, event.Type+" "+event.Agent.Name)
		}
	}
	return out[2:]
}

func (b *bundle) agent(t *testing.T, name string) Agent {
	t.Helper()
	agent, err := b.Agent(t.Context(), name)
	require.NoError(t, err)
	return agent
}

// claimBy asks for work as a worker; nil is none.
func (b *bundle) claimBy(t *testing.T, name string) *Claim {
	t.Helper()
	claim, err := b.ClaimDispatch(t.Context(), b.by("coder-1"), "coder", name, 15*time.Minute)
	require.NoError(t, err)
	return claim
}

func TestADeclaredAgentIsLiveUntilItIsNotHeardForItsLiveness(t *testing.T) {
	t.Parallel()
	b := setup(t)
	declared := Declaration{Name: "coder-7", Host: "forge-a", Runtime: "claude-code", ModelCeiling: "sonnet", Subscriptions: []string{"codex", "claude", "claude"}, Liveness: time.Minute}
	agent := b.declare(t, declared)
	require.Equal(t, Agent{
		Name: "coder-7", TenantID: "acme", Role: "coder", Host: "forge-a", Runtime: "claude-code", ModelCeiling: "sonnet",
		Subscriptions: []string{"claude", "codex"}, Identity: "coder-1", State: AgentLive, Running: []DispatchID{},
		DeclaredAt: start, HeardAt: start, LiveUntil: start.Add(time.Minute),
	}, agent)

	b.clock.pass(50 * time.Second)
	again := b.declare(t, declared)
	require.Equal(t, start, again.DeclaredAt)
	require.Equal(t, start.Add(110*time.Second), again.LiveUntil)
	b.clock.pass(time.Minute - time.Second)
	b.sweep(t)
	require.Equal(t, AgentLive, b.agent(t, "coder-7").State)
	b.clock.pass(time.Second)
	b.sweep(t)
	b.sweep(t)
	gone := b.agent(t, "coder-7")
	require.Equal(t, AgentGone, gone.State)
	require.Equal(t, start.Add(110*time.Second), gone.EndedAt)

	b.declare(t, declared)
	declared.ModelCeiling = "opus"
	b.declare(t, declared)
	require.Equal(t, []string{"agent.joined coder-7", "agent.gone coder-7", "agent.joined coder-7", "agent.changed coder-7"}, b.agentStory(t))
}

func TestADeclarationThatCannotBeMeantSaysWhatWouldWork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, want := range map[string]string{
		"coder":   `"coder" is not an agent's name: a role, a hyphen and a number.`,
		"coder-0": `"coder-0" is not an agent's name: a role, a hyphen and a number.`,
	} {
		_, err := b.DeclareAgent(t.Context(), b.by("coder-1"), Declaration{Name: name})
		refusal := requireCode(t, CodeInvalid, err)
		require.Equal(t, want, refusal.Detail)
		require.Equal(t, "coder-1", refusal.Example)
	}
	_, err := b.DeclareAgent(t.Context(), b.by("coder-1"), Declaration{Name: "coder-2", ModelCeiling: "opsu"})
	require.Equal(t, "opus", requireCode(t, CodeInvalid, err).Example)
	_, err = b.DeclareAgent(t.Context(), b.by("olga"), Declaration{Name: "coder-1"})
	require.Equal(t, "coder-1 is live and was declared by coder-1.", requireCode(t, CodeForbidden, err).Detail)
	_, err = b.ClaimDispatch(t.Context(), b.by("coder-1"), "coder", "tester-1", time.Minute)
	require.Equal(t, "coder-1", requireCode(t, CodeInvalid, err).Example)
	_, err = b.Agent(t.Context(), "coder-9")
	requireCode(t, CodeNotFound, err)
	_, err = b.RetireAgent(t.Context(), b.by("olga"), "coder-9")
	requireCode(t, CodeNotFound, err)
}

func TestARetiredAgentGetsNoMoreWorkAndWhatItRunsGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, ask(1))
	running := b.claimed(t)
	b.dispatch(t, ask(1))
	retired, err := b.RetireAgent(t.Context(), b.by("olga"), "coder-1")
	require.NoError(t, err)
	require.Equal(t, AgentRetired, retired.State)
	require.Equal(t, []DispatchID{1}, retired.Running)
	b.clock.pass(time.Minute)
	again, err := b.RetireAgent(t.Context(), b.by("olga"), "coder-1")
	require.NoError(t, err)
	require.Equal(t, retired, again)

	_, err = b.ClaimDispatch(t.Context(), b.by("coder-1"), "coder", "coder-1", time.Minute)
	refusal := requireCode(t, CodeAgentRetired, err)
	require.Equal(t, "coder-1 was retired at 2026-11-23 09:00:00 UTC and gets no more work.", refusal.Detail)
	require.Contains(t, refusal.Example, "mosaic-matrix work --role coder --name coder-2 --")
	_, err = b.DeclareAgent(t.Context(), b.by("coder-1"), Declaration{Name: "coder-1"})
	requireCode(t, CodeAgentRetired, err)
	_, err = b.beat(t, running, 1)
	require.NoError(t, err)
	b.complete(t, running, StateDone)
	require.Equal(t, AgentRetired, b.agent(t, "coder-1").State)
	require.Equal(t, []string{"agent.retired coder-1"}, b.agentStory(t))
	require.ErrorContains(t, b.exec(t.Context(), `UPDATE fleet.agents SET state = 'live', ended_at = NULL WHERE name = 'coder-1'`), "agent_moves")
	require.ErrorContains(t, b.exec(t.Context(), `UPDATE fleet.agents SET role = 'tester' WHERE name = 'coder-1'`), "agent_named")
}

func TestClaimsAndHeartbeatsOfARunKeepAnAgentAlive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, ask(1))
	claim := b.claimBy(t, "coder-2") // nobody declared it: it lives as long as its claim at least
	require.NotNil(t, claim)
	undeclared := b.agent(t, "coder-2")
	require.Equal(t, start.Add(15*time.Minute), undeclared.LiveUntil)
	require.Empty(t, undeclared.Subscriptions)
	b.clock.pass(10 * time.Minute)
	_, err := b.beat(t, *claim, 1)
	require.NoError(t, err)
	require.Equal(t, b.clock.now().Add(15*time.Minute), b.agent(t, "coder-2").LiveUntil)
	_, err = b.HeartbeatDispatch(t.Context(), b.by("coder-1"), 1, Beat{Claim: "another's", TTL: time.Minute})
	requireCode(t, CodeClaimLost, err)

	b.declare(t, Declaration{Name: "coder-3", Subscriptions: []string{"codex"}, Liveness: time.Minute})
	b.clock.pass(2 * time.Minute)
	b.sweep(t)
	require.Equal(t, AgentGone, b.agent(t, "coder-3").State)
	require.Nil(t, b.claimBy(t, "coder-3"))
	back := b.agent(t, "coder-3")
	require.Equal(t, AgentLive, back.State)
	require.Equal(t, []string{"codex"}, back.Subscriptions, "it is as it was declared")
	require.Equal(t, []string{"agent.joined coder-2", "agent.joined coder-3", "agent.gone coder-3", "agent.joined coder-3"}, b.agentStory(t))
}

func TestAgentsAreListedByNamePageByPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.declare(t, Declaration{Name: "coder-2", Liveness: time.Minute})
	b.retire(t, "tester-1")
	page, err := b.Agents(t.Context(), nil, "", 2)
	require.NoError(t, err)
	require.Equal(t, "coder-2", page.Next)
	require.Len(t, page.Agents, 2)
	rest, err := b.Agents(t.Context(), nil, page.Next, 2)
	require.NoError(t, err)
	require.Empty(t, rest.Next)
	require.Equal(t, "tester-1", rest.Agents[0].Name)
	retired, err := b.Agents(t.Context(), []string{AgentRetired}, "", 2)
	require.NoError(t, err)
	require.Len(t, retired.Agents, 1)
}

func TestWorkIsRoutedOnlyToSubscriptionsWithALiveWorker(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.retire(t, "coder-1")
	b.budget(t)
	b.budget(t, func(s *BudgetSet) { s.Subscription = "team-a" })
	b.declare(t, Declaration{Name: "coder-2", Subscriptions: []string{"claude/team-a"}, ModelCeiling: "sonnet", Liveness: time.Minute})
	routed := b.dispatch(t, ask(5))
	require.Equal(t, StateReady, routed.State)
	require.Equal(t, "team-a", routed.Subscription)
	require.Equal(t, "sonnet", routed.Model)
	require.Equal(t, "no-worker", routed.Attempts[0].Verdict)
	require.Equal(t, "No live worker for coder is logged in to claude.", routed.Attempts[0].Reason)
	require.Equal(t, "No live worker for coder on claude/team-a may run opus.", routed.Attempts[1].Reason)
}

const lacksClaude = "Waits for a worker. No live worker for coder is logged in to claude."

func TestWorkThatOnlyLacksAWorkerWaitsAndStartsWhenOneAppears(t *testing.T) {
	t.Parallel()
	for how, appear := range map[string]func(*testing.T, *bundle){
		"declared": func(t *testing.T, b *bundle) {
			b.declare(t, Declaration{Name: "coder-2", Subscriptions: []string{"claude"}})
		},
		"claiming": func(t *testing.T, b *bundle) { require.NotNil(t, b.claimBy(t, "coder-2"), "by that very claim") },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.retire(t, "coder-1")
			b.budget(t)
			b.declare(t, Declaration{Name: "coder-3", Subscriptions: []string{"codex"}, ModelCeiling: "gpt-5.5"})
			waiting := b.dispatch(t, ask(5, exact))
			require.Equal(t, StateQueued, waiting.State)
			require.Equal(t, lacksClaude, waiting.Reason)
			require.Empty(t, waiting.Holds)
			require.Zero(t, waiting.PromisedStart)
			require.Zero(t, b.window(t).ReservedMicros)
			require.Zero(t, b.window(t).Waiting, "it stands in no line")
			require.Empty(t, wake(t, b))
			require.Equal(t, lacksClaude, b.dispatch(t, ask(5, exact, func(a *Ask) { a.DryRun = true })).Reason)
			appear(t, b)
			require.Contains(t, []string{StateReady, StateRunning}, b.show(t, waiting.ID).State)
			require.Equal(t, int64(5*budget.Micro), b.window(t).ReservedMicros)
			b.audit(t)
		})
	}
}

func TestADeadlineThatPassesWithoutAWorkerRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.retire(t, "coder-1")
	b.budget(t)
	waiting := b.dispatch(t, ask(5, func(a *Ask) { a.Deadline = start.Add(time.Minute) }))
	require.Equal(t, lacksClaude, waiting.Reason)
	b.clock.pass(time.Minute + time.Second)
	wake(t, b)
	require.Equal(t, StateRefused, b.show(t, waiting.ID).State)
	require.Equal(t, StateRefused, b.dispatch(t, ask(5000)).State, "no worker would make it fit")
}

func TestAPromiseWhoseWorkerIsGoneIsTakenBackAndTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	promised := b.dispatch(t, ask(50, exact))
	require.NotZero(t, promised.PromisedStart)
	b.retire(t, "coder-1")
	wake(t, b)
	require.Equal(t, lacksClaude, b.show(t, promised.ID).Reason)
	require.Zero(t, b.window(t).Waiting)
	events := b.events(t)
	told := events[len(events)-1]
	if told.Type == "budget.step" {
		told = events[len(events)-2]
	}
	require.Equal(t, "dispatch.queued", told.Type)
	require.Equal(t, lacksClaude, told.Cause)
}

func TestAWorkerIsGivenOnlyWhatItsSubscriptionsAndCeilingAllow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(5, exact))
	b.declare(t, Declaration{Name: "coder-2", Subscriptions: []string{"claude"}, ModelCeiling: "haiku"})
	b.declare(t, Declaration{Name: "coder-3", Subscriptions: []string{"codex"}})
	for name, reason := range map[string]string{
		"coder-2": "D-1 is ready for opus on claude, which coder-2 is not declared for.",
		"coder-3": "D-1 is ready for opus on claude, which coder-3 is not declared for.",
	} {
		_, err := b.ClaimDispatch(t.Context(), b.by("coder-1"), "coder", name, time.Minute)
		require.EqualError(t, err, reason)
	}
	cheap := b.dispatch(t, ask(1, func(a *Ask) { a.Model = "haiku" }))
	require.Equal(t, cheap.ID, b.claimBy(t, "coder-2").Dispatch.ID, "it goes past what it may not run")
	given := b.claimed(t)
	require.Equal(t, DispatchID(1), given.Dispatch.ID)
	require.Equal(t, []string{"claude", "opus"}, []string{given.Dispatch.Subscription, given.Dispatch.Model})
}

// Test64ClaimsOfDeclaredWorkers races claims over two gateways: each dispatch once, and only to a worker that is declared for it.
func Test64ClaimsOfDeclaredWorkersGetEachDispatchOnceAndOnlyWhatTheyServe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.retire(t, "coder-1")
	b.budget(t, func(s *BudgetSet) { s.Provider = "codex" })
	workers := map[string]Declaration{
		"coder-2": {Name: "coder-2", Subscriptions: []string{"claude"}},
		"coder-3": {Name: "coder-3", Subscriptions: []string{"codex"}},
		"coder-4": {Name: "coder-4", Subscriptions: []string{"claude", "codex"}, ModelCeiling: "sonnet"},
	}
	for _, worker := range workers {
		b.declare(t, worker)
	}
	for _, model := range []string{"opus", "haiku", "gpt-5.5"} {
		for range 8 {
			require.Equal(t, StateReady, b.dispatch(t, ask(1, exact, func(a *Ask) { a.Model, a.Estimate[0].Micros = model, budget.Micro/10 })).State)
		}
	}
	stores := []*Store{b.Store, b.open(t, "beta")}
	var wait sync.WaitGroup
	var mutex sync.Mutex
	taken := make(map[DispatchID]string)
	for i := range 64 {
		name := []string{"coder-2", "coder-3", "coder-4"}[i%3]
		wait.Go(func() {
			claim, err := stores[i%2].ClaimDispatch(t.Context(), b.by("coder-1"), "coder", name, time.Minute)
			if err != nil || claim == nil {
				return
			}
			mutex.Lock()
			defer mutex.Unlock()
			if taken[claim.Dispatch.ID] != "" {
				t.Errorf("%s was claimed twice", claim.Dispatch.ID)
			}
			taken[claim.Dispatch.ID] = name
			worker := budget.Worker{Subscriptions: workers[name].Subscriptions, Ceiling: workers[name].ModelCeiling}
			if !worker.Serves(budget.DefaultLadder(), claim.Dispatch.Model, budget.Label(claim.Dispatch.Provider, claim.Dispatch.Subscription)) {
				t.Errorf("%s got %s on %s", name, claim.Dispatch.ID, claim.Dispatch.Model)
			}
		})
	}
	wait.Wait()
	require.Len(t, taken, 24)
	b.audit(t)
}

// TestNoWorkMissesAWorkerThatJoinsMeanwhile races admissions against joins: no dispatch waits for a worker that lives.
func TestNoWorkMissesAWorkerThatJoinsMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.open(t, "beta")
	for round := range 10 {
		role := "racer" + string(rune('a'+round))
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				_, err := b.CreateDispatch(t.Context(), b.by("olga"), ask(1, func(a *Ask) { a.Role = role }))
				if err != nil {
					t.Error(err)
				}
			})
		}
		wait.Go(func() {
			if _, err := other.DeclareAgent(t.Context(), b.by("coder-1"), Declaration{Name: role + "-1"}); err != nil {
				t.Error(err)
			}
		})
		wait.Wait()
	}
	queued, err := b.Dispatches(t.Context(), []string{StateQueued}, 0, 100)
	require.NoError(t, err)
	require.Empty(t, queued.Dispatches)
	require.Len(t, b.agentStory(t), 10)
}
