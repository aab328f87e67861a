package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Claim is a worker's right to run one dispatch until it expires.
type Claim struct {
	ID         string    `json:"id"`
	ExpiresAt  time.Time `json:"expires_at"`
	ContextCap int64     `json:"context_cap"` // tokens one session of the run may have
	Dispatch   Dispatch  `json:"dispatch"`
}

// ClaimDispatch gives a worker the first ready dispatch in line for its role that it is declared for, by priority and age; nil when
// there is none, and *Withheld when none is given out. Whoever asks is heard of as live.
func (s *Store) ClaimDispatch(ctx context.Context, m Mutation, role, worker string, ttl time.Duration) (*Claim, error) {
	return s.ClaimOn(ctx, m, role, worker, "", ttl)
}

// ClaimOn is ClaimDispatch for a worker that says which host it runs on, which bounds how much runs there at once.
func (s *Store) ClaimOn(ctx context.Context, m Mutation, role, worker, host string, ttl time.Duration) (*Claim, error) {
	err := s.within(ctx, func(t *transaction) error {
		t.actor = m.Actor
		return t.present(ctx, role, worker, host, ttl)
	})
	if err != nil {
		return nil, err
	}
	return once(ctx, s, m, func(t *transaction) (*Claim, error) {
		pause, err := t.sharePause(ctx)
		if err != nil {
			return nil, err
		}
		if pause != nil {
			return nil, &Withheld{pause.text()}
		}
		if err := t.withinBound(ctx, role, host); err != nil {
			return nil, err
		}
		agent, err := t.GetAgent(ctx, query.GetAgentParams{TenantID: t.Tenant, Name: worker})
		if err != nil {
			return nil, fmt.Errorf("reading the agent: %w", err)
		}
		if agent.State == AgentRetired {
			return nil, retired(&agent)
		}
		row, err := t.nextFor(ctx, &agent)
		switch {
		case err != nil:
			return nil, err
		case row == nil && t.change.Replan: // what was returned is in line again
			t.unkept = true
			return nil, nil
		case row == nil:
			t.unrecorded = true
			return nil, t.unfit(ctx, &agent)
		}
		if err := t.readClock(ctx); err != nil {
			return nil, err
		}
		row.WorkerHost = host
		return t.claim(ctx, row, worker, ttl)
	})
}

// withinBound withholds work while as much of a role runs on a host as may. Claims of one role and host take turns, so that
// none counts past another.
func (t *transaction) withinBound(ctx context.Context, role, host string) error {
	if t.WorkerBound == 0 {
		return nil
	}
	if err := t.LockRunning(ctx, query.LockRunningParams{TenantID: t.Tenant, Role: role, WorkerHost: host}); err != nil {
		return fmt.Errorf("taking turns with the claims of %s: %w", role, err)
	}
	running, err := t.CountRunning(ctx, query.CountRunningParams{TenantID: t.Tenant, Role: role, WorkerHost: host})
	if err != nil {
		return fmt.Errorf("counting what runs for %s: %w", role, err)
	}
	if running < int64(t.WorkerBound) {
		return nil
	}
	where := "a host that was not named"
	if host != "" {
		where = host
	}
	return &Withheld{fmt.Sprintf("%d dispatches for %s run on %s already; at most %d may at once.", running, role, where, t.WorkerBound)}
}

func (t *transaction) claim(ctx context.Context, row *query.Dispatch, worker string, ttl time.Duration) (*Claim, error) {
	expires := t.now.Add(ttl)
	row.State, row.Worker, row.Claim, row.ClaimExpiresAt, row.ReadyAt = StateRunning, worker, uuid.NewString(), &expires, nil
	row.Attempt++
	row.Reason = fmt.Sprintf("%s runs it, attempt %d of %d.", worker, row.Attempt, row.MaxAttempts)
	if row.StartedAt == nil {
		row.StartedAt = &t.now
	}
	dispatch, err := t.putAndTell(ctx, row, "dispatch.running")
	if err != nil {
		return nil, err
	}
	return &Claim{ID: row.Claim, ExpiresAt: expires, ContextCap: t.ContextCap, Dispatch: dispatch}, nil
}

// putAndTell writes a dispatch and an event that shows it.
func (t *transaction) putAndTell(ctx context.Context, row *query.Dispatch, event string) (Dispatch, error) {
	if err := t.putDispatch(ctx, row); err != nil {
		return Dispatch{}, err
	}
	dispatches, err := t.dispatches(ctx, []query.Dispatch{*row})
	if err != nil {
		return Dispatch{}, err
	}
	return dispatches[0], t.tell(ctx, Event{Type: event, Cause: row.Reason, Dispatch: &dispatches[0]})
}

// Heartbeat is the answer to a worker that is still alive.
type Heartbeat struct {
	ExpiresAt time.Time `json:"expires_at"`
	Cancelled bool      `json:"cancelled"`
}

// Beat is what a living worker reports. Metered is its whole spend so far; a unit that is left out stays as it was last reported.
type Beat struct {
	Claim    string
	Metered  []Amount
	Progress string
	TTL      time.Duration
}

// HeartbeatDispatch keeps a claim alive, or tells the worker that the dispatch was cancelled.
func (s *Store) HeartbeatDispatch(ctx context.Context, m Mutation, id DispatchID, beat Beat) (Heartbeat, error) {
	return once(ctx, s, m, func(t *transaction) (Heartbeat, error) {
		if err := t.hearRunner(ctx, id, beat.Claim); err != nil {
			return Heartbeat{}, err
		}
		row, err := t.lockDispatch(ctx, id)
		if err != nil {
			return Heartbeat{}, err
		}
		if err := t.readClock(ctx); err != nil {
			return Heartbeat{}, err
		}
		if row.Claim == "" || row.Claim != beat.Claim || row.State != StateRunning && row.State != StateCancelled {
			return Heartbeat{}, claimLost(&row)
		}
		if row.State == StateCancelled {
			return Heartbeat{ExpiresAt: t.now, Cancelled: true}, nil
		}
		return t.beat(ctx, &row, beat)
	})
}

// hearRunner notes that the agent behind a claim is alive.
func (t *transaction) hearRunner(ctx context.Context, id DispatchID, claim string) error {
	agent, err := t.RunnerOf(ctx, query.RunnerOfParams{TenantID: t.Tenant, Dispatch: int64(id), Claim: claim})
	if none(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading who runs %s: %w", id, err)
	}
	return t.hear(ctx, &agent)
}

func (t *transaction) beat(ctx context.Context, row *query.Dispatch, beat Beat) (Heartbeat, error) {
	expires := t.now.Add(beat.TTL)
	row.ClaimExpiresAt = &expires
	if beat.Metered != nil {
		before, err := meteredOf(row)
		if err != nil {
			return Heartbeat{}, err
		}
		row.Metered = encode(grown(before, beat.Metered))
	}
	if beat.Progress == "" || beat.Progress == row.Progress {
		return Heartbeat{ExpiresAt: expires}, t.putDispatch(ctx, row)
	}
	row.Progress = beat.Progress
	_, err := t.putAndTell(ctx, row, "dispatch.progress")
	return Heartbeat{ExpiresAt: expires}, err
}

func claimLost(row *query.Dispatch) error {
	return &Error{
		Code:     CodeClaimLost,
		Detail:   fmt.Sprintf("This claim on %s is no longer valid; the dispatch is %s.", DispatchID(row.ID), row.State),
		NextStep: "Stop the run and claim other work.",
	}
}
