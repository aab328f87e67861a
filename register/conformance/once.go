package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func once() []promise {
	return []promise{
		{"once", "the same key and payload answers the same, byte for byte", replay},
		{"once", "the same key with another payload is 409 idempotency_mismatch", mismatch},
		{"once", "a repeated key takes effect once", effectOnce},
		{"once", "8 requests at once under one key take effect once", together},
		{"once", "a 401 uses up no key", unauthorizedKeepsKey},
		{"once", "a change without a key, or with one too long, is refused", needKey},
	}
}

// repeated is a change that is made once, and another that must not pass under its key.
type repeated struct {
	actor         string
	change, other register.Mutation
}

// changes lists one change of each kind but the board's, which leave something open; each needs something of its own to change.
func (t *trial) changes(ctx context.Context, part string) ([]repeated, error) {
	role := t.role(part)
	open, err := t.dispatch(ctx, t.work(role+"-cancel"))
	if err != nil {
		return nil, err
	}
	if _, err := t.ready(ctx, role+"-claim"); err != nil {
		return nil, err
	}
	claim, err := t.running(ctx, part, 60)
	if err != nil {
		return nil, err
	}
	other := t.work(role)
	other.Brief += " Or something."
	if _, err := t.declare(ctx, role+"-9", register.AgentDeclaration{}); err != nil {
		return nil, err
	}
	amend, reset := window(time.Now().Add(time.Hour)), time.Now().Add(time.Hour)
	raised := amend
	raised.LimitMicros++
	id := claim.Dispatch.ID
	finish := register.CompleteRequest{Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Unmetered: "none"}
	finishElse := finish
	finishElse.Unmetered = "none at all"
	identity := register.IdentityRequest{Kind: register.IdentityRequestKindService, MatrixID: matrixID(viewer), Roles: []register.FleetRole{register.FleetRoleViewer}}
	identityElse := identity
	identityElse.Kind = register.IdentityRequestKindAgent
	room := register.RoomBinding{Room: "!conformance:conformance.invalid", Purposes: []register.RoomPurpose{}}
	roomElse := room
	roomElse.Alias = "#else:conformance.invalid"
	return []repeated{
		{operator, register.CreateDispatch(t.work(role)), register.CreateDispatch(other)},
		{operator, register.CancelDispatch(open.ID, "one"), register.CancelDispatch(open.ID, "two")},
		{worker, register.ClaimDispatch(register.ClaimRequest{Role: role + "-claim", Worker: role + "-claim-1"}), register.ClaimDispatch(register.ClaimRequest{Role: role + "-claim", Worker: role + "-claim-2"})},
		{worker, register.HeartbeatDispatch(id, register.HeartbeatRequest{Claim: claim.ID, Progress: "one"}), register.HeartbeatDispatch(id, register.HeartbeatRequest{Claim: claim.ID, Progress: "two"})},
		{worker, register.CompleteDispatch(id, finish), register.CompleteDispatch(id, finishElse)},
		{worker, register.DeclareAgent(role+"-8", register.AgentDeclaration{}), register.DeclareAgent(role+"-8", register.AgentDeclaration{Runtime: "another"})},
		{"", register.RetireAgent(role + "-9"), register.RetireAgent(role + "-8")},
		{operator, register.SetBudget(amend), register.SetBudget(raised)},
		{operator, register.ResetBudget(register.BudgetResetRequest{Provider: provider, ResetAt: reset}), register.ResetBudget(register.BudgetResetRequest{Provider: provider, ResetAt: reset, Zero: true})},
		{"", register.PutIdentity(viewer, identity), register.PutIdentity(viewer, identityElse)},
		{"", register.BindRoom(room), register.BindRoom(roomElse)},
	}, nil
}

func replay(ctx context.Context, t *trial) error {
	return t.sendUnderOneKey(ctx, "replay", func(c repeated) register.Mutation { return c.change }, func(c repeated, first, again answer) error {
		if again.status != first.status || !bytes.Equal(again.body, first.body) {
			return seen("%s %s answered %s, then %s;", c.change.Method, c.change.Path, first, again)
		}
		return nil
	})
}

func mismatch(ctx context.Context, t *trial) error {
	return t.sendUnderOneKey(ctx, "mismatch", func(c repeated) register.Mutation { return c.other }, func(c repeated, _, other answer) error {
		if err := other.is(http.StatusConflict, register.ProblemCodeIdempotencyMismatch); err != nil {
			return seen("%s %s answered %w;", c.other.Method, c.other.Path, err)
		}
		return nil
	})
}

// sendUnderOneKey makes every kind of change, and after it another under the same key, and judges what that is answered.
func (t *trial) sendUnderOneKey(ctx context.Context, part string, then func(repeated) register.Mutation, judge func(c repeated, first, second answer) error) error {
	changes, err := t.changes(ctx, part)
	if err != nil {
		return err
	}
	var wrong []error
	for _, c := range changes {
		key := key()
		first, err := t.send(ctx, c.actor, key, c.change)
		if err == nil {
			err = first.into(c.change.Method+" "+c.change.Path, nil)
		}
		if err != nil {
			return err
		}
		second, err := t.send(ctx, c.actor, key, then(c))
		if err != nil {
			return err
		}
		wrong = append(wrong, judge(c, first, second))
	}
	return errors.Join(wrong...)
}

func effectOnce(ctx context.Context, t *trial) error {
	role, key := t.role("effect"), key()
	for range 3 {
		if _, err := t.send(ctx, operator, key, register.CreateDispatch(t.work(role))); err != nil {
			return err
		}
	}
	return t.oneIn(ctx, role)
}

func (t *trial) oneIn(ctx context.Context, role string) error {
	listed, err := t.inRole(ctx, role, "")
	if err == nil && len(listed) != 1 {
		err = seen("%d dispatches were made, %v", len(listed), ids(listed))
	}
	return err
}

func together(ctx context.Context, t *trial) error {
	role, key := t.role("together"), key()
	answers, failed := make([]answer, 8), make([]error, 8)
	var wait sync.WaitGroup
	for i := range answers {
		wait.Go(func() {
			for range 20 {
				answers[i], failed[i] = t.send(ctx, operator, key, register.CreateDispatch(t.work(role)))
				if failed[i] != nil || answers[i].status < 400 || ends(answers[i].status) {
					return
				}
				time.Sleep(100 * time.Millisecond) // it says that the command was not consumed
			}
		})
	}
	wait.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	if err := t.oneIn(ctx, role); err != nil {
		return err
	}
	different := slices.IndexFunc(answers, func(a answer) bool {
		return a.status != answers[0].status || !bytes.Equal(a.body, answers[0].body)
	})
	if different > 0 {
		return seen("one was answered %s, another %s", answers[0], answers[different])
	}
	return answers[0].into("creating a dispatch", nil)
}

func unauthorizedKeepsKey(ctx context.Context, t *trial) error {
	m, key := register.CreateDispatch(t.work(t.role("unauthorized"))), key()
	got, err := t.ask(ctx, asking{method: m.Method, path: m.Path, body: string(m.Body), token: "conformance-no-token", key: key})
	if err != nil {
		return err
	}
	if err := got.is(http.StatusUnauthorized, register.ProblemCodeUnauthorized); err != nil {
		return err
	}
	other := t.work(t.role("unauthorized"))
	other.Brief += " Or something."
	got, err = t.send(ctx, operator, key, register.CreateDispatch(other))
	if err != nil {
		return err
	}
	return got.into("the same key with a token that is known", nil)
}

func needKey(ctx context.Context, t *trial) error {
	body, err := json.Marshal(t.work(t.role("keyless")))
	if err != nil {
		return seen("writing a request: %w", err)
	}
	for _, key := range []string{"", string(bytes.Repeat([]byte("k"), 256))} {
		got, err := t.ask(ctx, asking{method: http.MethodPost, path: "/api/fleet/dispatches", body: string(body), actor: operator, key: key})
		if err != nil {
			return err
		}
		if err := got.is(http.StatusBadRequest, register.ProblemCodeInvalid); err != nil {
			return seen("a key of %d characters was answered %w", len(key), err)
		}
	}
	listed, err := t.inRole(ctx, t.role("keyless"), "")
	if err == nil && len(listed) > 0 {
		err = seen("%v was made", ids(listed))
	}
	return err
}
