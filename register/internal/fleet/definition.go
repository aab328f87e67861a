package fleet

import (
	"fmt"
	"sync"
	"time"
	_ "time/tzdata" // a static binary in an empty container knows every zone

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// All is the provider, or the subscription, of a window that meters every one of them.
const All = "all"

var (
	recurrences = memo[string, budget.Recurrence]{work: budget.ParseRecurrence}
	workHours   = memo[string, *budget.WorkingHours]{work: budget.ParseWorkingHours}
	spreads     = memo[worked, *budget.Spread]{work: worked.spread}
)

// worked is the working hours of one epoch.
type worked struct {
	hours        string
	since, reset time.Time
}

func (w worked) spread() (*budget.Spread, error) {
	hours, err := workHours.of(w.hours)
	if err != nil {
		return nil, err
	}
	return hours.Spread(budget.Epoch{Since: w.since, Reset: w.reset}), nil
}

// budgetWindow is an epoch of a definition in the form the rules judge.
func budgetWindow(row *query.Window, d *query.Definition) (budget.Window, error) {
	window := budget.Window{
		ID: row.ID, Name: d.Name, Unit: row.Unit, Limit: row.LimitMicros, Floor: row.FloorMicros,
		Committed: row.CommittedMicros, Reserved: row.ReservedMicros, Margin: row.MarginMicros, BurstPPM: row.BurstPpm,
		Since: instant(row.Since), Reset: instant(row.ResetAt), Source: budget.ParseSource(row.Source), Checked: row.CheckedAt.UTC(),
		Scope: scopeOf(d), Model: d.Model, Theirs: !d.Mine, Ratio: ratioOf(row, d),
	}
	if d.SubscriptionID == nil && d.Provider != All {
		window.Provider = d.Provider
	}
	var err error
	if window.Recurrence, err = recurrences.of(d.Recurrence); err != nil {
		return window, fmt.Errorf("reading how the window %s recurs: %w", d.Name, err)
	}
	if d.Hours != "" {
		if window.Spread, err = spreads.of(worked{d.Hours, window.Since, window.Reset}); err != nil {
			return window, fmt.Errorf("reading the working hours of the window %s: %w", d.Name, err)
		}
	}
	return window, nil
}

func scopeOf(d *query.Definition) budget.Scope {
	scope := budget.Scope{Name: d.ScopeName}
	for scope.Kind.String() != d.ScopeKind {
		scope.Kind++
	}
	return scope
}

// memo keeps what was worked out: reading a zone opens a file, and the working hours of a long window take thousands of steps, but
// every judgement needs them.
type memo[K comparable, V any] struct {
	work  func(K) (V, error)
	mutex sync.Mutex
	kept  map[K]V
}

const memorized = 1000

func (m *memo[K, V]) of(key K) (V, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	value, known := m.kept[key]
	if known {
		return value, nil
	}
	value, err := m.work(key)
	if err != nil {
		return value, err
	}
	if m.kept == nil || len(m.kept) >= memorized {
		m.kept = make(map[K]V)
	}
	m.kept[key] = value
	return value, nil
}
