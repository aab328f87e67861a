package bot

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// polled are the verdicts a poll offers; a condition has to be written.
var polled = []register.Verdict{register.VerdictApprove, register.VerdictReject, register.VerdictAbstain}

// postPoll puts a poll into the thread of a signed proposal: answering it is a vote that a device signs, as writing one is.
func (b *Bot) postPoll(ctx context.Context, e register.Event, room id.RoomID, message int64) error {
	var posted bool
	err := b.database.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM poll_answer WHERE proposal = $1 AND room_id = $2)`, e.Proposal.ID, room).Scan(&posted)
	if err != nil {
		return fmt.Errorf("reading whether %s has a poll: %w", e.Proposal.ID, err)
	}
	if posted {
		return nil
	}
	poll := event.PollStart{Kind: "org.matrix.msc3381.poll.disclosed", MaxSelections: 1}
	poll.Question.Text = fmt.Sprintf("%s: %s. Your answer is a signed vote.", e.Proposal.ID, e.Proposal.Title)
	for _, verdict := range polled {
		answer := rand.Text()
		option := event.PollOption{ID: answer}
		option.Text = string(verdict)
		poll.Answers = append(poll.Answers, option)
		_, err := b.database.Exec(ctx, `INSERT INTO poll_answer (answer, proposal, room_id, verdict) VALUES ($1, $2, $3, $4)`, answer, e.Proposal.ID, room, verdict)
		if err != nil {
			return fmt.Errorf("noting the answers of a poll: %w", err)
		}
	}
	content := fields(&event.PollStartEventContent{PollStart: poll})
	content["org.matrix.msc1767.text"] = poll.Question.Text
	_, err = b.outbox.add(ctx, outgoing{
		Txn: causedBy(e, room, "poll"), Room: room, Rank: notice, Type: event.EventUnstablePollStart.Type, Content: inThread(content, "", ""), About: message,
	})
	return err
}

// hearPoll takes the answer to a poll as a signed vote. Which poll an event says it answers is not signed, so only the answer's ID tells
// what it votes on; an empty answer names nothing and is dropped.
func (b *Bot) hearPoll(ctx context.Context, h *heard, said *said) error {
	content, ok := said.Content.Parsed.(*event.PollResponseEventContent)
	if !ok || len(content.Response.Answers) != 1 {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	var proposal string
	var verdict register.Verdict
	err := b.database.QueryRow(ctx, `SELECT proposal, verdict FROM poll_answer WHERE answer = $1 AND room_id = $2`, content.Response.Answers[0], h.Room).Scan(&proposal, &verdict)
	if errors.Is(err, sql.ErrNoRows) {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	if err != nil {
		return fmt.Errorf("reading what an answer votes on: %w", err)
	}
	if over, err := b.roomOver(ctx, h.Room, saidAt(said.Event)); err != nil {
		return err
	} else if over {
		return b.journal.end(ctx, h, stateDropped, "the room was replaced before")
	}
	shown, err := b.shown(ctx, proposal)
	if err != nil {
		return err
	}
	message := shown[h.Room]
	if h.Call == nil {
		if _, known, err := b.authorise(ctx, h.Sender); err != nil {
			return err
		} else if known && !said.Trusted {
			return b.refuseUntrusted(ctx, h, said, message)
		}
		_, seat, err := b.seatOf(ctx, h, proposal, message)
		if err != nil || seat == "" {
			return err
		}
		mutation := register.CastVote(proposal, seat, register.VoteRequest{Verdict: verdict, EventID: h.ID.String(), At: saidAt(said.Event), Signed: true})
		if err := b.journal.prepare(ctx, h, commands.Call{Command: "vote", Mutation: &mutation}); err != nil {
			return err
		}
	}
	return b.sendVote(ctx, h, message)
}
