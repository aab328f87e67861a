package fleet

import (
	"context"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// History is how the last epochs of a window went, newest first.
type History struct {
	Window Window    `json:"window"`
	Now    time.Time `json:"now"`
	Epochs []Past    `json:"epochs"`
}

// Past is one epoch of a window: what was used, what was left at its reset, and how often the ladder stepped in.
type Past struct {
	Epoch           int       `json:"epoch"`
	Since           time.Time `json:"since"`
	ResetAt         time.Time `json:"reset_at"`
	EndedAt         time.Time `json:"ended_at,omitzero"` // absent while it goes on
	Unit            string    `json:"unit"`
	LimitMicros     int64     `json:"limit_micros"`
	UsedMicros      int64     `json:"used_micros"`
	OvershootMicros int64     `json:"overshoot_micros"`
	LeftMicros      int64     `json:"left_micros"`
	Lowered         int64     `json:"lowered"`
	Refused         int64     `json:"refused"`
	HighestStep     string    `json:"highest_step"`
	// What of its use no dispatch explains; below zero if readings took back more.
	UnattributedMicros int64 `json:"unattributed_micros,omitempty"`
}

// History reads the last epochs of one window, the current one included.
func (s *Store) History(ctx context.Context, provider, subscription, name string, cycles int) (History, error) {
	history := History{Epochs: []Past{}}
	err := s.read(ctx, func(t *transaction) error {
		b, id, err := t.findWindow(ctx, provider, subscription, name)
		if err != nil {
			return err
		}
		history.Window, history.Now = b.show(id), b.now
		rows, err := t.epochs(ctx, id, provider, cycles)
		for i := range rows {
			history.Epochs = append(history.Epochs, pastOf(&rows[i]))
		}
		return err
	})
	return history, err
}

func pastOf(row *query.ListEpochsRow) Past {
	w := row.Window
	capacity, used := w.LimitMicros-w.FloorMicros, w.CommittedMicros+w.ReservedMicros
	past := Past{
		Epoch: int(w.Epoch), Since: instant(w.Since), ResetAt: instant(w.ResetAt), EndedAt: instant(w.EndedAt), Unit: w.Unit, LimitMicros: w.LimitMicros,
		UsedMicros: used, OvershootMicros: max(0, used-capacity), LeftMicros: max(0, capacity-used), Lowered: row.Lowered, Refused: row.Refused,
		UnattributedMicros: row.UnattributedMicros,
	}
	highest := budget.StepNormal
	for _, level := range row.Levels {
		highest = max(highest, budget.ParseStep(level)) // warnings are no steps
	}
	past.HighestStep = highest.String()
	return past
}
