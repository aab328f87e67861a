package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// DefaultWindow is the name of a window that is not named.
const DefaultWindow = "main"

// Window is a budget window at one instant.
type Window struct {
	Provider        string    `json:"provider"`
	Subscription    string    `json:"subscription"`
	Window          string    `json:"window"`
	Unit            string    `json:"unit"`
	LimitMicros     int64     `json:"limit_micros"`
	FloorMicros     int64     `json:"floor_micros"`
	CommittedMicros int64     `json:"committed_micros"`
	ReservedMicros  int64     `json:"reserved_micros"`
	MarginMicros    int64     `json:"margin_micros,omitempty"`
	UsedMicros      int64     `json:"used_micros"`
	AllowanceMicros int64     `json:"allowance_micros"`
	BurstMicros     int64     `json:"burst_micros"`
	Step            string    `json:"step"`
	Since           time.Time `json:"since,omitzero"`
	ResetAt         time.Time `json:"reset_at,omitzero"`
	Source          string    `json:"source"`
	Confidence      float64   `json:"confidence"`
	CheckedAt       time.Time `json:"checked_at"`
	Lapsed          bool      `json:"lapsed"`
	Closed          bool      `json:"closed"` // a rolling window that waits for its first admission
	Mine            bool      `json:"mine"`
	Scope           string    `json:"scope"`
	Model           string    `json:"model,omitempty"`
	Recurrence      string    `json:"recurrence"`
	Zone            string    `json:"zone,omitempty"`
	Hours           string    `json:"hours,omitempty"`
	Waiting         int       `json:"waiting"`
	// Only where a status is read: what is committed of use that no dispatch explains, and of estimates no reading has confirmed.
	UnattributedMicros int64 `json:"unattributed_micros,omitempty"`
	UnsettledMicros    int64 `json:"unsettled_micros,omitempty"`
	// Ratio is what tokens take of a window of percent, once its readings have shown it.
	Ratio *TokenRatio `json:"ratio,omitempty"`
	// Overrides are what lifts it at this instant; limit, floor and burst are as they leave them.
	Overrides []Override `json:"overrides,omitempty"`
	Version   int64      `json:"version,omitempty"` // not in events of what changes by itself
}

// StepChange is a window that moved on the ladder.
type StepChange struct {
	Window    Window      `json:"window"`
	From      string      `json:"from"`
	To        string      `json:"to"`
	Dispatch  *DispatchID `json:"dispatch,omitempty"`
	ModelFrom string      `json:"model_from,omitempty"`
	ModelTo   string      `json:"model_to,omitempty"`
	EasesAt   time.Time   `json:"eases_at,omitzero"`
	Text      string      `json:"text"`
	Post      bool        `json:"post"`           // the first notice of this step in the epoch; else the last one is edited
	Ring      *RingID     `json:"ring,omitempty"` // what rings the operators for it
}

// BudgetStatus is every window and the instant it was read at.
type BudgetStatus struct {
	Windows []Window  `json:"windows"`
	Now     time.Time `json:"now"`
}

// Budgets reads every window, only those of one provider if it is named.
func (s *Store) Budgets(ctx context.Context, provider string) (BudgetStatus, error) {
	status := BudgetStatus{Windows: []Window{}}
	err := s.read(ctx, func(t *transaction) error {
		b, err := t.readBook(ctx)
		if err != nil {
			return err
		}
		status.Now = t.now
		changed, err := versions(ctx, t.Queries, t.Tenant, settingWindow)
		if err != nil {
			return err
		}
		unexplained, err := t.unexplained(ctx)
		if err != nil {
			return err
		}
		for _, id := range b.order {
			if window := b.show(id); provider == "" || window.Provider == provider {
				window.UnattributedMicros, window.UnsettledMicros = unexplained[id].UnattributedMicros, unexplained[id].UnsettledMicros
				window.Version = changed[window.key()]
				status.Windows = append(status.Windows, window)
			}
		}
		return nil
	})
	return status, err
}

// unexplained is how much of the current epochs' use is of no dispatch, and how much is of estimates.
func (t *transaction) unexplained(ctx context.Context) (map[int64]query.UnexplainedRow, error) {
	rows, err := t.Unexplained(ctx, t.Tenant)
	if err != nil {
		return nil, fmt.Errorf("adding up what no dispatch explains: %w", err)
	}
	out := make(map[int64]query.UnexplainedRow, len(rows))
	for _, row := range rows {
		out[row.WindowID] = row
	}
	return out, nil
}

// Budget reads one window.
func (s *Store) Budget(ctx context.Context, provider, subscription, name string) (Window, error) {
	status, err := s.Budgets(ctx, provider)
	for _, window := range status.Windows {
		if window.Subscription == subscription && window.Window == name {
			return window, err
		}
	}
	if err != nil {
		return Window{}, err
	}
	return Window{}, noWindow(subscription, name)
}

func noWindow(subscription, name string) error {
	return notFound(fmt.Sprintf("budget window %s of %s", name, subscription), "Set it first with: budget set")
}

// key is a window's name among all of them.
func (w Window) key() string { return windowKey(w.Provider, w.Subscription, w.Window) }

func windowKey(provider, subscription, window string) string {
	return provider + "/" + subscription + "/" + window
}

// reviseWindow counts a change of a window that somebody sets; current is nil if there is none.
func (t *transaction) reviseWindow(ctx context.Context, b *book, key string, current *budget.Window) (int64, error) {
	return t.revise(ctx, settingWindow, key, func(version int64) (standing, error) {
		now := standing{what: "The window " + key, exists: current != nil, version: version}
		if current != nil {
			window := b.show(current.ID)
			window.Version = version
			now.current, now.as = window, fmt.Sprintf("%s until %s", budget.Format(window.LimitMicros, window.Unit), window.ResetAt.Format(time.RFC3339))
		}
		return now, nil
	})
}
