package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Expectation is what earlier runs say one run will spend on a model, in one unit.
type Expectation struct {
	Model       string `json:"model"`
	Unit        string `json:"unit"`
	MeanMicros  int64  `json:"mean_micros"`
	UpperMicros int64  `json:"upper_micros"` // 9 runs of 10 stay within
	Runs        int    `json:"runs"`         // how many of From's are remembered
	Confidence  string `json:"confidence"`
	From        string `json:"from"` // whose runs: fromRole, fromKind or fromModel
}

// Whose runs an expectation rests on, the narrowest there are.
const (
	fromRole  = "role"
	fromKind  = "kind"
	fromModel = "model"
)

// priorSigma makes the bound of what is believed before any run its mean: what is held without an estimate. The first runs then move
// it from there, not from twice as much.
const priorSigma = 2 * 1.2815515655446004

// memory keeps what this gateway has read of the actuals, by key and unit. Every use asks for the marks first, so that no gateway
// judges by runs that others have added to.
type memory struct {
	mutex sync.Mutex
	of    map[experience]*remembered
}

// experience is what actuals are kept under.
type experience struct {
	tenant string
	key    budget.Key
	unit   string
}

type remembered struct {
	runs    int64
	at      time.Time
	prior   int64
	actuals *budget.Actuals
}

// learned is what is expected of work of a role and kind, on each model of the ladder and in each unit that runs were metered in.
func (t *transaction) learned(ctx context.Context, b *book, role, kind string) ([]Expectation, error) {
	asked := budget.Key{Role: role, Kind: kind}
	if known, found := b.learned[asked]; found {
		return known, nil
	}
	units, err := t.recall(ctx, role, kind)
	if err != nil {
		return nil, err
	}
	out := []Expectation{}
	for _, tier := range t.Ladder {
		for _, unit := range units[tier.Model] {
			key := budget.Key{Role: role, Kind: kind, Model: tier.Model}
			if expectation, known := t.memory.expect(t.Tenant, key, unit); known {
				out = append(out, expectation)
			}
		}
	}
	b.learned[asked] = out
	return out, nil
}

// recall brings the memory up to date for a role and kind, and answers the units that each model was metered in.
func (t *transaction) recall(ctx context.Context, role, kind string) (map[string][]string, error) {
	marks, err := t.EstimateMarks(ctx, query.EstimateMarksParams{TenantID: t.Tenant, Role: role, Kind: kind})
	if err != nil {
		return nil, fmt.Errorf("reading what runs of %s cost: %w", role, err)
	}
	units, stale := make(map[string][]string), false
	seen := make(map[[2]string]bool)
	for _, mark := range marks {
		if at := [2]string{mark.Model, mark.Unit}; !seen[at] {
			seen[at] = true
			units[mark.Model] = append(units[mark.Model], mark.Unit)
		}
		stale = stale || !t.memory.has(experienceOf(t.Tenant, mark.Role, mark.Kind, mark.Model, mark.Unit), mark.Runs, mark.LearnedAt)
	}
	if !stale {
		return units, nil
	}
	rows, err := t.GetEstimates(ctx, query.GetEstimatesParams{TenantID: t.Tenant, Role: role, Kind: kind})
	if err != nil {
		return nil, fmt.Errorf("reading what runs of %s cost: %w", role, err)
	}
	for i := range rows {
		if err := t.memory.keep(&rows[i]); err != nil {
			return nil, err
		}
	}
	return units, nil
}

func experienceOf(tenant, role, kind, model, unit string) experience {
	return experience{tenant, budget.Key{Role: role, Kind: kind, Model: model}, unit}
}

func (m *memory) has(of experience, runs int64, at time.Time) bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	known := m.of[of]
	return known != nil && known.runs == runs && known.at.Equal(at)
}

func (m *memory) keep(row *query.Estimate) error {
	kept, err := remember(row)
	if err != nil {
		return err
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.of == nil {
		m.of = make(map[experience]*remembered)
	}
	m.of[experienceOf(row.TenantID, row.Role, row.Kind, row.Model, row.Unit)] = kept
	return nil
}

func remember(row *query.Estimate) (*remembered, error) {
	kept := &remembered{runs: row.Runs, at: row.LearnedAt, prior: row.PriorMicros, actuals: new(budget.Actuals)}
	if err := json.Unmarshal(row.Actuals, kept.actuals); err != nil {
		return nil, fmt.Errorf("reading what runs on %s cost: %w", row.Model, err)
	}
	return kept, nil
}

// expect is what runs of a key will spend; not known if none was seen, of any width. The rules keep notes in the actuals, so they
// are asked by one at a time.
func (m *memory) expect(tenant string, key budget.Key, unit string) (Expectation, bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	var actuals []*budget.Actuals
	prior := budget.Prior{Sigma: priorSigma}
	narrowest := budget.Key{}
	for _, wider := range key.BackOff() {
		known := m.of[experience{tenant, wider, unit}]
		if known == nil {
			continue
		}
		if len(actuals) == 0 {
			narrowest = wider
		}
		prior.Mean = known.prior // the widest key's counts
		actuals = append(actuals, known.actuals)
	}
	if len(actuals) == 0 {
		return Expectation{}, false
	}
	learned := budget.Expect(prior, actuals...)
	return Expectation{
		Model: key.Model, Unit: unit, MeanMicros: learned.Mean, UpperMicros: learned.Upper, Runs: len(actuals[0].Runs),
		Confidence: string(learned.Confidence), From: widthOf(narrowest),
	}, true
}

func widthOf(key budget.Key) string {
	switch {
	case key.Role != "":
		return fromRole
	case key.Kind != "":
		return fromKind
	}
	return fromModel
}

// expectations gives a request what earlier runs say of each unit that nobody spoke of: of all of them if there is no estimate, of the
// others if it came without a unit. Who names units is held to them. The requested tier comes first, since one without runs of its
// own scales what comes first. A unit that no run was metered in is held at its share of the smallest window, as without any run; of percent,
// what the tokens of such a run take.
func (t *transaction) expectations(ctx context.Context, b *book, row *query.Dispatch, request *budget.Request) error {
	learned, err := t.learned(ctx, b, row.Role, row.BriefClass)
	if err != nil {
		return err
	}
	row.Learned = encode(learned)
	if len(request.Estimates) > 0 && !row.Bare || len(request.Estimates) == 0 && len(learned) == 0 {
		return nil
	}
	allowed, err := t.Ladder.From(row.ModelRequested)
	if err != nil {
		return nil // judged anyway, which says so
	}
	given, met := make(map[string]bool), make(map[string]bool)
	for _, estimate := range request.Estimates {
		given[estimate.Unit], met[estimate.Unit] = true, true
	}
	take := func(within bool) {
		for _, expectation := range learned {
			if below := allows(allowed, expectation.Model); below == within && !given[expectation.Unit] {
				request.Estimates = append(request.Estimates, budget.Estimate{
					Model: expectation.Model, Unit: expectation.Unit, Mean: expectation.MeanMicros, Upper: expectation.UpperMicros,
				})
				met[expectation.Unit] = true
			}
		}
	}
	take(true)
	take(false)
	for unit, capacity := range b.smallest() {
		if !met[unit] && !(unit == unitPercent && met[unitTokens] && b.gauged()) {
			request.Estimates = append(request.Estimates, budget.Estimate{Unit: unit, Mean: budget.DefaultEstimate(capacity)})
		}
	}
	return nil
}

func allows(allowed budget.Ladder, model string) bool {
	for _, tier := range allowed {
		if tier.Model == model {
			return true
		}
	}
	return false
}

// smallest is the capacity of the smallest window of each unit.
func (b *book) smallest() map[string]int64 {
	out := make(map[string]int64)
	for _, id := range b.order {
		window, _ := b.window(id)
		if known, found := out[window.Unit]; !found || window.Capacity() < known {
			out[window.Unit] = window.Capacity()
		}
	}
	return out
}

// learn takes what a run cost into the actuals of its keys. A run that failed or was cancelled says nothing of what such work
// costs; one that was stopped at its reservation says that it costs more.
func (t *transaction) learn(ctx context.Context, b *book, row *query.Dispatch, completion Completion) error {
	cut := completion.Failure == FailureBudget
	if completion.Outcome != StateDone && !cut || len(completion.Actuals) == 0 {
		return nil
	}
	if err := t.LockEstimates(ctx, t.Tenant); err != nil {
		return fmt.Errorf("taking turns at what runs cost: %w", err)
	}
	rows, err := t.GetEstimates(ctx, query.GetEstimatesParams{TenantID: t.Tenant, Role: row.Role, Kind: row.BriefClass})
	if err != nil {
		return fmt.Errorf("reading what runs of %s cost: %w", row.Role, err)
	}
	known := make(map[experience]*remembered, len(rows))
	for i := range rows {
		kept, err := remember(&rows[i])
		if err != nil {
			return err
		}
		known[experienceOf(t.Tenant, rows[i].Role, rows[i].Kind, rows[i].Model, rows[i].Unit)] = kept
	}
	key := budget.Key{Role: row.Role, Kind: row.BriefClass, Model: row.Model}
	for _, actual := range completion.Actuals {
		run := budget.Actual{At: t.now, Micros: actual.Micros, Cut: cut}
		if err := t.learnIn(ctx, known, key, actual.Unit, run, t.priorOf(b, row.Model, actual)); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) learnIn(ctx context.Context, known map[experience]*remembered, key budget.Key, unit string, run budget.Actual, prior int64) error {
	keys := key.BackOff()
	kept := make([]*remembered, len(keys))
	actuals := make([]*budget.Actuals, len(keys))
	for i, wider := range keys {
		if kept[i] = known[experience{t.Tenant, wider, unit}]; kept[i] == nil {
			kept[i] = &remembered{prior: prior, actuals: new(budget.Actuals)}
		}
		actuals[i] = kept[i].actuals
	}
	budget.Learn(run, budget.Prior{Mean: kept[len(kept)-1].prior, Sigma: priorSigma}, actuals...)
	for i, wider := range keys {
		err := t.PutEstimate(ctx, query.PutEstimateParams{
			TenantID: t.Tenant, Role: wider.Role, Kind: wider.Kind, Model: wider.Model, Unit: unit, Host: t.Host,
			PriorMicros: kept[i].prior, Runs: kept[i].runs + 1, Actuals: encode(actuals[i]), LearnedAt: t.now,
		})
		if err != nil {
			return fmt.Errorf("keeping what a run on %s cost: %w", wider.Model, err)
		}
	}
	return nil
}

// priorOf is what a run was taken to cost before any was seen: the share that is held without an estimate, scaled to its tier, or, if
// no window counts the unit, what the first run cost.
func (t *transaction) priorOf(b *book, model string, actual Amount) int64 {
	capacity, counted := b.smallest()[actual.Unit]
	if !counted || len(t.Ladder) == 0 {
		return actual.Micros
	}
	for _, tier := range t.Ladder {
		if tier.Model == model {
			return budget.Scaled(budget.DefaultEstimate(capacity), tier.Cost, t.Ladder[0].Cost)
		}
	}
	return budget.DefaultEstimate(capacity)
}

// prepare gives a request what the register knows beyond what was asked: what such work spends, and how the policy steers it.
func (t *transaction) prepare(ctx context.Context, b *book, row *query.Dispatch, request *budget.Request) error {
	if err := t.steer(ctx, b, row, request); err != nil {
		return err
	}
	return t.expectations(ctx, b, row, request)
}
