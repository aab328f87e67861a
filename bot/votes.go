package bot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"go.mau.fi/util/variationselector"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

var skinTones = strings.NewReplacer("\U0001F3FB", "", "\U0001F3FC", "", "\U0001F3FD", "", "\U0001F3FE", "", "\U0001F3FF", "")

// verdictOf reads a reaction key as a vote, whatever the client's taste in variation selectors and skin tones; empty is none.
func verdictOf(key string) register.Verdict {
	switch skinTones.Replace(variationselector.Remove(key)) {
	case "✅", "👍":
		return register.VerdictApprove
	case "❌", "👎":
		return register.VerdictReject
	}
	return ""
}

// proposalAt is the proposal whose message an event is, or empty.
func (b *Bot) proposalAt(ctx context.Context, target id.EventID) (string, error) {
	var proposal string
	err := b.database.QueryRow(ctx, `SELECT m.proposal FROM proposal_message m JOIN outbox o ON o.id = m.outbox WHERE o.event_id = $1`, target).Scan(&proposal)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading which proposal a message is: %w", err)
	}
	return proposal, nil
}

// hearReaction casts a vote: a reaction by a seated person to a proposal's message. Every other reaction means nothing.
func (b *Bot) hearReaction(ctx context.Context, h *heard, said *said) error {
	content, ok := said.Content.Parsed.(*event.ReactionEventContent)
	if !ok {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	verdict := verdictOf(content.RelatesTo.Key)
	proposal, err := b.proposalAt(ctx, content.RelatesTo.EventID)
	if err != nil {
		return err
	}
	if proposal == "" || verdict == "" {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	if redacted, err := b.journal.redacted(ctx, h.ID, h.Sender); err != nil {
		return err
	} else if redacted && h.Attempts == 0 {
		return b.journal.end(ctx, h, stateDropped, "taken back before it counted")
	}
	if h.Call == nil {
		seat, err := b.seatOf(ctx, h, proposal, content.RelatesTo.EventID)
		if err != nil || seat == "" {
			return err
		}
		mutation := register.CastVote(proposal, seat, register.VoteRequest{Verdict: verdict, EventID: h.ID.String()})
		if err := b.journal.prepare(ctx, h, commands.Call{Command: "vote", Mutation: &mutation}); err != nil {
			return err
		}
	}
	return b.sendVote(ctx, h, content.RelatesTo.EventID)
}

// seatOf finds the seat that the sender holds on the proposal's roster. Without one the event is ended: strangers, and known
// people without a seat, are told so once.
func (b *Bot) seatOf(ctx context.Context, h *heard, proposal string, message id.EventID) (string, error) {
	who, known, err := b.authorise(ctx, h.Sender)
	if err != nil {
		return "", err
	}
	if !known {
		return "", b.refuseStranger(ctx, h, message)
	}
	current, err := b.api.Proposal(ctx, register.By{Actor: h.Sender.String()}, proposal)
	if err != nil {
		return "", b.voteRefused(ctx, h, message, err)
	}
	for _, seat := range current.Roster {
		if seat.Identity == who.Name || seat.MatrixID != "" && seat.MatrixID == h.Sender.String() {
			return seat.Seat, nil
		}
	}
	line := fmt.Sprintf("You hold no seat on %s, so your reactions there do not count.", proposal)
	return "", b.sayOnce(ctx, h, "unseated:"+proposal, line, message)
}

// sendVote sends the stored vote or its withdrawal. The tally is shown when the fleet's event of it comes.
func (b *Bot) sendVote(ctx context.Context, h *heard, message id.EventID) error {
	fault("command.prepared")
	if err := b.journal.attempt(ctx, h); err != nil {
		return fmt.Errorf("noting an attempt: %w", err)
	}
	attempt, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	err := b.api.Send(attempt, register.By{Actor: h.Sender.String(), Key: h.ID.String()}, *h.Call.Mutation, nil)
	if err != nil {
		return b.voteRefused(ctx, h, message, err)
	}
	fault("gateway.answered")
	b.metrics.votes.Inc()
	return b.journal.end(ctx, h, stateDone, "")
}

// voteRefused says why a vote did not count; a retryable failure is handed on instead.
func (b *Bot) voteRefused(ctx context.Context, h *heard, message id.EventID, failure error) error {
	var refusal *register.Error
	if register.Retryable(failure) || !errors.As(failure, &refusal) {
		return fmt.Errorf("sending a vote: %w", failure)
	}
	if h.Type == event.EventRedaction.Type {
		return b.journal.end(ctx, h, stateDone, refusal.Error())
	}
	err := transaction(ctx, b.database, func(ctx context.Context) error {
		_, err := b.outbox.add(ctx, outgoing{
			Txn: txnID("reply", h.ID.String()), Room: h.Room, Rank: reply, Type: event.EventMessage.Type,
			Content: inThread(words("**Not counted.** "+plain(refusal.Error()), nil), message, message),
		})
		if err != nil {
			return err
		}
		return b.journal.end(ctx, h, stateDone, refusal.Error())
	})
	b.speaking.wake(h.Room)
	return err
}

// hearRedaction withdraws the vote that its own sender took back. What others redact stands.
func (b *Bot) hearRedaction(ctx context.Context, h *heard) error {
	vote, err := b.journal.find(ctx, h.Redacts)
	if err != nil {
		return fmt.Errorf("reading what was taken back: %w", err)
	}
	if vote == nil || vote.Type != event.EventReaction.Type || vote.Sender != h.Sender || vote.State == stateDropped {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	evt, err := decode(vote)
	if err != nil {
		return err
	}
	content, ok := evt.Content.Parsed.(*event.ReactionEventContent)
	if !ok {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	message := content.RelatesTo.EventID
	proposal, err := b.proposalAt(ctx, message)
	if err != nil {
		return err
	}
	if proposal == "" {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	if h.Call == nil {
		seat, err := b.seatOf(ctx, h, proposal, message)
		if err != nil || seat == "" {
			return err
		}
		mutation := register.WithdrawVote(proposal, seat, vote.ID.String())
		if err := b.journal.prepare(ctx, h, commands.Call{Command: "withdraw vote", Mutation: &mutation}); err != nil {
			return err
		}
	}
	return b.sendVote(ctx, h, message)
}
