package conformance

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func claims() []promise {
	return []promise{
		{"claims", "a role without ready work answers 204", claimNothing},
		{"claims", "the highest priority goes first, then the oldest", claimInOrder},
		{"claims", "16 claimers at once get each dispatch once", race},
		{"claims", "heartbeats keep a claim and carry progress", beat},
		{"claims", "a cancelled run is told at its next heartbeat", beatCancelled},
		{"claims", "a running one is extended by its own claim only", extendRun},
		{"claims", "a completion needs an actual, or why there is none", complete},
		{"claims", "a completion's whole output is kept and read back to the letter", keepOutput},
		{"claims", "a claim that is over or another's is claim_lost", loseClaim},
		{"claims", "a claim without heartbeats expires, and its dispatch can be claimed again", expire},
	}
}

// claim answers nil when there was nothing to claim. Each claim comes from a host of its own, should a gateway bound them by host.
func (t *trial) claim(ctx context.Context, role, name string, ttl int) (*register.Claim, error) {
	m := register.ClaimDispatch(register.ClaimRequest{Role: role, Worker: name, Host: name + ".conformance.invalid", TTLSeconds: ttl})
	got, err := t.ask(ctx, asking{method: m.Method, path: m.Path, body: string(m.Body), token: t.options.WorkerToken, actor: t.workerActor(), key: key()})
	if err != nil {
		return nil, err
	}
	if got.status == http.StatusNoContent {
		return nil, nil
	}
	claim := new(register.Claim)
	return claim, got.into("the claim of "+name, claim)
}

// workerActor is whom claims are made for: the worker's own token speaks for itself.
func (t *trial) workerActor() string {
	if t.options.WorkerToken != "" {
		return ""
	}
	return worker
}

// report is a worker's change to what it claimed.
func (t *trial) report(ctx context.Context, m register.Mutation, into any) error {
	got, err := t.reported(ctx, m)
	if err != nil {
		return err
	}
	return got.into(m.Method+" "+m.Path, into)
}

func (t *trial) reported(ctx context.Context, m register.Mutation) (answer, error) {
	return t.ask(ctx, asking{method: m.Method, path: m.Path, body: string(m.Body), token: t.options.WorkerToken, actor: t.workerActor(), key: key()})
}

func (t *trial) reportRefused(ctx context.Context, code register.ProblemCode, m register.Mutation) error {
	got, err := t.reported(ctx, m)
	if err != nil {
		return err
	}
	if err := got.is(0, code); err != nil {
		return seen("%s answered %w", m.Path, err)
	}
	return nil
}

// running makes a dispatch and claims it.
func (t *trial) running(ctx context.Context, part string, ttl int) (*register.Claim, error) {
	made, err := t.ready(ctx, t.role(part))
	if err != nil {
		return nil, err
	}
	claim, err := t.claim(ctx, made.Role, made.Role+"-1", ttl)
	switch {
	case err != nil:
		return nil, err
	case claim == nil:
		return nil, seen("%s is ready, and a claim for its role found nothing", made.ID)
	case claim.Dispatch.ID != made.ID:
		return nil, seen("only %s is ready in the role, and %s was claimed", made.ID, claim.Dispatch.ID)
	case claim.Dispatch.State != register.DispatchStateRunning:
		return nil, seen("%s is claimed and %s", made.ID, claim.Dispatch.State)
	}
	return claim, nil
}

func (t *trial) unmetered(claim *register.Claim) register.Mutation {
	return register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{
		Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Unmetered: "A conformance run spends nothing.",
	})
}

func claimNothing(ctx context.Context, t *trial) error {
	claim, err := t.claim(ctx, t.role("nothing"), t.role("nothing")+"-1", 60)
	if err == nil && claim != nil {
		err = seen("%s was claimed, of the role %s", claim.Dispatch.ID, claim.Dispatch.Role)
	}
	return err
}

func claimInOrder(ctx context.Context, t *trial) error {
	role := t.role("order")
	made := make(map[int][]string)
	for _, priority := range []int{5, 9, 0, 9} {
		asked := t.work(role)
		asked.Priority = &priority
		dispatch, err := t.dispatch(ctx, asked)
		if err != nil {
			return err
		}
		made[priority] = append(made[priority], dispatch.ID)
	}
	want := slices.Concat(made[9], made[5], made[0])
	var got []string
	for i := range want {
		claim, err := t.claim(ctx, role, fmt.Sprintf("%s-%d", role, i+1), 60)
		if err != nil {
			return err
		}
		if claim == nil {
			break
		}
		got = append(got, claim.Dispatch.ID)
		if err := t.report(ctx, t.unmetered(claim), nil); err != nil {
			return err
		}
	}
	if !slices.Equal(got, want) {
		return seen("claimed were %v, not %v", got, want)
	}
	return nil
}

// race lets 16 workers claim and complete until there is nothing left.
func race(ctx context.Context, t *trial) error {
	const claimers, many = 16, 24
	role := t.role("race")
	var made []string
	for range many {
		dispatch, err := t.ready(ctx, role)
		if err != nil {
			return err
		}
		made = append(made, dispatch.ID)
	}
	var (
		mutex  sync.Mutex
		wait   sync.WaitGroup
		got    []string
		tokens = make(map[string]string)
		failed error
	)
	start := make(chan struct{})
	for i := range claimers {
		wait.Go(func() {
			<-start
			for range many {
				claim, err := t.claim(ctx, role, fmt.Sprintf("%s-%d", role, i+1), 60)
				if err == nil && claim == nil {
					return
				}
				mutex.Lock()
				switch {
				case err != nil:
					failed = err
				case tokens[claim.ID] != "":
					failed = seen("%s was given with the claim %s, which %s has", claim.Dispatch.ID, claim.ID, tokens[claim.ID])
				case slices.Contains(got, claim.Dispatch.ID):
					failed = seen("%s was claimed twice", claim.Dispatch.ID)
				default:
					got, tokens[claim.ID] = append(got, claim.Dispatch.ID), claim.Dispatch.ID
				}
				stop := failed != nil
				mutex.Unlock()
				if stop {
					return
				}
				if err := t.report(ctx, t.unmetered(claim), nil); err != nil {
					mutex.Lock()
					failed = err
					mutex.Unlock()
					return
				}
			}
		})
	}
	close(start)
	wait.Wait()
	if failed != nil {
		return failed
	}
	slices.Sort(made)
	if slices.Sort(got); !slices.Equal(got, made) {
		return seen("of %d ready dispatches %d were claimed", len(made), len(got))
	}
	return nil
}

func beat(ctx context.Context, t *trial) error {
	claim, err := t.running(ctx, "beat", 30)
	if err != nil {
		return err
	}
	if left := time.Until(claim.ExpiresAt); left < 5*time.Second || left > 2*time.Minute {
		return seen("a claim for 30 s expires in %s", left.Round(time.Second))
	}
	var alive register.Heartbeat
	err = t.report(ctx, register.HeartbeatDispatch(claim.Dispatch.ID, register.HeartbeatRequest{
		Claim: claim.ID, Progress: "half way", Metered: []register.Amount{{Unit: register.UnitMessages, Micros: 0}}, TTLSeconds: 600,
	}), &alive)
	if err != nil {
		return err
	}
	if alive.Cancelled || alive.ExpiresAt.Before(claim.ExpiresAt.Add(4*time.Minute)) {
		return seen("a heartbeat for 600 s answered cancelled %t, expires_at %s", alive.Cancelled, alive.ExpiresAt)
	}
	shown, err := t.show(ctx, claim.Dispatch.ID)
	if err != nil {
		return err
	}
	if shown.State != register.DispatchStateRunning || shown.Progress != "half way" || shown.Attempt != 1 {
		return seen("it is shown as %s, attempt %d, with the progress %q", shown.State, shown.Attempt, shown.Progress)
	}
	return t.report(ctx, t.unmetered(claim), nil)
}

func beatCancelled(ctx context.Context, t *trial) error {
	claim, err := t.running(ctx, "told", 60)
	if err != nil {
		return err
	}
	if err := t.change(ctx, operator, register.CancelDispatch(claim.Dispatch.ID, "stop"), nil); err != nil {
		return err
	}
	var alive register.Heartbeat
	if err := t.report(ctx, register.HeartbeatDispatch(claim.Dispatch.ID, register.HeartbeatRequest{Claim: claim.ID}), &alive); err != nil {
		return err
	}
	if !alive.Cancelled {
		return seen("the heartbeat after the cancellation answered cancelled false")
	}
	return nil
}

func complete(ctx context.Context, t *trial) error {
	claim, err := t.running(ctx, "complete", 60)
	if err != nil {
		return err
	}
	request := register.CompleteRequest{Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Result: register.Result{Summary: "nothing", ExitCode: new(0)}}
	if err := t.reportRefused(ctx, register.ProblemCodeActualMissing, register.CompleteDispatch(claim.Dispatch.ID, request)); err != nil {
		return err
	}
	request.Actuals = []register.Amount{{Unit: register.UnitMessages, Micros: 0}}
	var done register.Dispatch
	if err := t.report(ctx, register.CompleteDispatch(claim.Dispatch.ID, request), &done); err != nil {
		return err
	}
	if done.State != register.DispatchStateDone || len(done.Actuals) != 1 || done.Result.Summary != "nothing" || done.FinishedAt.IsZero() {
		return seen("it was completed as %+v", done)
	}
	failed, err := t.running(ctx, "complete", 60)
	if err != nil {
		return err
	}
	err = t.report(ctx, register.CompleteDispatch(failed.Dispatch.ID, register.CompleteRequest{
		Claim: failed.ID, Outcome: register.CompleteRequestOutcomeFailed, Unmetered: "A conformance run spends nothing.",
	}), &done)
	if err == nil && (done.State != register.DispatchStateFailed || done.Unmetered == "") {
		err = seen("completed as failed and unmetered it is %s, with unmetered %q", done.State, done.Unmetered)
	}
	return err
}

func keepOutput(ctx context.Context, t *trial) error {
	claim, err := t.running(ctx, "output", 60)
	if err != nil {
		return err
	}
	whole := strings.Repeat("a line <b> of \"output\"\n\tand é 🛑\n", 4000)
	request := register.CompleteRequest{
		Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Unmetered: "A conformance run spends nothing.",
		Result: register.Result{Summary: "the end"}, Output: whole,
	}
	var done register.Dispatch
	if err := t.report(ctx, register.CompleteDispatch(claim.Dispatch.ID, request), &done); err != nil {
		return err
	}
	if done.Result.OutputBytes != int64(len(whole)) || done.Result.Summary != "the end" {
		return seen("completed with an output of %d bytes its result is %+v", len(whole), done.Result)
	}
	var kept register.Output
	if err := t.read(ctx, viewer, "/api/fleet/dispatches/"+done.ID+"/output", &kept); err != nil {
		return err
	}
	if kept.Text != whole || kept.Dispatch != done.ID {
		return seen("the output of %s was read back as %d bytes of %s, and it was %d", done.ID, len(kept.Text), kept.Dispatch, len(whole))
	}
	short, err := t.running(ctx, "output", 60)
	if err != nil {
		return err
	}
	if err := t.report(ctx, t.unmetered(short), nil); err != nil {
		return err
	}
	got, err := t.ask(ctx, asking{method: http.MethodGet, path: "/api/fleet/dispatches/" + short.Dispatch.ID + "/output", actor: viewer})
	if err != nil {
		return err
	}
	if err := got.is(0, register.ProblemCodeNotFound); err != nil {
		return seen("the output of %s, which has none, answered %w", short.Dispatch.ID, err)
	}
	return nil
}

func loseClaim(ctx context.Context, t *trial) error {
	claim, err := t.running(ctx, "lose", 60)
	if err != nil {
		return err
	}
	stranger := *claim
	stranger.ID = "conformance-no-claim"
	if err := t.reportRefused(ctx, register.ProblemCodeClaimLost, t.unmetered(&stranger)); err != nil {
		return err
	}
	if err := t.report(ctx, t.unmetered(claim), nil); err != nil {
		return err
	}
	late := register.HeartbeatDispatch(claim.Dispatch.ID, register.HeartbeatRequest{Claim: claim.ID})
	if err := t.reportRefused(ctx, register.ProblemCodeClaimLost, late); err != nil {
		return err
	}
	return t.reportRefused(ctx, register.ProblemCodeClaimLost, t.unmetered(claim))
}

// expire lets a claim of the shortest TTL lapse.
func expire(ctx context.Context, t *trial) error {
	lost, err := t.running(ctx, "expire", 5)
	if err != nil {
		return err
	}
	return soon(ctx, 30*time.Second, func() error {
		again, err := t.claim(ctx, lost.Dispatch.Role, lost.Dispatch.Role+"-2", 60)
		switch {
		case err != nil:
			return err
		case again == nil:
			return seen("a claim for 5 s is held")
		case again.Dispatch.ID != lost.Dispatch.ID || again.ID == lost.ID || again.Dispatch.Attempt != 2:
			return seen("%s was claimed again as attempt %d of %s", lost.Dispatch.ID, again.Dispatch.Attempt, again.Dispatch.ID)
		}
		if err := t.reportRefused(ctx, register.ProblemCodeClaimLost, t.unmetered(lost)); err != nil {
			return err
		}
		return t.report(ctx, t.unmetered(again), nil)
	})
}

// extendRun asks for no more than nothing, so that no window of anyone's is touched.
func extendRun(ctx context.Context, t *trial) error {
	claim, err := t.running(ctx, "extend", 60)
	if err != nil {
		return err
	}
	none := []register.Amount{{Unit: register.UnitMessages, Micros: 0}}
	other := register.ExtendDispatch(claim.Dispatch.ID, register.ExtendRequest{Claim: "another", Reserve: none})
	if err := t.reportRefused(ctx, register.ProblemCodeClaimLost, other); err != nil {
		return err
	}
	var extension register.Extension
	if err := t.report(ctx, register.ExtendDispatch(claim.Dispatch.ID, register.ExtendRequest{Claim: claim.ID, Reserve: none}), &extension); err != nil {
		return err
	}
	if !slices.Contains(extension.Reserved, none[0]) {
		return seen("asked to hold %+v it holds %+v", none, extension.Reserved)
	}
	return t.report(ctx, t.unmetered(claim), nil)
}
