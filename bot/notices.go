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

// place is where a dispatch is spoken of: the thread it was asked for in, or a room at large.
type place struct {
	room   id.RoomID
	root   id.EventID // empty: no thread
	asked  id.EventID
	sender id.UserID
	// replied are the threads of the room where the reply to a command tells the same already.
	replied []id.EventID
}

// told says whether a reply tells it where a notice would.
func (p place) told() bool {
	return len(p.replied) > 0 && (p.root == "" || slices.Contains(p.replied, p.root))
}

// origin is the place a dispatch or proposal was asked for from Matrix, if it was. Anyone who may call the gateway can name
// an origin, so only an event the bot heard itself counts.
func (b *Bot) origin(ctx context.Context, from register.Origin) (place, bool, error) {
	if from.Transport != register.OriginTransportMatrix || from.Event == "" {
		return place{}, false, nil
	}
	asked, err := b.journal.find(ctx, id.EventID(from.Event))
	if err != nil {
		return place{}, false, fmt.Errorf("reading where a dispatch was asked for: %w", err)
	}
	if asked == nil || asked.Room != id.RoomID(from.Room) {
		return place{}, false, nil
	}
	root := asked.ID
	if from.Thread != "" {
		root = id.EventID(from.Thread)
	}
	here, err := b.outbox.movedTo(ctx, asked.Room)
	if err != nil {
		return place{}, false, err
	}
	if here != asked.Room {
		return place{room: here, sender: asked.Sender}, true, nil
	}
	return place{room: asked.Room, root: root, asked: asked.ID, sender: asked.Sender}, true, nil
}

// byTime is the actor of what nobody asked for: a worker that is missing, a promise that moved.
const byTime = "gateway"

func dispatchRef(dispatch string) string { return "dispatch:" + dispatch }

// planDispatch speaks of a dispatch in the thread it was asked for in, or in the rooms bound for the fleet.
func (b *Bot) planDispatch(ctx context.Context, e register.Event) ([]step, error) {
	notice, ok := commands.NoticeFor(e, b.options.Zone)
	if !ok {
		return nil, nil
	}
	identities, rooms, err := b.directory.read(ctx)
	if err != nil {
		return nil, err
	}
	at, fromMatrix, err := b.origin(ctx, e.Dispatch.Origin)
	if err != nil {
		return nil, err
	}
	var ring []id.UserID
	if notice.Rings {
		ring = b.askers(e.Dispatch, at, identities)
	}
	if notice.File, err = b.wholeResult(ctx, e, notice.File); err != nil {
		return nil, err
	}
	if fromMatrix {
		if e.Type == register.EventTypeDispatchQueued && e.Actor != byTime {
			// The reply to the command, or the notice of a pause, says so; the sign follows all the same.
			return []step{func(ctx context.Context) (id.RoomID, error) { return at.room, b.followSign(ctx, e, at) }}, nil
		}
		if at.replied, err = b.cancelledIn(ctx, e, at.room, identities); err != nil {
			return nil, err
		}
		return []step{b.dispatchStep(e, at, notice, ring)}, nil
	}
	var steps []step
	for _, room := range boundFor(rooms, register.RoomPurposeFleet) {
		replied, err := b.cancelledIn(ctx, e, room, identities)
		if err != nil {
			return nil, err
		}
		steps = append(steps, b.dispatchStep(e, place{room: room, replied: replied}, notice, ring))
	}
	return steps, nil
}

// wholeResult is the file that goes with the end of a run: all of its result, where the event holds only the end.
func (b *Bot) wholeResult(ctx context.Context, e register.Event, file commands.File) (commands.File, error) {
	if e.Dispatch.Result.OutputBytes == 0 || e.Type != register.EventTypeDispatchDone && e.Type != register.EventTypeDispatchFailed {
		return file, nil
	}
	output, err := b.api.Output(ctx, register.By{}, e.Dispatch.ID)
	if register.CodeOf(err) == register.ProblemCodeNotFound {
		return file, nil
	}
	if err != nil {
		return file, fmt.Errorf("asking for the result of %s: %w", e.Dispatch.ID, err)
	}
	return commands.WholeResult(e.Dispatch, output.Text), nil
}

// askers are those who asked for a dispatch.
func (b *Bot) askers(dispatch register.Dispatch, at place, identities []register.Identity) []id.UserID {
	if at.sender != "" {
		return []id.UserID{at.sender}
	}
	for _, identity := range identities {
		if identity.Name == dispatch.CreatedBy && identity.MatrixID != "" && id.UserID(identity.MatrixID) != b.client.UserID {
			return []id.UserID{id.UserID(identity.MatrixID)}
		}
	}
	return nil
}

func (b *Bot) dispatchStep(e register.Event, at place, said commands.Notice, ring []id.UserID) step {
	return func(ctx context.Context) (id.RoomID, error) {
		if e.Type == register.EventTypeDispatchReady && at.asked != "" {
			woken, err := b.wakeSign(ctx, e, at)
			if err != nil || !woken {
				return at.room, err
			}
		}
		if err := b.followSign(ctx, e, at); err != nil {
			return "", err
		}
		if at.told() {
			return at.room, nil
		}
		running, err := b.outbox.latest(ctx, at.room, dispatchRef(e.Dispatch.ID))
		if err != nil {
			return "", fmt.Errorf("reading what was said of a dispatch: %w", err)
		}
		told, err := b.barelyMoved(ctx, e, at)
		if err != nil {
			return "", err
		}
		content := words(b.clip(said.Markdown), ring)
		message := outgoing{Txn: causedBy(e, at.room, "notice"), Room: at.room, Rank: rankOf(ring), Type: event.EventMessage.Type, Content: content, Agent: worker(e)}
		message.Topic = dispatchRef(e.Dispatch.ID)
		switch {
		case told != nil:
			message.Rank, message.About, message.Content, message.Topic = edit, told.ID, replacing(content), ""
		case e.Type == register.EventTypeDispatchProgress && running != nil:
			message.Rank, message.About, message.Content, message.Topic = edit, running.ID, replacing(content), ""
		case at.root != "":
			message.Content = inThread(content, at.root, at.asked)
		case running != nil:
			message.About, message.Content = running.ID, inThread(content, "", "")
		}
		if e.Type == register.EventTypeDispatchRunning || e.Type == register.EventTypeDispatchProgress && running == nil {
			message.Ref = dispatchRef(e.Dispatch.ID)
			message.About = 0
		}
		if told == nil && e.Type == register.EventTypeDispatchQueued {
			promise(&message, e.Dispatch)
		}
		row, err := b.outbox.add(ctx, message)
		if err != nil {
			return "", err
		}
		if err := b.spokenOf(ctx, e.Dispatch.ID, row, at.asked, at.root); err != nil || said.File.Text == "" {
			return at.room, err
		}
		file := outgoing{
			Txn: causedBy(e, at.room, "file"), Room: at.room, Rank: notice, Type: event.EventMessage.Type,
			Content: inThread(attached(said.File), at.root, at.asked), Agent: worker(e),
		}
		if at.root == "" {
			if file.About = message.About; file.About == 0 {
				file.About = row
			}
		}
		_, err = b.outbox.add(ctx, file)
		return at.room, err
	}
}

// worker is the agent whose run an event tells of; empty for what the fleet decided.
func worker(e register.Event) string {
	switch e.Type {
	case register.EventTypeDispatchRunning, register.EventTypeDispatchProgress, register.EventTypeDispatchDone, register.EventTypeDispatchFailed:
		return e.Dispatch.Worker
	}
	return ""
}

// wakeSign swaps the sign of a command whose dispatch waited, or was refused and then lifted. A dispatch that was ready at
// once has none of these, and its reply has said all there is.
func (b *Bot) wakeSign(ctx context.Context, e register.Event, at place) (bool, error) {
	shown, err := b.outbox.latest(ctx, at.room, signRef(at.asked))
	if err != nil {
		return false, fmt.Errorf("reading the sign of a command: %w", err)
	}
	if shown == nil || keyOf(shown) != signWaiting && keyOf(shown) != signRefused {
		return false, nil
	}
	return true, b.sign(ctx, at.room, at.asked, signDone, causedBy(e, at.room, "sign"))
}

func rankOf(ring []id.UserID) rank {
	if len(ring) > 0 {
		return wakeUp
	}
	return notice
}

// planBudget rings the operators for a refused dispatch, once, in the rooms bound for the budget.
func (b *Bot) planBudget(ctx context.Context, e register.Event) ([]step, error) {
	notice, ok := commands.NoticeFor(e, b.options.Zone)
	if !ok {
		return nil, nil
	}
	identities, rooms, err := b.directory.read(ctx)
	if err != nil {
		return nil, err
	}
	var ring []id.UserID
	if notice.Rings {
		ring = withRole(identities, register.FleetRoleOperator)
	}
	var steps []step
	for _, room := range boundFor(rooms, register.RoomPurposeBudget) {
		steps = append(steps, func(ctx context.Context) (id.RoomID, error) {
			_, err := b.outbox.add(ctx, outgoing{
				Txn: causedBy(e, room, "notice"), Room: room, Rank: rankOf(ring), Type: event.EventMessage.Type,
				Content: words(b.clip(notice.Markdown), ring),
			})
			return room, err
		})
	}
	return steps, nil
}

// planQuiet says what rings nobody in the rooms bound for a purpose: that the fleet was paused or runs again, that an agent is no
// longer there, or the audit's head.
func (b *Bot) planQuiet(ctx context.Context, e register.Event, purpose register.RoomPurpose) ([]step, error) {
	said, ok := commands.NoticeFor(e, b.options.Zone)
	if !ok {
		return nil, nil
	}
	identities, rooms, err := b.directory.read(ctx)
	if err != nil {
		return nil, err
	}
	var steps []step
	for _, room := range boundFor(rooms, purpose) {
		if replied, err := b.repliedTo(ctx, e, room, identities); err != nil {
			return nil, err
		} else if replied {
			continue
		}
		steps = append(steps, func(ctx context.Context) (id.RoomID, error) {
			_, err := b.outbox.add(ctx, outgoing{
				Txn: causedBy(e, room, "notice"), Room: room, Rank: notice, Type: event.EventMessage.Type,
				Content: words(b.clip(said.Markdown), nil),
			})
			return room, err
		})
	}
	return steps, nil
}
