package bot

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// resync goes on after the bot was away for longer than the log is retained. It shows what it shows as it stands now, says what
// is lost, and takes the position it was given; all of that commits together.
func (b *Bot) resync(ctx context.Context, hint register.Resync) error {
	b.directory.outdate()
	select {
	case b.roomsChanged <- struct{}{}:
	default:
	}
	plan, err := b.planLost(ctx, hint)
	if err != nil {
		return err
	}
	for _, part := range []func(context.Context, register.Resync) ([]step, error){b.planOpen, b.planClosed, b.planEnded, b.planStanding} {
		steps, err := part(ctx, hint)
		if err != nil {
			return err
		}
		plan = append(plan, steps...)
	}
	return b.queue(ctx, plan, hint.After)
}

// planLost says in the rooms bound for the fleet what may have been missed.
func (b *Bot) planLost(ctx context.Context, hint register.Resync) ([]step, error) {
	_, rooms, err := b.directory.read(ctx)
	if err != nil {
		return nil, err
	}
	content := words(b.clip(commands.ResyncNotice(hint)), nil)
	var steps []step
	for _, room := range boundFor(rooms, register.RoomPurposeFleet) {
		steps = append(steps, func(ctx context.Context) (id.RoomID, error) {
			_, err := b.outbox.add(ctx, outgoing{
				Txn: causedBy(register.Event{Seq: hint.After}, room, "lost"), Room: room, Rank: notice, Type: event.EventMessage.Type, Content: content,
			})
			return room, err
		})
	}
	return steps, nil
}

// planOpen shows every open proposal with its votes, and puts those to the board that it has not seen.
func (b *Bot) planOpen(ctx context.Context, hint register.Resync) ([]step, error) {
	open, err := b.api.Proposals(ctx, register.By{}, register.ProposalStateOpen, "", 200)
	if err != nil {
		return nil, fmt.Errorf("asking for the open proposals: %w", err)
	}
	var all []step
	for _, proposal := range open.Proposals {
		e := register.Event{Seq: hint.After, Type: register.EventTypeProposalVoted, Proposal: proposal}
		shown, err := b.planTally(ctx, e)
		if err == nil && len(shown) == 0 {
			e.Type = register.EventTypeProposalOpened
			shown, err = b.planProposal(ctx, e)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, shown...)
	}
	return all, nil
}

// planClosed tells the result of proposals that are still shown as open.
func (b *Bot) planClosed(ctx context.Context, hint register.Resync) ([]step, error) {
	ids, err := b.refs(ctx, `SELECT DISTINCT proposal FROM proposal_message`)
	if err != nil {
		return nil, err
	}
	var all []step
	for _, proposal := range ids {
		now, err := b.api.Proposal(ctx, register.By{}, proposal)
		if err != nil {
			return nil, fmt.Errorf("asking for %s: %w", proposal, err)
		}
		told, err := b.said(ctx, proposal+" "+string(now.State))
		if err != nil {
			return nil, err
		}
		if now.State == register.ProposalStateOpen || told || now.ClosedAt.Before(b.remembers()) {
			continue
		}
		steps, err := b.planResult(ctx, register.Event{Seq: hint.After, Type: register.EventTypeProposalClosed, At: now.ClosedAt, Proposal: now})
		if err != nil {
			return nil, err
		}
		all = append(all, steps...)
	}
	return all, nil
}

// planEnded tells how work came out that was last shown running.
func (b *Bot) planEnded(ctx context.Context, hint register.Resync) ([]step, error) {
	refs, err := b.refs(ctx, `SELECT DISTINCT ref FROM outbox WHERE ref LIKE 'dispatch:%' AND state <> 'dropped'`)
	if err != nil {
		return nil, err
	}
	var all []step
	for _, ref := range refs {
		dispatch := strings.TrimPrefix(ref, dispatchRef(""))
		now, err := b.api.Dispatch(ctx, register.By{}, dispatch)
		if err != nil {
			return nil, fmt.Errorf("asking for %s: %w", dispatch, err)
		}
		told, err := b.said(ctx, dispatch+" "+string(now.State))
		if err != nil {
			return nil, err
		}
		if told || now.FinishedAt.Before(b.remembers()) { // what has not finished has no such time
			continue
		}
		steps, err := b.planDispatch(ctx, register.Event{
			Seq: hint.After, Type: register.EventType("dispatch." + string(now.State)), At: now.FinishedAt, Dispatch: now,
		})
		if err != nil {
			return nil, err
		}
		all = append(all, steps...)
	}
	return all, nil
}

// remembers is since when the bot knows all it said; what ended earlier may have been told.
func (b *Bot) remembers() time.Time { return b.now().Add(-retention) }

// refs reads what the bot has spoken of.
func (b *Bot) refs(ctx context.Context, query string) ([]string, error) {
	rows, err := b.database.Query(ctx, query)
	refs, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[string], err).AsList()
	if err != nil {
		return nil, fmt.Errorf("reading what was spoken of: %w", err)
	}
	return refs, nil
}

// said looks for words the bot has used.
func (b *Bot) said(ctx context.Context, words string) (bool, error) {
	var said bool
	err := b.database.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM outbox WHERE state <> 'dropped' AND strpos(content, $1) > 0)`, words).Scan(&said)
	if err != nil {
		return false, fmt.Errorf("reading what was said: %w", err)
	}
	return said, nil
}
