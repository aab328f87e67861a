package fleet

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// DefaultLiveness is how long an agent counts as live after it was last heard, unless it declares otherwise.
const DefaultLiveness = time.Minute

// Declaration is what a worker says of itself. No subscriptions means that its host is logged in to every one.
type Declaration struct {
	Name, Host, Runtime, ModelCeiling string
	Subscriptions                     []string
	Liveness                          time.Duration
}

var roleNamed = regexp.MustCompile(`^([A-Za-z0-9_.-]{1,64})-[1-9][0-9]{0,8}$`)

// roleOf is the role in an agent's name.
func roleOf(name string) (string, error) {
	if parts := roleNamed.FindStringSubmatch(name); parts != nil {
		return parts[1], nil
	}
	return "", &Error{
		Code: CodeInvalid, Field: "name", Detail: fmt.Sprintf("%q is not an agent's name: a role, a hyphen and a number.", name), Example: "coder-1",
	}
}

// DeclareAgent says who a worker is, and that it is alive. Said again unchanged it only extends that, and uses up no key.
func (s *Store) DeclareAgent(ctx context.Context, m Mutation, declaration Declaration) (Agent, error) {
	return once(ctx, s, m, func(t *transaction) (Agent, error) {
		declaration, err := t.checked(ctx, declaration)
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
func (t *transaction) checked(ctx context.Context, d Declaration) (Declaration, error) {
	if _, err := roleOf(d.Name); err != nil {
		return d, err
	}
	if err := t.climb(ctx); err != nil {
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
