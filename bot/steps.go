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

// budgetRooms lists the bindings of the rooms bound for the budget.
func budgetRooms(bindings []register.RoomBinding) []register.RoomBinding {
	return slices.DeleteFunc(slices.Clone(bindings), func(b register.RoomBinding) bool { return !slices.Contains(b.Purposes, register.RoomPurposeBudget) })
}

// windowRef is what the message that shows a window's step is for.
func windowRef(provider, subscription, window string) string {
	return "window:" + provider + "/" + subscription + "/" + window
}

// planStep shows a step of the ladder in the rooms bound for the budget: the first of a level in an epoch as a message of its own, later
// ones as edits of the last, so that the newest text is how the window stands.
func (b *Bot) planStep(ctx context.Context, e register.Event) ([]step, error) {
	identities, bindings, err := b.directory.read(ctx)
	if err != nil {
		return nil, err
	}
	said, _ := commands.NoticeFor(e, b.options.Zone)
	var ring []id.UserID
	if said.Rings {
		ring = withRole(identities, register.FleetRoleOperator)
	}
	var steps []step
	for _, binding := range budgetRooms(bindings) {
		steps = append(steps, func(ctx context.Context) (id.RoomID, error) {
			return id.RoomID(binding.Room), b.showStep(ctx, e, binding, b.clip(said.Markdown), ring)
		})
	}
	return steps, nil
}

func (b *Bot) showStep(ctx context.Context, e register.Event, binding register.RoomBinding, markdown string, ring []id.UserID) error {
	room, w := id.RoomID(binding.Room), e.Step.Window
	ref := windowRef(w.Provider, w.Subscription, w.Window)
	shown, err := b.outbox.latest(ctx, room, ref)
	if err != nil {
		return fmt.Errorf("reading what was said of a window: %w", err)
	}
	wanted := e.Step.To == register.StepRefuse || binding.Verbosity != register.VerbosityLow
	message := outgoing{Txn: causedBy(e, room, "notice"), Room: room, Rank: rankOf(ring), Type: event.EventMessage.Type, Content: words(markdown, ring), Ref: ref}
	switch {
	case wanted && e.Step.Post:
		return b.postRing(ctx, message, e.Step.Ring)
	case shown != nil:
		message.Rank, message.About, message.Ref, message.Content = edit, shown.ID, "", replacing(words(markdown, nil))
	case !wanted || e.Step.To == register.StepNormal:
		return nil
	}
	_, err = b.outbox.add(ctx, message)
	return err
}

// postRing queues a message, and remembers what rings with it.
func (b *Bot) postRing(ctx context.Context, message outgoing, ring string) error {
	row, err := b.outbox.add(ctx, message)
	if err != nil || ring == "" {
		return err
	}
	_, err = b.database.Exec(ctx, `INSERT INTO ring_message (outbox, ring, room_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, row, ring, message.Room)
	if err != nil {
		return fmt.Errorf("noting the message of a ring: %w", err)
	}
	return nil
}

// planRing rings the operators again for a window that still refuses.
func (b *Bot) planRing(ctx context.Context, e register.Event) ([]step, error) {
	identities, bindings, err := b.directory.read(ctx)
	if err != nil {
		return nil, err
	}
	said, _ := commands.NoticeFor(e, b.options.Zone)
	ring := withRole(identities, register.FleetRoleOperator)
	var steps []step
	for _, binding := range budgetRooms(bindings) {
		room := id.RoomID(binding.Room)
		steps = append(steps, func(ctx context.Context) (id.RoomID, error) {
			return room, b.postRing(ctx, outgoing{
				Txn: causedBy(e, room, "ring"+e.Ring.ID), Room: room, Rank: rankOf(ring), Type: event.EventMessage.Type, Content: words(b.clip(said.Markdown), ring),
				Ref: windowRef(e.Window.Provider, e.Window.Subscription, e.Window.Window),
			}, e.Ring.ID)
		})
	}
	return steps, nil
}

// planAcked says who has seen a refusal, in the thread of its newest message.
func (b *Bot) planAcked(ctx context.Context, e register.Event) ([]step, error) {
	_, bindings, err := b.directory.read(ctx)
	if err != nil {
		return nil, err
	}
	said, _ := commands.NoticeFor(e, b.options.Zone)
	var steps []step
	for _, binding := range budgetRooms(bindings) {
		room := id.RoomID(binding.Room)
		steps = append(steps, func(ctx context.Context) (id.RoomID, error) {
			message, err := b.ringMessage(ctx, e.Ring.ID, room)
			if err != nil || message == 0 {
				return room, err
			}
			_, err = b.outbox.add(ctx, outgoing{
				Txn: causedBy(e, room, "acked"+e.Ring.ID), Room: room, Rank: notice, Type: event.EventMessage.Type, About: message,
				Content: inThread(words(said.Markdown, nil), "", ""),
			})
			return room, err
		})
	}
	return steps, nil
}

// planWarning warns ahead of a step, and says that a window lapsed, that something lifts it or no longer does, or that work is routed
// otherwise, in the rooms that want to know of steps.
func (b *Bot) planWarning(ctx context.Context, e register.Event) ([]step, error) {
	said, _ := commands.NoticeFor(e, b.options.Zone)
	return b.planTold(ctx, e, said.Markdown, register.VerbosityMedium, register.VerbosityHigh)
}

// planAdmission tells of an admission that was lowered or queued in the rooms that want to know of each.
func (b *Bot) planAdmission(ctx context.Context, e register.Event) ([]step, error) {
	markdown, told := commands.AdmissionNotice(e, b.options.Zone)
	if !told {
		return nil, nil
	}
	return b.planTold(ctx, e, markdown, register.VerbosityHigh)
}

func (b *Bot) planTold(ctx context.Context, e register.Event, markdown string, verbosities ...register.Verbosity) ([]step, error) {
	_, bindings, err := b.directory.read(ctx)
	if err != nil {
		return nil, err
	}
	var steps []step
	for _, binding := range budgetRooms(bindings) {
		room := id.RoomID(binding.Room)
		if !slices.Contains(verbosities, binding.Verbosity) {
			continue
		}
		steps = append(steps, func(ctx context.Context) (id.RoomID, error) {
			_, err := b.outbox.add(ctx, outgoing{
				Txn: causedBy(e, room, "told"), Room: room, Rank: notice, Type: event.EventMessage.Type, Content: words(b.clip(markdown), nil),
			})
			return room, err
		})
	}
	return steps, nil
}

// planBoth is what two ways of telling one event have to say.
func (b *Bot) planBoth(ctx context.Context, e register.Event, ways ...func(context.Context, register.Event) ([]step, error)) ([]step, error) {
	var all []step
	for _, way := range ways {
		steps, err := way(ctx, e)
		if err != nil {
			return nil, err
		}
		all = append(all, steps...)
	}
	return all, nil
}
