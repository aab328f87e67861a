package bot

import (
	"context"
	"fmt"
	"slices"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// seated lists the Matrix IDs of those who hold a seat that votes on a proposal, each once.
func seated(proposal register.Proposal, identities []register.Identity) []id.UserID {
	var out []id.UserID
	for _, seat := range proposal.Roster {
		if seat.Recused != "" {
			continue
		}
		user := id.UserID(seat.MatrixID)
		if user == "" {
			at := slices.IndexFunc(identities, func(i register.Identity) bool { return i.Name == seat.Identity })
			if at >= 0 {
				user = id.UserID(identities[at].MatrixID)
			}
		}
		if user != "" && !slices.Contains(out, user) {
			out = append(out, user)
		}
	}
	return out
}

// planProposal puts a proposal to the rooms bound for the board, ringing the seated people, with the seeds under it.
func (b *Bot) planProposal(ctx context.Context, e register.Event) ([]step, error) {
	_, rooms, err := b.directory.read(ctx)
	if err != nil {
		return nil, err
	}
	return b.putTo(ctx, e, boundFor(rooms, register.RoomPurposeBoard)...)
}

// putTo puts a proposal to the people of rooms.
func (b *Bot) putTo(ctx context.Context, e register.Event, rooms ...id.RoomID) ([]step, error) {
	identities, _, err := b.directory.read(ctx)
	if err != nil {
		return nil, err
	}
	board, err := b.board.read(ctx)
	if err != nil {
		return nil, err
	}
	seeds := seedsOf(board.Keys)
	ring := seated(e.Proposal, identities)
	content := words(b.clip(commands.ProposalMessage(e.Proposal, board.Keys, b.options.Zone)), ring)
	var steps []step
	for _, room := range rooms {
		// Before anyone can vote there, so that the proposal does not close without what was said in the room.
		if err := b.reportRead(ctx, e.Proposal.ID, room, e.Proposal.OpenedAt); err != nil {
			return nil, err
		}
		steps = append(steps, func(ctx context.Context) (id.RoomID, error) {
			if err := b.followBallot(ctx, e.Proposal); err != nil {
				return room, err
			}
			return room, b.postProposal(ctx, e, room, content, rankOf(ring), seeds)
		})
	}
	return steps, nil
}

func (b *Bot) postProposal(ctx context.Context, e register.Event, room id.RoomID, content map[string]any, urgency rank, seeds []string) error {
	message, err := b.outbox.add(ctx, outgoing{
		Txn: causedBy(e, room, "proposal"), Room: room, Rank: urgency, Type: event.EventMessage.Type, Content: content,
	})
	if err != nil {
		return err
	}
	_, err = b.database.Exec(ctx, `INSERT INTO proposal_message (proposal, room_id, outbox) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		e.Proposal.ID, room, message)
	if err != nil {
		return fmt.Errorf("noting a proposal's message: %w", err)
	}
	if e.Proposal.Signed {
		if err := b.postPoll(ctx, e, room, message); err != nil {
			return err
		}
	}
	for _, seed := range seeds {
		_, err := b.outbox.add(ctx, outgoing{
			Txn: causedBy(e, room, "seed"+seed), Room: room, Rank: notice, Type: event.EventReaction.Type, Content: reaction("", seed), About: message,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

type proposalMessage struct {
	room   id.RoomID
	outbox int64
}

func (b *Bot) proposalMessages(ctx context.Context, proposal string) ([]proposalMessage, error) {
	rows, err := b.database.Query(ctx, `SELECT room_id, outbox FROM proposal_message WHERE proposal = $1 AND NOT replaced`, proposal)
	messages, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (m proposalMessage, err error) {
		return m, row.Scan(&m.room, &m.outbox)
	}, err).AsList()
	if err != nil {
		return nil, fmt.Errorf("reading a proposal's messages: %w", err)
	}
	return messages, nil
}

// planTally edits a proposal's messages to show its votes as they are.
func (b *Bot) planTally(ctx context.Context, e register.Event) ([]step, error) {
	messages, err := b.proposalMessages(ctx, e.Proposal.ID)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	identities, _, err := b.directory.read(ctx)
	if err != nil {
		return nil, err
	}
	board, err := b.board.read(ctx)
	if err != nil {
		return nil, err
	}
	content := words(b.clip(commands.ProposalMessage(e.Proposal, board.Keys, b.options.Zone)), seated(e.Proposal, identities))
	var steps []step
	for _, message := range messages {
		steps = append(steps, func(ctx context.Context) (id.RoomID, error) {
			if err := b.followBallot(ctx, e.Proposal); err != nil {
				return message.room, err
			}
			_, err := b.outbox.add(ctx, outgoing{
				Txn: causedBy(e, message.room, "tally"), Room: message.room, Rank: edit, Type: event.EventMessage.Type,
				Content: replacing(content), About: message.outbox, Last: e.Type == register.EventTypeProposalClosed,
			})
			return message.room, err
		})
	}
	return steps, nil
}

// planResult shows a closed proposal's result: in its message, in a thread of it, and in the thread of the dispatch it was about.
func (b *Bot) planResult(ctx context.Context, e register.Event) ([]step, error) {
	steps, err := b.planTally(ctx, e)
	if err != nil {
		return nil, err
	}
	result, ok := commands.NoticeFor(e, b.options.Zone)
	if !ok {
		return steps, nil
	}
	messages, err := b.proposalMessages(ctx, e.Proposal.ID)
	if err != nil {
		return nil, err
	}
	for _, message := range messages {
		steps = append(steps, func(ctx context.Context) (id.RoomID, error) {
			_, err := b.outbox.add(ctx, outgoing{
				Txn: causedBy(e, message.room, "result"), Room: message.room, Rank: notice, Type: event.EventMessage.Type,
				Content: inThread(words(b.clip(result.Markdown), nil), "", ""), About: message.outbox,
			})
			return message.room, err
		})
	}
	if e.Proposal.Action.Dispatch == "" {
		return steps, nil
	}
	dispatch, err := b.api.Dispatch(ctx, register.By{}, e.Proposal.Action.Dispatch)
	if register.Retryable(err) {
		return nil, fmt.Errorf("asking for %s: %w", e.Proposal.Action.Dispatch, err)
	}
	at, fromMatrix, failure := b.origin(ctx, dispatch.Origin)
	if failure != nil {
		return nil, failure
	}
	if err != nil || !fromMatrix {
		return steps, nil
	}
	return append(steps, func(ctx context.Context) (id.RoomID, error) {
		_, err := b.outbox.add(ctx, outgoing{
			Txn: causedBy(e, at.room, "outcome"), Room: at.room, Rank: notice, Type: event.EventMessage.Type,
			Content: inThread(words(b.clip(result.Markdown), nil), at.root, at.asked),
		})
		return at.room, err
	}), nil
}
