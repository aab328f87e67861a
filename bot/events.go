package bot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// follow reads the fleet's event log and queues what each event has to say. An event's messages and the position behind it
// commit together, and their transaction IDs come from the event, so that a replay says nothing twice.
func (b *Bot) follow(ctx context.Context) {
	wait := 250 * time.Millisecond
	for ctx.Err() == nil {
		after, err := b.position(ctx)
		began := b.now()
		if err == nil {
			err = b.api.Events(ctx, after, func(event register.Event) error {
				wait = 250 * time.Millisecond
				return b.hearEvent(ctx, event)
			})
		}
		if hint, gone := register.ResyncOf(err); gone {
			zerolog.Ctx(ctx).Warn().Int64("after", hint.After).Msg("Events are gone that were not heard, reading anew what is shown")
			if err = b.resync(ctx, hint); err == nil {
				continue
			}
		}
		if ctx.Err() != nil {
			return
		}
		if b.now().Sub(began) > 10*time.Second {
			wait = 250 * time.Millisecond
		}
		zerolog.Ctx(ctx).Warn().Err(err).Dur("wait", wait).Msg("Event stream broke off, reading on")
		pause(ctx, wait)
		wait = min(2*wait, 10*time.Second)
	}
}

func (b *Bot) position(ctx context.Context) (int64, error) {
	var after int64
	err := b.database.QueryRow(ctx, `SELECT seq FROM position`).Scan(&after)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the position in the event log: %w", err)
	}
	return after, nil
}

func (b *Bot) hearEvent(ctx context.Context, event register.Event) error {
	switch event.Type {
	case register.EventTypeIdentitySet, register.EventTypeRoomBound, register.EventTypeSeatSet, register.EventTypeSeatRemoved, register.EventTypeBoardSet:
		b.board.outdate()
		b.directory.outdate()
		select {
		case b.roomsChanged <- struct{}{}:
		default:
		}
	}
	plan, err := b.plan(ctx, event)
	if err != nil {
		return err
	}
	fault("event.read")
	if err := b.queue(ctx, plan, event.Seq); err != nil {
		return err
	}
	fault("event.queued")
	b.metrics.events.Inc()
	return nil
}

// queue queues what there is to say, together with the position it was heard at.
func (b *Bot) queue(ctx context.Context, plan []step, seq int64) error {
	var rooms []id.RoomID
	err := transaction(ctx, b.database, func(ctx context.Context) error {
		for _, step := range plan {
			room, err := step(ctx)
			if err != nil {
				return err
			}
			if room != "" {
				rooms = append(rooms, room)
			}
		}
		_, err := b.database.Exec(ctx, `INSERT INTO position (seq) VALUES ($1) ON CONFLICT (single) DO UPDATE SET seq = excluded.seq`, seq)
		if err != nil {
			return fmt.Errorf("storing the position in the event log: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.speaking.wake(rooms...)
	return nil
}

// step queues one part of what an event says, in the event's transaction, and returns the room that has something to say.
type step func(ctx context.Context) (id.RoomID, error)

// causedBy is the transaction ID of one part of what an event says in a room. Its instant is in it, since a restored register
// gives numbers again.
func causedBy(event register.Event, room id.RoomID, part string) string {
	return txnID("event", strconv.FormatInt(event.Seq, 10), event.At.UTC().Format(time.RFC3339Nano), event.Dispatch.ID+event.Proposal.ID,
		room.String(), part)
}

// plan asks what an event needs asked, and returns what is then to be queued.
func (b *Bot) plan(ctx context.Context, event register.Event) ([]step, error) {
	// What happened before the bot's first start is history, but an open question is still a question.
	if event.At.Before(b.account.CreatedAt.Add(-clockSkew)) {
		if event.Type != register.EventTypeProposalOpened {
			return nil, nil
		}
		current, err := b.api.Proposal(ctx, register.By{}, event.Proposal.ID)
		if err != nil {
			return nil, fmt.Errorf("asking for %s: %w", event.Proposal.ID, err)
		}
		if current.State != register.ProposalStateOpen {
			return nil, nil
		}
		event.Proposal = current
	}
	switch event.Type {
	case register.EventTypeDispatchReady, register.EventTypeDispatchQueued, register.EventTypeDispatchRunning, register.EventTypeDispatchProgress,
		register.EventTypeDispatchDone, register.EventTypeDispatchFailed, register.EventTypeDispatchCancelled:
		return b.planBoth(ctx, event, b.planDispatch, b.planAdmission)
	case register.EventTypeDispatchRefused:
		return b.planBudget(ctx, event)
	case register.EventTypeBudgetStep:
		return b.planStep(ctx, event)
	case register.EventTypeBudgetBurn, register.EventTypeBudgetLapsed,
		register.EventTypeOverrideGranted, register.EventTypeOverrideEnded, register.EventTypePolicySet:
		return b.planWarning(ctx, event)
	case register.EventTypeRingAgain:
		return b.planRing(ctx, event)
	case register.EventTypeRingAcked:
		return b.planAcked(ctx, event)
	case register.EventTypeFleetPaused, register.EventTypeFleetResumed, register.EventTypeAgentGone, register.EventTypeAgentRetired:
		return b.planQuiet(ctx, event, register.RoomPurposeFleet)
	case register.EventTypeIdentityReset:
		return b.planQuiet(ctx, event, register.RoomPurposeFleet)
	case register.EventTypeIdentityTrusted:
		return b.planTrust(ctx, event)
	case register.EventTypeAuditHead:
		return b.planQuiet(ctx, event, register.RoomPurposeBoard)
	case register.EventTypeProposalOpened:
		return b.planProposal(ctx, event)
	case register.EventTypeProposalVoted:
		return b.planTally(ctx, event)
	case register.EventTypeProposalClosed:
		return b.planResult(ctx, event)
	}
	return nil, nil
}

// clockSkew is how far the gateway's clock may be behind the bot's.
const clockSkew = 5 * time.Second
