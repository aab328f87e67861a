package bot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// hearTakenBack ends an event whose content was removed before the bot read it. What its own sender removed was taken back. What somebody
// else removed may have been a vote, and that stands: a reaction is read from the homeserver if that still gives it out, and else its
// sender is asked to cast it again.
func (b *Bot) hearTakenBack(ctx context.Context, h *heard) error {
	const reason = "taken back before it was read"
	evt, _ := decode(h) // its content is gone and may not decode
	because := id.UserID("")
	if evt != nil && evt.Unsigned.RedactedBecause != nil {
		because = evt.Unsigned.RedactedBecause.Sender
	}
	if h.Type != event.EventReaction.Type && h.Type != event.EventEncrypted.Type || because == "" || because == h.Sender {
		return b.journal.end(ctx, h, stateDropped, reason)
	}
	open, err := b.openIn(ctx, h.Room)
	if err != nil {
		return err
	}
	if len(open) == 0 || !b.knownBefore(ctx, h.Sender) {
		return b.journal.end(ctx, h, stateDropped, reason)
	}
	if h.Type == event.EventReaction.Type {
		if restored, err := b.restoreRemoved(ctx, h); err != nil || restored {
			return err
		}
	}
	votes, err := b.votesLost(ctx, h, evt, open)
	if err != nil {
		return err
	}
	if len(votes) == 0 {
		return b.journal.end(ctx, h, stateDropped, reason)
	}
	return b.askForVoteAgain(ctx, h, evt, because, votes)
}

// restoreRemoved reads a removed reaction from a homeserver that shows the content of what was removed to whoever may remove it
// (MSC2815), and deals with it as with any other.
func (b *Bot) restoreRemoved(ctx context.Context, h *heard) (bool, error) {
	evt, err := b.client.GetUnredactedEventContent(ctx, h.Room, h.ID)
	var failure mautrix.HTTPError
	switch {
	case errors.As(err, &failure) && failure.Response != nil && failure.Response.StatusCode >= 400 && failure.Response.StatusCode < 500 &&
		failure.Response.StatusCode != http.StatusTooManyRequests:
		return false, nil // it has no such thing, or the content is gone
	case err != nil:
		return false, fmt.Errorf("asking for a removed reaction: %w", err)
	case evt.ID != h.ID || evt.Sender != h.Sender || evt.Type.Type != h.Type || evt.Content.VeryRaw == nil:
		return false, nil
	}
	if relation, _ := evt.Content.Raw["m.relates_to"].(map[string]any); relation == nil {
		return false, nil
	}
	evt.Unsigned = event.Unsigned{}
	raw, err := evt.MarshalJSON()
	if err != nil {
		return false, fmt.Errorf("encoding a removed reaction: %w", err)
	}
	if err := b.journal.reread(ctx, h, raw); err != nil {
		return false, err
	}
	zerolog.Ctx(ctx).Info().Msg("A reaction that somebody else removed was read from the homeserver all the same")
	return true, b.attempt(ctx, h)
}

// voteLost is a proposal on which a removed event may have voted.
type voteLost struct {
	proposal register.Proposal
	seat     string
}

// votesLost lists the open proposals of a room that the sender of a removed event may have voted on with it, and has not since.
func (b *Bot) votesLost(ctx context.Context, h *heard, evt *event.Event, open []string) ([]voteLost, error) {
	who, known, err := b.authorise(ctx, h.Sender)
	if err != nil || !known {
		return nil, err
	}
	var out []voteLost
	for _, one := range open {
		p, err := b.api.Proposal(ctx, register.By{}, one)
		if err != nil {
			return nil, fmt.Errorf("asking for %s: %w", one, err)
		}
		seat, at := seatHeld(p, who.Name, h.Sender), saidAt(evt)
		within := p.State == register.ProposalStateOpen && !at.Before(p.OpenedAt.Truncate(time.Millisecond)) && !at.After(endOf(p))
		if noVote := p.Signed && h.Type == event.EventReaction.Type; seat != "" && within && !noVote && !votedSince(p, seat, who.Name, at) {
			out = append(out, voteLost{p, seat})
		}
	}
	return out, nil
}

// votedSince says whether an actor's vote for a seat was cast at an instant or later, so that an earlier one means nothing.
func votedSince(p register.Proposal, seat, actor string, at time.Time) bool {
	for _, vote := range p.Votes {
		if vote.Seat == seat && vote.Actor == actor && !vote.CastAt.Before(at.Truncate(time.Millisecond)) {
			return true
		}
	}
	return false
}

// askForVoteAgain rings who may have voted with what somebody else removed. When a reaction was given is kept: one given now in its place
// counts as of then.
func (b *Bot) askForVoteAgain(ctx context.Context, h *heard, evt *event.Event, because id.UserID, votes []voteLost) error {
	var names []string
	for _, vote := range votes {
		names = append(names, vote.proposal.ID)
	}
	line := fmt.Sprintf("**%s removed a %%s of %s before I could read it.** If it was a vote on %s, %%s.",
		plain(because.String()), plain(h.Sender.String()), strings.Join(names, " or "))
	reaction := h.Type == event.EventReaction.Type
	if reaction {
		line = fmt.Sprintf(line, "reaction", "react again: it counts as of "+saidAt(evt).In(b.options.Zone).Format("15:04:05 MST")+", also past the deadline, until the proposal has closed")
	} else {
		line = fmt.Sprintf(line, "message", "write it again")
	}
	err := transaction(ctx, b.database, func(ctx context.Context) error {
		for _, vote := range votes {
			if !reaction {
				break
			}
			_, err := b.database.Exec(ctx, `INSERT INTO vote_removed (event_id, proposal, seat, sender, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
				h.ID, vote.proposal.ID, vote.seat, h.Sender, saidAt(evt))
			if err != nil {
				return fmt.Errorf("noting that a vote may have been removed: %w", err)
			}
		}
		_, err := b.outbox.add(ctx, outgoing{
			Txn: txnID("removed", h.ID.String()), Room: h.Room, Rank: wakeUp, Type: event.EventMessage.Type, Content: words(line, []id.UserID{h.Sender}),
		})
		if err != nil {
			return err
		}
		return b.journal.end(ctx, h, stateDone, "removed by somebody else before it was read")
	})
	b.speaking.wake(h.Room)
	return err
}

// castAgain is the instant as of which a reaction counts: its own, or past the end that of the removed one whose place it takes, once.
func (b *Bot) castAgain(ctx context.Context, h *heard, p register.Proposal, said time.Time) (time.Time, error) {
	if !said.After(endOf(p)) {
		return said, nil
	}
	var at time.Time
	err := b.database.QueryRow(ctx, `UPDATE vote_removed SET again = $3 WHERE event_id = (SELECT event_id FROM vote_removed
		WHERE proposal = $1 AND sender = $2 AND (again IS NULL OR again = $3) ORDER BY at DESC LIMIT 1) AND proposal = $1 RETURNING at`,
		p.ID, h.Sender, h.ID).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return said, nil
	}
	if err != nil {
		return said, fmt.Errorf("reading whether a vote was removed: %w", err)
	}
	return at.UTC(), nil
}

// lacksVote says whether somebody was asked to cast a removed vote again and has not. The proposal is not reported as read to its end until
// then, so it waits as long as the register waits for rooms to be read.
func (b *Bot) lacksVote(ctx context.Context, proposal string) (bool, error) {
	rows, err := b.database.Query(ctx, `SELECT seat, sender, at FROM vote_removed WHERE proposal = $1 AND again IS NULL`, proposal)
	type removed struct {
		seat   string
		sender id.UserID
		at     time.Time
	}
	lost, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (one removed, err error) {
		return one, row.Scan(&one.seat, &one.sender, &one.at)
	}, err).AsList()
	if err != nil {
		return false, fmt.Errorf("reading whether a vote was removed: %w", err)
	}
	if len(lost) == 0 {
		return false, nil
	}
	p, err := b.api.Proposal(ctx, register.By{}, proposal)
	if err != nil {
		return false, fmt.Errorf("asking for %s: %w", proposal, err)
	}
	for _, one := range lost {
		who, known, err := b.authorise(ctx, one.sender)
		if err != nil {
			return false, err
		}
		if known && !votedSince(p, one.seat, who.Name, one.at) {
			return true, nil
		}
	}
	return false, nil
}

// openIn lists the open proposals that are voted on in a room.
func (b *Bot) openIn(ctx context.Context, room id.RoomID) ([]string, error) {
	rows, err := b.database.Query(ctx, `SELECT m.proposal FROM proposal_message m JOIN ballot b ON b.proposal = m.proposal
		WHERE m.room_id = $1 AND NOT m.replaced AND b.open ORDER BY 1`, room)
	open, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[string], err).AsList()
	if err != nil {
		return nil, fmt.Errorf("reading what is voted on in a room: %w", err)
	}
	return open, nil
}
