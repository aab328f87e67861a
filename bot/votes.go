package bot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// taste is what clients add to one and the same emoji: variation selectors and skin tones.
var taste = strings.NewReplacer("\uFE0E", "", "\uFE0F", "", "\U0001F3FB", "", "\U0001F3FC", "", "\U0001F3FD", "", "\U0001F3FE", "", "\U0001F3FF", "")

// verdictOf reads a reaction key as a vote by the board's keys; empty is none.
func verdictOf(key string, keys register.BoardKeys) register.Verdict {
	for verdict, means := range map[register.Verdict][]string{
		register.VerdictApprove: keys.Approve, register.VerdictReject: keys.Reject,
		register.VerdictConditional: keys.Conditional, register.VerdictAbstain: keys.Abstain,
	} {
		if slices.ContainsFunc(means, func(meant string) bool { return taste.Replace(meant) == taste.Replace(key) }) {
			return verdict
		}
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

// saidAt is when the homeserver took an event, which votes are counted by.
func saidAt(evt *event.Event) time.Time { return time.UnixMilli(evt.Timestamp).UTC() }

// hearReaction casts a vote: a reaction by a seated person to a proposal's message. Every other reaction means nothing.
func (b *Bot) hearReaction(ctx context.Context, h *heard, said *said) error {
	content, ok := said.Content.Parsed.(*event.ReactionEventContent)
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
	if over, err := b.roomOver(ctx, h.Room, saidAt(said.Event)); err != nil {
		return err
	} else if over {
		return b.journal.end(ctx, h, stateDropped, "the room was replaced before")
	}
	if h.Call == nil {
		board, err := b.board.read(ctx)
		if err != nil {
			return err
		}
		verdict := verdictOf(content.RelatesTo.Key, board.Keys)
		if verdict == "" {
			return b.journal.end(ctx, h, stateDropped, "")
		}
		current, seat, err := b.seatOf(ctx, h, proposal, message)
		if err != nil || seat == "" {
			return err
		}
		if back, err := b.takenBack(ctx, h, current); err != nil {
			return err
		} else if back {
			return b.journal.end(ctx, h, stateDropped, "taken back before it counted")
		}
		if verdict == register.VerdictConditional && !current.Signed {
			return b.askForCondition(ctx, h, current, seat, message, saidAt(said.Event))
		}
		at, err := b.castAgain(ctx, h, current, saidAt(said.Event))
		if err != nil {
			return err
		}
		mutation := register.CastVote(proposal, seat, register.VoteRequest{Verdict: verdict, EventID: h.ID.String(), At: at})
		if err := b.journal.prepare(ctx, h, commands.Call{Command: "vote", Mutation: &mutation}); err != nil {
			return err
		}
	}
	return b.sendVote(ctx, h, message)
}

// takenBack says whether the sender took the vote back while that still counts; what is taken back later stands.
func (b *Bot) takenBack(ctx context.Context, h *heard, p register.Proposal) (bool, error) {
	rows, err := b.journal.redactionsOf(ctx, h.ID, h.Sender)
	if err != nil || h.Attempts > 0 {
		return false, err
	}
	for _, row := range rows {
		evt, err := decode(row)
		if err != nil {
			continue
		}
		if !saidAt(evt).After(endOf(p)) {
			return true, nil
		}
	}
	return false, nil
}

// endOf is when voting ends as things stand.
func endOf(p register.Proposal) time.Time {
	if !p.SettlesAt.IsZero() && p.SettlesAt.Before(p.ClosesAt) {
		return p.SettlesAt
	}
	return p.ClosesAt
}

// seatOf finds the seat that the sender votes for on the proposal's roster. Without one the event is ended: strangers, and known
// people without a seat, are told so once. On a signed proposal a reaction is told, once, not to be a vote.
func (b *Bot) seatOf(ctx context.Context, h *heard, proposal string, message id.EventID) (register.Proposal, string, error) {
	who, known, err := b.authorise(ctx, h.Sender)
	if err != nil {
		return register.Proposal{}, "", err
	}
	if !known {
		return register.Proposal{}, "", b.refuseStranger(ctx, h, message)
	}
	current, err := b.api.Proposal(ctx, register.By{Actor: h.Sender.String()}, proposal)
	if err != nil {
		return current, "", b.voteRefused(ctx, h, message, err)
	}
	seat := seatHeld(current, who.Name, h.Sender)
	if seat == "" {
		line := fmt.Sprintf("You hold no seat on %s, so your reactions there do not count.", proposal)
		return current, "", b.sayOnce(ctx, h, "unseated:"+proposal, line, message)
	}
	if current.Signed && h.Type == event.EventReaction.Type {
		err = b.mentionOnce(ctx, h, "signed:"+proposal, fmt.Sprintf("%s takes signed votes only: your reaction shows what you intend. To vote, write `%s vote %s approve` here, in this encrypted room, from a verified session.",
			proposal, b.options.Prefix, proposal), message)
	}
	return current, seat, err
}

func seatHeld(p register.Proposal, name string, user id.UserID) string {
	deputy := ""
	for _, seat := range p.Roster {
		if seat.Identity == name || seat.MatrixID != "" && seat.MatrixID == user.String() {
			return seat.Seat
		}
		if deputy == "" && (seat.Deputy == name || seat.DeputyMatrixID != "" && seat.DeputyMatrixID == user.String()) {
			deputy = seat.Seat
		}
	}
	return deputy
}

// mentionOnce tells a person something at most once, without ending the event.
func (b *Bot) mentionOnce(ctx context.Context, h *heard, what, line string, root id.EventID) error {
	err := transaction(ctx, b.database, func(ctx context.Context) error {
		first, err := b.firstTime(ctx, h.Sender, what)
		if err != nil || !first {
			return err
		}
		_, err = b.outbox.add(ctx, outgoing{
			Txn: txnID("once", h.Sender.String(), what), Room: h.Room, Rank: reply, Type: event.EventMessage.Type, Content: inThread(words(line, nil), root, h.ID),
		})
		return err
	})
	b.speaking.wake(h.Room)
	return err
}

// askForCondition asks, in the thread, for what a conditional vote depends on. The vote counts once it is said.
func (b *Bot) askForCondition(ctx context.Context, h *heard, p register.Proposal, seat string, message id.EventID, at time.Time) error {
	err := transaction(ctx, b.database, func(ctx context.Context) error {
		_, err := b.database.Exec(ctx, `INSERT INTO condition (event_id, proposal, seat, sender, message, at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT DO NOTHING`, h.ID, p.ID, seat, h.Sender, message, at)
		if err != nil {
			return fmt.Errorf("noting that a condition is asked for: %w", err)
		}
		line := fmt.Sprintf("**On which condition?** Answer in this thread; your vote as %s on %s counts once you have said it. Its proposer can then accept it.", plain(seat), p.ID)
		_, err = b.outbox.add(ctx, outgoing{
			Txn: txnID("condition", h.ID.String()), Room: h.Room, Rank: reply, Type: event.EventMessage.Type,
			Content: inThread(words(line, []id.UserID{h.Sender}), message, message),
		})
		if err != nil {
			return err
		}
		return b.journal.end(ctx, h, stateDone, "asked for its condition")
	})
	b.speaking.wake(h.Room)
	return err
}

// hearCondition takes what a person says in a proposal's thread as the condition that was asked for; false if none was.
func (b *Bot) hearCondition(ctx context.Context, h *heard, said *said, text string) (bool, error) {
	message := threadOf(said.Event)
	if h.Call == nil {
		var proposal, seat string
		var reaction id.EventID
		err := b.database.QueryRow(ctx, `SELECT event_id, proposal, seat FROM condition WHERE sender = $1 AND message = $2 AND at <= $3 ORDER BY at DESC LIMIT 1`,
			h.Sender, message, saidAt(said.Event)).Scan(&reaction, &proposal, &seat)
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("reading whether a condition is asked for: %w", err)
		}
		text = strings.TrimSpace(text)
		if text == "" || len([]rune(text)) > 2000 {
			return false, nil
		}
		mutation := register.CastVote(proposal, seat, register.VoteRequest{
			Verdict: register.VerdictConditional, Reason: text, EventID: reaction.String(), At: saidAt(said.Event),
		})
		err = transaction(ctx, b.database, func(ctx context.Context) error {
			if _, err := b.database.Exec(ctx, `DELETE FROM condition WHERE sender = $1 AND message = $2`, h.Sender, message); err != nil {
				return err
			}
			return b.journal.prepare(ctx, h, commands.Call{Command: "vote", Mutation: &mutation})
		})
		if err != nil {
			return true, fmt.Errorf("taking a condition: %w", err)
		}
	} else if h.Call.Said != nil {
		return false, nil // a command, which says how it was typed
	}
	return true, b.sendVote(ctx, h, message)
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
	if h.Type == event.EventReaction.Type { // another vote is an answer too: what is said in the thread from here on is no condition
		if _, err := b.database.Exec(ctx, `DELETE FROM condition WHERE sender = $1 AND message = $2`, h.Sender, message); err != nil {
			return fmt.Errorf("forgetting that a condition was asked for: %w", err)
		}
	}
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

// votedBy is the vote that a journalled event cast: the proposal, its message, and whether it was one.
func (b *Bot) votedBy(ctx context.Context, vote *heard) (proposal string, message id.EventID, err error) {
	if vote == nil {
		return "", "", nil
	}
	if vote.Type == event.EventReaction.Type {
		evt, err := decode(vote)
		if err != nil {
			return "", "", nil //nolint:nilerr // what cannot be read was no vote
		}
		content, ok := evt.Content.Parsed.(*event.ReactionEventContent)
		if !ok {
			return "", "", nil
		}
		proposal, err = b.proposalAt(ctx, content.RelatesTo.EventID)
		return proposal, content.RelatesTo.EventID, err
	}
	if vote.Call == nil || vote.Call.Command != "vote" || vote.Call.Mutation == nil {
		return "", "", nil
	}
	_, rest, found := strings.Cut(vote.Call.Mutation.Path, "/proposals/")
	if !found {
		return "", "", nil
	}
	proposal, _, _ = strings.Cut(rest, "/")
	shown, err := b.shown(ctx, proposal)
	if message = shown[vote.Room]; message == "" {
		message = vote.ID
	}
	return proposal, message, err
}

// hearRedaction withdraws the vote that its own sender took back. What others redact stands, and is told.
func (b *Bot) hearRedaction(ctx context.Context, h *heard) error {
	vote, err := b.journal.find(ctx, h.Redacts)
	if err != nil {
		return fmt.Errorf("reading what was taken back: %w", err)
	}
	proposal, message, err := b.votedBy(ctx, vote)
	if err != nil {
		return err
	}
	if proposal == "" || vote.Sender == b.client.UserID {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	if vote.Sender != h.Sender {
		return b.tellForeignRedaction(ctx, h, vote, proposal, message)
	}
	if _, err := b.database.Exec(ctx, `DELETE FROM condition WHERE event_id = $1`, vote.ID); err != nil {
		return fmt.Errorf("forgetting that a condition was asked for: %w", err)
	}
	if vote.State == stateDropped {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	if h.Call == nil {
		_, seat, err := b.seatOf(ctx, h, proposal, message)
		if err != nil || seat == "" {
			return err
		}
		evt, err := decode(h)
		if err != nil {
			return err
		}
		at, redaction := saidAt(evt), h.ID.String()
		event := vote.ID.String()
		mutation := register.TakeBack(proposal, seat, register.WithdrawVoteParams{EventID: &event, ByEvent: &redaction, At: &at})
		if err := b.journal.prepare(ctx, h, commands.Call{Command: "withdraw vote", Mutation: &mutation}); err != nil {
			return err
		}
	}
	return b.sendVote(ctx, h, message)
}

// tellForeignRedaction reports, in the proposal's thread, that somebody removed another's vote from sight; the vote stands.
func (b *Bot) tellForeignRedaction(ctx context.Context, h, vote *heard, proposal string, message id.EventID) error {
	if vote.State == stateDropped {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	line := fmt.Sprintf("%s removed what %s had voted with on %s. The vote stands: only who cast it can take it back.", plain(h.Sender.String()), plain(vote.Sender.String()), proposal)
	err := transaction(ctx, b.database, func(ctx context.Context) error {
		_, err := b.outbox.add(ctx, outgoing{
			Txn: txnID("foreign redaction", h.ID.String()), Room: h.Room, Rank: notice, Type: event.EventMessage.Type,
			Content: inThread(words(line, nil), message, message),
		})
		if err != nil {
			return err
		}
		return b.journal.end(ctx, h, stateDone, "removed by somebody else")
	})
	b.speaking.wake(h.Room)
	return err
}
