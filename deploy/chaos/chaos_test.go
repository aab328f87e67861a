// Package chaos kills gateways under load and then audits the register.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

const (
	creators = 64
	workers  = 16
	// lifetime is how long a claim lives without a heartbeat: the shortest the contract takes.
	lifetime = 5 * time.Second
)

// night is one run: two gateways on one database, and what everyone was answered.
type night struct {
	t        *testing.T
	seed     uint64
	database localtest.DB
	binary   string
	folder   string
	gateways [2]*gatewayProcess
	aimed    atomic.Int64 // times a gateway killed itself where it was told to
	tokens   map[string]string

	mutex    sync.Mutex
	answered map[string]string            // by key, the dispatch that every answer under it named
	runs     map[string]map[int]string    // by dispatch and attempt, the claim
	reported map[string][]register.Amount // by dispatch, the actuals of the completion that was taken
	seen     int64                        // micro-tokens of use that no dispatch explains
}

// gatewayProcess is one gateway that is killed and started again at the same address.
type gatewayProcess struct {
	address string
	process *local.Process
}

func TestKilledGatewaysLoseNothingAndDoNothingTwice(t *testing.T) {
	t.Parallel()
	long := 30 * time.Second
	if asked := os.Getenv("CHAOS"); asked != "" {
		var err error
		long, err = time.ParseDuration(asked)
		require.NoError(t, err, "CHAOS is how long to go on, such as 5m")
	}
	n := newNight(t)
	n.setBudgets()
	readers := n.follow(2)

	working, sendWorkersHome := context.WithCancel(t.Context())
	var crew errgroup.Group
	for i := range workers {
		crew.Go(func() error { return n.work(working, i) })
	}
	asking, stopAsking := context.WithTimeout(t.Context(), long)
	defer stopAsking()
	var askers errgroup.Group
	for i := range creators {
		askers.Go(func() error { return n.create(asking, i) })
	}
	askers.Go(func() error { return n.meter(asking) })
	kills := n.killUntil(asking)
	require.NoError(t, askers.Wait())
	n.settle()
	sendWorkersHome()
	require.NoError(t, crew.Wait())
	n.audit(readers)
	t.Logf("%s, %d kills: %d keys answered, %d dispatches ran (seed %d)", long, kills, len(n.answered), len(n.runs), n.seed)
	require.GreaterOrEqual(t, kills, int(long/(10*time.Second)), "gateways were hardly killed")
	require.Greater(t, len(n.runs), creators, "hardly anything ran")
}

func newNight(t *testing.T) *night {
	t.Helper()
	n := &night{
		t: t, seed: rand.Uint64(), database: localtest.Database(t), folder: t.TempDir(), tokens: map[string]string{},
		answered: map[string]string{}, runs: map[string]map[int]string{}, reported: map[string][]register.Amount{},
	}
	n.binary = filepath.Join(n.folder, "mosaic-matrix")
	build := exec.Command("go", "build", "-tags", "goolm", "-o", n.binary, "git.mosaicstack.dev/mosaicstack/mosaic-matrix")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	n.issue("root", "admin", "admin")
	n.issue("olga", "operator", "operate")
	for i := range workers {
		n.issue(fmt.Sprintf("coder-%d", i+1), "worker", "worker")
	}
	for i := range n.gateways {
		port, err := local.FreePort("127.0.0.1")
		require.NoError(t, err)
		n.gateways[i] = &gatewayProcess{address: fmt.Sprintf("127.0.0.1:%d", port)}
		n.start(i)
	}
	t.Cleanup(func() {
		for _, gateway := range n.gateways {
			gateway.process.Stop()
		}
	})
	return n
}

func (n *night) environment() []string {
	return append(os.Environ(), "MOSAIC_CONFIG=", "MOSAIC_GATEWAY_DATABASE="+n.database.Gateway, "MOSAIC_GATEWAY_WORKER_BOUND=1000", "MOSAIC_GATEWAY_RATE=0", "MOSAIC_LOG_LEVEL=warn")
}

func (n *night) issue(identity, role, scope string) {
	n.t.Helper()
	command := exec.Command(n.binary, "token", "--identity", identity, "--kind", "service", "--roles", role, "--scopes", scope)
	command.Env = n.environment()
	out, err := command.Output()
	require.NoError(n.t, err)
	n.tokens[identity] = strings.TrimSpace(string(out))
}

// start brings a gateway up, or up again, and waits until it is ready.
func (n *night) start(i int) {
	gateway := n.gateways[i]
	process, err := local.StartProcess(local.ProcessOptions{
		Name: "gateway", Path: n.binary, Args: []string{"gateway", "--listen", gateway.address}, Env: n.environment(),
		LogFile: filepath.Join(n.folder, fmt.Sprintf("gateway-%d.log", i)),
	})
	require.NoError(n.t, err)
	gateway.process = process
	require.NoError(n.t, process.WaitUntil(n.t.Context(), time.Minute, func(ctx context.Context) error {
		health, err := n.api(i, "root").Ready(ctx)
		if err == nil && health.Status != register.HealthStatusOk {
			return fmt.Errorf("not ready: %v", health.Parts)
		}
		return err
	}))
}

// launch starts a gateway without waiting for it.
func (n *night) launch(i int, environment ...string) error {
	process, err := local.StartProcess(local.ProcessOptions{
		Name: "gateway", Path: n.binary, Args: []string{"gateway", "--listen", n.gateways[i].address}, Env: append(n.environment(), environment...),
		LogFile: filepath.Join(n.folder, fmt.Sprintf("gateway-%d.log", i)),
	})
	if err != nil {
		return fmt.Errorf("starting gateway %d: %w", i, err)
	}
	n.gateways[i].process = process
	return nil
}

func (n *night) api(gateway int, identity string) *register.API {
	return register.NewAPI("http://"+n.gateways[gateway].address, n.tokens[identity])
}

// setBudgets gives two subscriptions that the night will press against: everything from admission to refusal happens.
func (n *night) setBudgets() {
	for _, budget := range []register.BudgetSetRequest{
		{Provider: "claude", Unit: register.UnitCredits, LimitMicros: 6_000_000_000},
		{Provider: "codex", Unit: register.UnitTokens, LimitMicros: 9_000_000_000},
		{Provider: metered, Unit: register.UnitTokens, LimitMicros: 900_000_000_000},
	} {
		budget.Since, budget.ResetAt = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		require.NoError(n.t, n.api(0, "root").Send(n.t.Context(), register.By{Key: uuid.NewString()}, register.SetBudget(budget), nil))
	}
}

// killUntil kills one gateway after the other, never both at once, so that every moment of a request is hit by some kill.
func (n *night) killUntil(ctx context.Context) int {
	luck := rand.New(rand.NewPCG(n.seed, 0))
	for kills := 0; ; kills++ {
		select {
		case <-ctx.Done():
			return kills
		case <-time.After(200*time.Millisecond + time.Duration(luck.IntN(800))*time.Millisecond):
		}
		n.gateways[kills%2].process.Kill9()
		n.start(kills % 2)
	}
}

// insist sends a mutation with one key, at either gateway, until an answer stands.
func (n *night) insist(luck *rand.Rand, identity, key string, mutation register.Mutation, answer any) error {
	for {
		ctx, cancel := context.WithTimeout(n.t.Context(), 20*time.Second)
		err := n.api(luck.IntN(2), identity).Send(ctx, register.By{Key: key}, mutation, answer)
		cancel()
		if err == nil || !register.Retryable(err) && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if n.t.Context().Err() != nil {
			return err
		}
		time.Sleep(time.Duration(20+luck.IntN(100)) * time.Millisecond)
	}
}

// create asks for work until the time is over: some of it is repeated as if its answer had been lost, cancelled, or waits for other work.
func (n *night) create(ctx context.Context, number int) error {
	luck := rand.New(rand.NewPCG(n.seed, uint64(1000+number)))
	earlier := ""
	for ctx.Err() == nil {
		ask := register.DispatchRequest{
			Role: "coder", Brief: "Hold the line", Priority: new(luck.IntN(10)),
			Estimate: []register.EstimateAmount{{Unit: register.UnitCredits, Micros: int64(1+luck.IntN(4)) * 1_000_000}, {Unit: register.UnitTokens, Micros: int64(1+luck.IntN(9)) * 1_000_000}},
		}
		switch {
		case luck.IntN(8) == 0 && earlier != "":
			ask.DependsOn = []string{earlier}
		case luck.IntN(8) == 0:
			ask.Deadline = time.Now().Add(time.Duration(1+luck.IntN(60)) * time.Second)
		}
		key := uuid.NewString()
		var dispatch register.Dispatch
		err := n.insist(luck, "olga", key, register.CreateDispatch(ask), &dispatch)
		if register.CodeOf(err) == register.ProblemCodeNotOpen { // what it should wait for has failed meanwhile
			earlier = ""
			continue
		}
		if err != nil {
			return fmt.Errorf("creating: %w", err)
		}
		n.answer(key, dispatch.ID)
		if luck.IntN(4) == 0 {
			var again register.Dispatch
			if err := n.insist(luck, "olga", key, register.CreateDispatch(ask), &again); err != nil {
				return fmt.Errorf("repeating: %w", err)
			}
			n.answer(key, again.ID)
		}
		if luck.IntN(10) == 0 {
			err := n.insist(luck, "olga", uuid.NewString(), register.CancelDispatch(dispatch.ID, "a change of mind"), nil)
			if err != nil && register.CodeOf(err) != register.ProblemCodeNotOpen {
				return fmt.Errorf("cancelling %s: %w", dispatch.ID, err)
			}
		}
		earlier = dispatch.ID
	}
	return nil
}

// answer notes which dispatch a key was answered with, and objects if it was another before.
func (n *night) answer(key, dispatch string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if before, known := n.answered[key]; known && before != dispatch {
		n.t.Errorf("one key was answered with %s and with %s", before, dispatch)
	}
	n.answered[key] = dispatch
}

// work claims and finishes runs; one in twenty is lost without a word, and its claim has to expire.
func (n *night) work(ctx context.Context, number int) error {
	luck := rand.New(rand.NewPCG(n.seed, uint64(2000+number)))
	name := fmt.Sprintf("coder-%d", number+1)
	for ctx.Err() == nil {
		var claim register.ClaimAnswer
		err := n.insist(luck, name, uuid.NewString(), register.ClaimDispatch(register.ClaimRequest{
			Role: "coder", Worker: name, Host: name, TTLSeconds: int(lifetime.Seconds()),
		}), &claim)
		if err != nil {
			return fmt.Errorf("claiming: %w", err)
		}
		if claim.ID == "" {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		n.ran(claim.Dispatch.ID, claim.Dispatch.Attempt, claim.ID)
		if luck.IntN(20) == 0 {
			continue
		}
		if err := n.run(luck, name, claim.Claim); err != nil {
			return err
		}
	}
	return nil
}

func (n *night) run(luck *rand.Rand, name string, claim register.Claim) error {
	spent := []register.Amount{{Unit: register.UnitCredits, Micros: int64(luck.IntN(1_000_000))}}
	if claim.Dispatch.Provider == "codex" {
		spent[0].Unit = register.UnitTokens
	}
	if luck.IntN(3) == 0 {
		err := n.insist(luck, name, uuid.NewString(), register.HeartbeatDispatch(claim.Dispatch.ID, register.HeartbeatRequest{
			Claim: claim.ID, Metered: spent, Progress: "on it", TTLSeconds: int(lifetime.Seconds()),
		}), nil)
		if err != nil && register.CodeOf(err) != register.ProblemCodeClaimLost {
			return fmt.Errorf("reporting progress of %s: %w", claim.Dispatch.ID, err)
		}
	}
	outcome := register.CompleteRequestOutcomeDone
	if luck.IntN(10) == 0 {
		outcome = register.CompleteRequestOutcomeFailed
	}
	err := n.insist(luck, name, "complete-"+claim.ID, register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{
		Claim: claim.ID, Outcome: outcome, Actuals: spent,
	}), nil)
	switch {
	case register.CodeOf(err) == register.ProblemCodeClaimLost:
		return nil
	case err != nil:
		return fmt.Errorf("completing %s: %w", claim.Dispatch.ID, err)
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if _, twice := n.reported[claim.Dispatch.ID]; twice {
		n.t.Errorf("%s was completed twice", claim.Dispatch.ID)
	}
	n.reported[claim.Dispatch.ID] = spent
	return nil
}

// meter reports use that no dispatch explains, on a subscription that none uses, and what its provider says of it: exactly that.
func (n *night) meter(ctx context.Context) error {
	luck := rand.New(rand.NewPCG(n.seed, 1<<40))
	for ctx.Err() == nil {
		micros := 1 + int64(luck.IntN(1_000_000))
		err := n.insist(luck, "coder-1", uuid.NewString(), register.ReportUsage(register.UsageRequest{Provider: metered, Reporter: "chaos", Uses: []register.Use{
			{Unit: register.UnitTokens, Micros: micros, Until: time.Now()},
		}}), nil)
		if err != nil {
			return fmt.Errorf("reporting use: %w", err)
		}
		n.seen += micros
		if luck.IntN(4) > 0 {
			continue
		}
		if luck.IntN(2) == 0 { // use that only the provider saw
			n.seen += 1_000_000
		}
		err = n.insist(luck, "coder-1", uuid.NewString(), register.RecordReading(register.ReadingRequest{Provider: metered, UsedMicros: n.seen}), nil)
		if err != nil {
			return fmt.Errorf("recording a reading: %w", err)
		}
	}
	var last register.ReadingAnswer
	if err := n.insist(luck, "coder-1", uuid.NewString(), register.RecordReading(register.ReadingRequest{Provider: metered, UsedMicros: n.seen}), &last); err != nil {
		return fmt.Errorf("recording the last reading: %w", err)
	}
	if last.Reading.Verdict != register.ReadingVerdictBelieved {
		return fmt.Errorf("the last reading is doubted: %s", last.Reading.Cause)
	}
	return nil
}

// metered is the provider whose use only collectors see.
const metered = "gemini"

// ran notes that a claim was given out, and objects if that attempt was given out before.
func (n *night) ran(dispatch string, attempt int, claim string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.runs[dispatch] == nil {
		n.runs[dispatch] = map[int]string{}
	}
	if before, given := n.runs[dispatch][attempt]; given && before != claim {
		n.t.Errorf("attempt %d of %s was given out twice", attempt, dispatch)
	}
	n.runs[dispatch][attempt] = claim
}

// settle waits until nothing is ready or running any more: what is left waits for a budget that this night does not bring.
func (n *night) settle() {
	n.t.Helper()
	require.Eventually(n.t, func() bool {
		open, err := n.api(0, "root").Dispatches(n.t.Context(), register.By{}, "", 1, register.DispatchStateReady, register.DispatchStateRunning)
		return err == nil && len(open.Dispatches) == 0
	}, 2*time.Minute, 100*time.Millisecond, "work was left ready or running")
}
