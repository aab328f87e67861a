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
	cap      *Window // that reached its cap; nil of a refusal
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
			cap:  &w,
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
		if one.cap != nil && !board.OpenOnCap || one.cap == nil && !board.OpenOnRefusal {
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
		if one.cap != nil {
			if err := t.linkLift(ctx, &one.question, one.cap); err != nil {
				return err
			}
		}
		if _, err := t.open(ctx, one.question, Time); err != nil && refusal(err) == nil {
			return fmt.Errorf("putting %s to the board: %w", one.name, err)
		}
	}
	t.incidents = nil
	return nil
}

// linkLift links the lift of a window's limit that lets through what waits on it now. Where there is none to link, the question says why.
func (t *transaction) linkLift(ctx context.Context, question *Question, at *Window) error {
	if at.Source == budget.ProviderDetected.String() || !at.Mine {
		question.Body += " The limit is the provider's, so no decision lifts it: wait for the reset, use another subscription, or cancel what can wait."
		return nil
	}
	b, err := t.openBook(ctx)
	if err != nil {
		return err
	}
	window, _ := b.window(b.named(windowKey(at.Provider, at.Subscription, at.Window)))
	if window == nil {
		return nil
	}
	if len(window.Line) == 0 {
		question.Body += " Nothing waits on it now, so there is no amount to lift it by."
		return nil
	}
	lacks := window.Used() - window.Capacity()
	for _, waiting := range window.Line {
		if lacks += waiting.Need; lacks < 0 {
			lacks = 0
		}
	}
	if lacks > 0 {
		question.Action = &Action{
			Kind: ActionGrant,
			Override: encode(map[string]any{
				"provider": at.Provider, "subscription": at.Subscription, "window": at.Window, "lifts": budget.LiftLimit, "unit": at.Unit, "micros": lacks,
			}),
			Grant: &OverrideGrant{Provider: at.Provider, Subscription: at.Subscription, Window: at.Window, Lifts: budget.LiftLimit, Unit: at.Unit, Micros: lacks},
		}
	}
	return nil
}
