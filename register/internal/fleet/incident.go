package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// incident is something that happened which the board may want to decide about.
type incident struct {
	name     string // of a refusal or of one epoch of a window at its cap: each is put to the board once
	question Question
	cap      bool
}

// noteIncident remembers what an event that is told may mean for the board; whether it is put to it is decided before the commit.
func (t *transaction) noteIncident(event *Event) {
	switch {
	case event.Type == "dispatch.refused" && event.Dispatch != nil:
		d := event.Dispatch
		t.incidents = append(t.incidents, incident{
			name: "refused:" + d.ID.String(),
			question: Question{
				Title: fmt.Sprintf("Override the refusal of %s for %s?", d.ID, d.Role), Body: d.Reason, Origin: d.Origin,
				Action: &Action{Kind: ActionOverride, Dispatch: d.ID},
			},
		})
	case event.Step != nil && event.Step.To == budget.StepRefuse.String():
		w := event.Step.Window
		t.incidents = append(t.incidents, incident{
			cap:  true,
			name: fmt.Sprintf("cap:%s@%s", windowKey(w.Provider, w.Subscription, w.Window), w.Since.UTC().Format(time.RFC3339Nano)),
			question: Question{
				Title: windowKey(w.Provider, w.Subscription, w.Window) + " has reached its cap: what now?", Body: event.Step.Text,
			},
		})
	}
}

// openIncidents puts to the board what its rules say is put to it by itself, in the transaction in which it happened. That the board
// cannot be asked never undoes what happened.
func (t *transaction) openIncidents(ctx context.Context) error {
	if len(t.incidents) == 0 || t.now.IsZero() {
		return nil
	}
	board, err := readBoard(ctx, t.Queries, t.Tenant)
	if err != nil || !board.OpenOnRefusal && !board.OpenOnCap {
		return err
	}
	for i := 0; i < len(t.incidents); i++ {
		one := t.incidents[i]
		if one.cap && !board.OpenOnCap || !one.cap && !board.OpenOnRefusal {
			continue
		}
		_, err := t.GetIncident(ctx, query.GetIncidentParams{TenantID: t.Tenant, Incident: one.name})
		if err == nil {
			continue
		}
		if !none(err) {
			return fmt.Errorf("looking for the proposal of an incident: %w", err)
		}
		one.question.incident = one.name
		one.question.Origin = json.RawMessage(nil)
		if _, err := t.open(ctx, one.question, Time); err != nil && refusal(err) == nil {
			return fmt.Errorf("putting %s to the board: %w", one.name, err)
		}
	}
	t.incidents = nil
	return nil
}
