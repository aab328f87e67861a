package commands

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func agentOf(change ...func(*register.Agent)) register.Agent {
	agent := register.Agent{
		Name: "coder-1", Role: "coder", Host: "forge-a", Runtime: "claude-code", State: register.AgentStateLive, Subscriptions: []string{},
		Running: []string{}, HeardAt: monday.Add(-20 * time.Second), LiveUntil: monday.Add(40 * time.Second), EndedAt: time.Time{},
	}
	for _, alter := range change {
		alter(&agent)
	}
	return agent
}

func TestAgentsAreUnderstoodAsMeant(t *testing.T) {
	t.Parallel()
	require.JSONEq(t, `["live","gone"]`, string(understood(t, "agents").Arguments))
	require.JSONEq(t, `["retired","gone"]`, string(understood(t, "Workers Retired gone").Arguments))
	retire := understood(t, "agents retire coder–2.")
	require.Equal(t, "DELETE /api/fleet/agents/coder-2", retire.Mutation.Method+" "+retire.Mutation.Path)
	require.Equal(t, `The state: "gne" is not one of live, gone and retired. Did you mean gone?`, misunderstood(t, "agents gne").Problem)
	failure := misunderstood(t, "agents retire coder")
	require.Equal(t, `The agent: "coder" is not a name; accepted are a role, a dash and a number, such as coder-2.`, failure.Problem)
	require.Equal(t, "agents retire coder-2", failure.Example)
}

func TestAnAgentIsOneLineWithAllThatMatters(t *testing.T) {
	t.Parallel()
	list := register.AgentList{Now: monday, Agents: []register.Agent{
		agentOf(func(a *register.Agent) {
			a.Running, a.Subscriptions, a.ModelCeiling = []string{"D-3"}, []string{"claude", "claude/team-a"}, "sonnet"
		}),
		agentOf(func(a *register.Agent) { a.Name, a.Runtime = "coder-2", "" }),
		agentOf(func(a *register.Agent) {
			a.Name, a.State, a.EndedAt, a.HeardAt = "coder-3", register.AgentStateGone, monday, monday.Add(-5*time.Minute)
		}),
	}}
	reads(t, agentsText(list), "3 agents", "",
		"- coder-1 live, runs D-3 · heard 20 s ago · forge-a · claude-code · claude and claude/team-a up to sonnet",
		"- coder-2 live, idle · heard 20 s ago · forge-a · every subscription",
		"- coder-3 gone · heard 5 min ago · forge-a · claude-code · every subscription")
	require.Equal(t, "2 agents live, 1 idle, 1 gone: !mosaic agents", Plain(agentsLine(list.Agents)))
}

func TestAnAgentsEndIsToldWhereItMatters(t *testing.T) {
	t.Parallel()
	busy := agentOf(func(a *register.Agent) { a.Running = []string{"D-3"} })
	noticed(t, register.Event{Type: register.EventTypeAgentGone, Agent: busy}, false,
		"coder-1 is gone while it runs D-3", "What it runs goes on elsewhere once its claim ends, unless it comes back.", "Who is left: !mosaic agents")
	noticed(t, register.Event{Type: register.EventTypeAgentRetired, Agent: busy}, false,
		"coder-1 is retired", "It gets no more work.", "It still runs D-3; to stop that: !mosaic cancel D-3", "Who is left: !mosaic agents")
	_, told := NoticeFor(register.Event{Type: register.EventTypeAgentGone, Agent: agentOf()}, time.UTC)
	require.False(t, told, "an idle worker that ends is no news")
}

func TestAnAdminRetiresAnAgentInARoom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send(t, register.PutIdentity("anna", register.IdentityRequest{
		Kind: register.IdentityRequestKindHuman, MatrixID: "@anna:localhost", Roles: []register.FleetRole{register.FleetRoleAdmin},
	}), nil)
	b.answered(t, "anna", "agents retire coder-1", MoodDone, "coder-1 is retired", "It gets no more work.")
	b.answered(t, "anna", "agents retire coder-9", MoodRefused, "There is no agent coder-9.", "List the agents to see their names.")
	b.answered(t, "anna", "agents retired", MoodDone, "1 agent", "coder-1 retired")
}
