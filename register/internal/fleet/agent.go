package fleet

import (
	"context"
	"fmt"
	"regexp"
	"slices"
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

// DefaultLiveness is how long an agent counts as live after it was last heard, unless it declares otherwise.
const DefaultLiveness = time.Minute

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

// Declaration is what a worker says of itself. No subscriptions means that its host is logged in to every one.
type Declaration struct {
	Name, Host, Runtime, ModelCeiling string
	Subscriptions                     []string
	Liveness                          time.Duration
}

var roleNamed = regexp.MustCompile(`^([A-Za-z0-9_.-]{1,64})-[1-9][0-9]*$`)

// roleOf is the role in an agent's name.
func roleOf(name string) (string, error) {
	if parts := roleNamed.FindStringSubmatch(name); parts != nil {
		return parts[1], nil
	}
	return "", &Error{
		Code: CodeInvalid, Field: "name", Detail: fmt.Sprintf("%q is not an agent's name: a role, a hyphen and a number.", name), Example: "coder-1",
	}
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

// DeclareAgent says who a worker is, and that it is alive. Said again unchanged it only extends that, and uses up no key.
func (s *Store) DeclareAgent(ctx context.Context, m Mutation, declaration Declaration) (Agent, error) {
	return once(ctx, s, m, func(t *transaction) (Agent, error) {
		declaration, err := t.checked(declaration)
		if err != nil {
			return Agent{}, err
		}
		known, err := t.GetAgent(ctx, query.GetAgentParams{TenantID: t.Tenant, Name: declaration.Name})
		if err != nil && !none(err) {
			return Agent{}, fmt.Errorf("reading the agent: %w", err)
		}
		if err == nil && known.Identity == t.actor && declaration.sameAs(&known) {
			if heard, err := t.heard(ctx, &known); err != nil || heard {
				t.unkept = true
				return t.agent(ctx, known.Name, err)
			}
		}
		return t.join(ctx, declaration)
	})
}

// checked is a declaration in the form it is kept in.
func (t *transaction) checked(d Declaration) (Declaration, error) {
	if _, err := roleOf(d.Name); err != nil {
		return d, err
	}
	if _, err := t.Ladder.From(d.ModelCeiling); err != nil {
		return d, &Error{Code: CodeInvalid, Field: "model_ceiling", Detail: err.Error(), Example: t.Ladder[0].Model}
	}
	if d.Liveness == 0 {
		d.Liveness = DefaultLiveness
	}
	d.Subscriptions = slices.Clone(d.Subscriptions)
	slices.Sort(d.Subscriptions)
	d.Subscriptions = append([]string{}, slices.Compact(d.Subscriptions)...)
	return d, nil
}

func (d Declaration) sameAs(row *query.Agent) bool {
	return d.Host == row.WorkerHost && d.Runtime == row.Runtime && d.ModelCeiling == row.ModelCeiling &&
		slices.Equal(d.Subscriptions, row.Subscriptions) && int32(d.Liveness.Seconds()) == row.LivenessSeconds
}

func declarationOf(row *query.Agent) Declaration {
	return Declaration{
		Name: row.Name, Host: row.WorkerHost, Runtime: row.Runtime, ModelCeiling: row.ModelCeiling, Subscriptions: row.Subscriptions,
		Liveness: time.Duration(row.LivenessSeconds) * time.Second,
	}
}

// heard notes that an agent is alive; false if it does not count as live any more, and has to join again.
func (t *transaction) heard(ctx context.Context, row *query.Agent) (bool, error) {
	if err := t.readClock(ctx); err != nil {
		return false, err
	}
	updated, err := t.HearAgent(ctx, query.HearAgentParams{TenantID: t.Tenant, Name: row.Name, Host: t.Host, Now: t.now})
	if err != nil {
		return false, fmt.Errorf("noting that %s is alive: %w", row.Name, err)
	}
	return updated == 1, nil
}

// join makes an agent live under a declaration and judges what waits with it, so that whoever judges either sees the agent
// or is seen by this: it takes the set of windows, which they share.
func (t *transaction) join(ctx context.Context, d Declaration) (Agent, error) {
	if err := t.lockWindowSet(ctx); err != nil {
		return Agent{}, err
	}
	row, err := t.LockAgent(ctx, query.LockAgentParams{TenantID: t.Tenant, Name: d.Name})
	known := err == nil
	if err != nil && !none(err) {
		return Agent{}, fmt.Errorf("locking the agent: %w", err)
	}
	event := "agent.joined"
	if known {
		if err := mayDeclare(&row, t.actor, t.now); err != nil {
			return Agent{}, err
		}
		if live(&row, t.now) {
			if row.Identity == t.actor && d.sameAs(&row) { // another gateway was first
				return t.agent(ctx, d.Name, nil)
			}
			event = "agent.changed"
		}
	}
	if err := t.putAgent(ctx, d); err != nil {
		return Agent{}, err
	}
	agent, err := t.agent(ctx, d.Name, nil)
	if err != nil {
		return Agent{}, err
	}
	if err := t.tell(ctx, Event{Type: event, Agent: &agent}); err != nil {
		return Agent{}, err
	}
	return agent, t.welcome(ctx, d.Name)
}

// welcome judges what waits with an agent that has joined.
func (t *transaction) welcome(ctx context.Context, name string) error {
	b, err := t.openBook(ctx)
	if err != nil {
		return err
	}
	if err := t.offer(ctx, b, name); err != nil {
		return err
	}
	if _, err := t.replanLine(ctx, b); err != nil {
		return err
	}
	return t.closeBook(ctx, b)
}

func (t *transaction) putAgent(ctx context.Context, d Declaration) error {
	role, err := roleOf(d.Name)
	if err != nil {
		return err
	}
	err = t.PutAgent(ctx, query.PutAgentParams{
		TenantID: t.Tenant, Name: d.Name, Host: t.Host, Role: role, WorkerHost: d.Host, Runtime: d.Runtime, ModelCeiling: d.ModelCeiling,
		Subscriptions: append([]string{}, d.Subscriptions...), Identity: t.actor, State: AgentLive, DeclaredAt: t.now, HeardAt: t.now,
		LivenessSeconds: int32(d.Liveness.Seconds()), LiveUntil: t.now.Add(d.Liveness),
	})
	if err != nil {
		return fmt.Errorf("writing the agent: %w", err)
	}
	return nil
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

// mayDeclare keeps a retired name out of use, and a live one with the identity that declared it.
func mayDeclare(row *query.Agent, actor string, now time.Time) error {
	if row.State == AgentRetired {
		return retired(row)
	}
	if live(row, now) && row.Identity != actor {
		return &Error{
			Code: CodeForbidden, Field: "name", Detail: fmt.Sprintf("%s is live and was declared by %s.", row.Name, row.Identity),
			Example: row.Role + "-2", NextStep: "Declare yourself under another number, or stop the other worker first.",
		}
	}
	return nil
}

func retired(row *query.Agent) error {
	return &Error{
		Code: CodeAgentRetired, Field: "name", Detail: fmt.Sprintf("%s was retired at %s and gets no more work.", row.Name, row.EndedAt.UTC().Format("2006-01-02 15:04:05 UTC")),
		Example: fmt.Sprintf("mosaic-matrix work --role %s --name %s-2 -- ./agent.sh", row.Role, row.Role), NextStep: "Start the worker under another number.",
	}
}

// present makes sure that who asks for work is a live agent. One that nobody declared is taken to be logged in to everything.
func (t *transaction) present(ctx context.Context, role, name, host string, ttl time.Duration) error {
	if named, err := roleOf(name); err != nil || named != role {
		return &Error{
			Code: CodeInvalid, Field: "worker", Detail: fmt.Sprintf("The worker %q is not named after its role %s.", name, role), Example: role + "-1",
		}
	}
	row, err := t.GetAgent(ctx, query.GetAgentParams{TenantID: t.Tenant, Name: name})
	if none(err) {
		_, err = t.join(ctx, Declaration{Name: name, Host: host, Liveness: max(ttl, DefaultLiveness)})
		return err
	}
	if err != nil {
		return fmt.Errorf("reading the agent: %w", err)
	}
	return t.hear(ctx, &row)
}

// hear notes that an agent is alive, at most four times in its liveness; one that was gone is back.
func (t *transaction) hear(ctx context.Context, row *query.Agent) error {
	if row.State == AgentRetired {
		return nil
	}
	if err := t.readClock(ctx); err != nil {
		return err
	}
	liveness := time.Duration(row.LivenessSeconds) * time.Second
	if live(row, t.now) && t.now.Before(row.HeardAt.Add(liveness/4)) {
		return nil
	}
	if heard, err := t.heard(ctx, row); err != nil || heard {
		return err
	}
	_, err := t.join(ctx, declarationOf(row))
	return err
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
	var silent int64
	err := s.read(ctx, func(t *transaction) error {
		var err error
		silent, err = t.CountSilent(ctx, query.CountSilentParams{TenantID: t.Tenant, Now: t.now})
		if err != nil {
			return fmt.Errorf("looking for silent agents: %w", err)
		}
		return nil
	})
	if err != nil || silent == 0 {
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
