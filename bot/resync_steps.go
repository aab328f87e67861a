package bot

import (
	"context"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// planStanding shows every window at the step it stands at now, since the events that led there are not told any more. What still
// refuses and was not rung for rings.
func (b *Bot) planStanding(ctx context.Context, hint register.Resync) ([]step, error) {
	budgets, err := b.api.Budgets(ctx, register.By{}, "")
	if err != nil {
		return nil, fmt.Errorf("asking for the windows: %w", err)
	}
	rings, err := b.api.Rings(ctx, register.By{})
	if err != nil {
		return nil, fmt.Errorf("asking for what rings: %w", err)
	}
	identities, bindings, err := b.directory.read(ctx)
	if err != nil {
		return nil, err
	}
	operators := withRole(identities, register.FleetRoleOperator)
	var steps []step
	for _, binding := range budgetRooms(bindings) {
		for _, w := range budgets.Windows {
			now := standing{Window: w, ring: ringsFor(w, rings.Rings), at: register.Event{Seq: hint.After}}
			said := commands.StepNow(w, now.ring, budgets.Now, b.options.Zone)
			steps = append(steps, func(ctx context.Context) (id.RoomID, error) {
				return id.RoomID(binding.Room), b.showStanding(ctx, now, binding, b.clip(said.Markdown), operators)
			})
		}
	}
	return steps, nil
}

// standing is a window as it is when the log is taken up again.
type standing struct {
	register.Window
	ring string // that nobody has acknowledged
	at   register.Event
}

// ringsFor is the ring of a window that nobody has acknowledged, or empty.
func ringsFor(w register.Window, rings []register.Ring) string {
	at := slices.IndexFunc(rings, func(r register.Ring) bool {
		return r.Provider == w.Provider && r.Subscription == w.Subscription && r.Window == w.Window && r.AckedBy == "" && r.EndedAt.IsZero()
	})
	if at < 0 || w.Step != register.StepRefuse {
		return ""
	}
	return rings[at].ID
}

func (b *Bot) showStanding(ctx context.Context, w standing, binding register.RoomBinding, markdown string, operators []id.UserID) error {
	room, ref := id.RoomID(binding.Room), windowRef(w.Provider, w.Subscription, w.Window.Window)
	shown, err := b.outbox.latest(ctx, room, ref)
	if err != nil {
		return fmt.Errorf("reading what was said of a window: %w", err)
	}
	message := outgoing{
		Txn: causedBy(w.at, room, "standing"+ref), Room: room, Rank: notice, Type: event.EventMessage.Type, Content: words(markdown, nil), Ref: ref,
	}
	rung := int64(0)
	if w.ring != "" {
		if rung, err = b.ringMessage(ctx, w.ring, room); err != nil {
			return err
		}
	}
	switch {
	case w.ring != "" && rung == 0:
		message.Rank, message.Content = rankOf(operators), words(markdown, operators)
		return b.postRing(ctx, message, w.ring)
	case shown != nil:
		message.Rank, message.About, message.Ref, message.Content = edit, shown.ID, "", replacing(words(markdown, nil))
	case w.Step == register.StepNormal, w.Step != register.StepRefuse && binding.Verbosity == register.VerbosityLow:
		return nil
	}
	_, err = b.outbox.add(ctx, message)
	return err
}
