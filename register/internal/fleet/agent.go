package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// The states of an agent.
const (
	AgentLive    = "live"
	AgentGone    = "gone"
	AgentRetired = "retired"
)

// Agent is who runs work: <role>-<n> on one machine.
type Agent struct {
	Name          string       `json:"name"`
	TenantID      string       `json:"tenant_id"`
	Role          string       `json:"role"`
	Host          string       `json:"host"` // the machine it runs on
	Runtime       string       `json:"runtime,omitempty"`
	ModelCeiling  string       `json:"model_ceiling,omitempty"`
	Subscriptions []string     `json:"subscriptions"` // none: every one
	Identity      string       `json:"identity"`
	State         string       `json:"state"`
	Running       []DispatchID `json:"running"`
	DeclaredAt    time.Time    `json:"declared_at"`
	HeardAt       time.Time    `json:"heard_at"`
	LiveUntil     time.Time    `json:"live_until"`
	EndedAt       time.Time    `json:"ended_at,omitzero"`
}

// AgentPage is agents, by name.
type AgentPage struct {
	Agents []Agent   `json:"agents"`
	Next   string    `json:"next,omitempty"`
	Now    time.Time `json:"now"`
}

// Agents reads a page of agents by name: only those in states, unless there are none, and after a name.
func (s *Store) Agents(ctx context.Context, states []string, after string, page int) (AgentPage, error) {
	var out AgentPage
	err := s.read(ctx, func(t *transaction) error {
		out.Now = t.now
		rows, err := t.ListAgents(ctx, query.ListAgentsParams{TenantID: t.Tenant, States: append([]string{}, states...), After: after, Page: int32(page) + 1})
		if err != nil {
			return fmt.Errorf("listing the agents: %w", err)
		}
		if len(rows) > page {
			rows = rows[:page]
			out.Next = rows[page-1].Name
		}
		out.Agents, err = t.agents(ctx, rows...)
		return err
	})
	return out, err
}

// Agent reads one agent.
func (s *Store) Agent(ctx context.Context, name string) (Agent, error) {
	var agent Agent
	err := s.read(ctx, func(t *transaction) error {
		row, err := t.GetAgent(ctx, query.GetAgentParams{TenantID: t.Tenant, Name: name})
		if none(err) {
			return noAgent(name)
		}
		if err != nil {
			return fmt.Errorf("reading the agent: %w", err)
		}
		agents, err := t.agents(ctx, row)
		if err != nil {
			return err
		}
		agent = agents[0]
		return nil
	})
	return agent, err
}

func noAgent(name string) error {
	return notFound("agent "+name, "List the agents to see their names.")
}

// agents adds to the rows what each of them runs.
func (t *transaction) agents(ctx context.Context, rows ...query.Agent) ([]Agent, error) {
	running, err := t.runningOf(ctx, rows)
	if err != nil {
		return nil, err
	}
	out := make([]Agent, 0, len(rows))
	for _, row := range rows {
		out = append(out, Agent{
			Name: row.Name, TenantID: row.TenantID, Role: row.Role, Host: row.WorkerHost, Runtime: row.Runtime, ModelCeiling: row.ModelCeiling,
			Subscriptions: row.Subscriptions, Identity: row.Identity, State: row.State, Running: append([]DispatchID{}, running[row.Name]...),
			DeclaredAt: row.DeclaredAt.UTC(), HeardAt: row.HeardAt.UTC(), LiveUntil: row.LiveUntil.UTC(), EndedAt: instant(row.EndedAt),
		})
	}
	return out, nil
}

// runningOf is what each agent runs now.
func (t *transaction) runningOf(ctx context.Context, rows []query.Agent) (map[string][]DispatchID, error) {
	names := make([]string, 0, len(rows))
	for _, row := range rows {
		names = append(names, row.Name)
	}
	dispatches, err := t.RunningOf(ctx, query.RunningOfParams{TenantID: t.Tenant, Workers: names})
	if err != nil {
		return nil, fmt.Errorf("reading what agents run: %w", err)
	}
	running := make(map[string][]DispatchID)
	for _, dispatch := range dispatches {
		running[dispatch.Worker] = append(running[dispatch.Worker], DispatchID(dispatch.ID))
	}
	return running, nil
}

// agent is an agent as it stands in this transaction.
func (t *transaction) agent(ctx context.Context, name string, err error) (Agent, error) {
	if err != nil {
		return Agent{}, err
	}
	row, err := t.GetAgent(ctx, query.GetAgentParams{TenantID: t.Tenant, Name: name})
	if err != nil {
		return Agent{}, fmt.Errorf("reading the agent: %w", err)
	}
	agents, err := t.agents(ctx, row)
	if err != nil {
		return Agent{}, err
	}
	return agents[0], nil
}

func live(row *query.Agent, now time.Time) bool {
	return row.State == AgentLive && row.LiveUntil.After(now)
}

// RetireAgent takes an agent's name out of use for good: it gets no more work, and what it runs goes on.
func (s *Store) RetireAgent(ctx context.Context, m Mutation, name string) (Agent, error) {
	return once(ctx, s, m, func(t *transaction) (Agent, error) {
		row, err := t.LockAgent(ctx, query.LockAgentParams{TenantID: t.Tenant, Name: name})
		if none(err) {
			return Agent{}, noAgent(name)
		}
		if err != nil {
			return Agent{}, fmt.Errorf("locking the agent: %w", err)
		}
		if err := t.readClock(ctx); err != nil || row.State == AgentRetired {
			return t.agent(ctx, name, err)
		}
		return t.end(ctx, &row, AgentRetired, fmt.Sprintf("%s retired it.", t.actor))
	})
}

// end takes an agent out of the crew, and has what counted on it judged anew.
func (t *transaction) end(ctx context.Context, row *query.Agent, state, cause string) (Agent, error) {
	err := t.EndAgent(ctx, query.EndAgentParams{TenantID: t.Tenant, Name: row.Name, Host: t.Host, State: state, Now: t.now})
	if err != nil {
		return Agent{}, fmt.Errorf("writing the agent: %w", err)
	}
	agent, err := t.agent(ctx, row.Name, nil)
	if err != nil {
		return Agent{}, err
	}
	t.change.Replan = true
	return agent, t.tell(ctx, Event{Type: "agent." + state, Cause: cause, Agent: &agent})
}

// loseAgents marks those gone that were not heard for their liveness.
func (s *Store) loseAgents(ctx context.Context) error {
	due, err := s.due(ctx, "silent agents", func(t *transaction) (int64, error) {
		return t.CountSilent(ctx, query.CountSilentParams{TenantID: t.Tenant, Now: t.now})
	})
	if err != nil || !due {
		return err
	}
	return s.within(ctx, func(t *transaction) error {
		t.actor = Time
		if err := t.readClock(ctx); err != nil {
			return err
		}
		rows, err := t.LockSilent(ctx, query.LockSilentParams{TenantID: t.Tenant, Now: t.now})
		if err != nil {
			return fmt.Errorf("locking silent agents: %w", err)
		}
		for i := range rows {
			cause := fmt.Sprintf("Not heard since %s.", rows[i].HeardAt.UTC().Format("2006-01-02 15:04:05 UTC"))
			if _, err := t.end(ctx, &rows[i], AgentGone, cause); err != nil {
				return err
			}
		}
		return nil
	})
}

// crew is the live workers of a role, as the rules judge them.
func (b *book) crew(role string) *budget.Crew {
	crew := &budget.Crew{Role: role}
	for i := range b.agents {
		if b.agents[i].Role == role {
			crew.Workers = append(crew.Workers, workerOf(&b.agents[i]))
		}
	}
	return crew
}

func workerOf(row *query.Agent) budget.Worker {
	return budget.Worker{Subscriptions: row.Subscriptions, Ceiling: row.ModelCeiling}
}
