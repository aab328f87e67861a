package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Reading says up to which instant a room in which a proposal is voted on was read, by the homeserver's clock.
type Reading struct {
	Room    string    `json:"room"`
	Through time.Time `json:"through"`
}

// ReadRoom notes that a room is voted in, and how far it was read: from then on, a proposal whose voting has ended waits for that room.
// The report that is waited for closes it.
func (s *Store) ReadRoom(ctx context.Context, m Mutation, id ProposalID, reading Reading) (Proposal, error) {
	return once(ctx, s, m, func(t *transaction) (Proposal, error) {
		proposal, err := t.lockProposal(ctx, id)
		if err != nil {
			return Proposal{}, err
		}
		through := reading.Through.UTC().Truncate(time.Microsecond)
		if through.Before(proposal.OpenedAt) {
			through = proposal.OpenedAt
		}
		err = t.PutReader(ctx, query.PutReaderParams{
			TenantID: t.Tenant, ProposalID: int64(id), Room: reading.Room, Host: t.Host, Caller: m.Caller, Through: through,
		})
		if err != nil {
			return Proposal{}, fmt.Errorf("noting how far a room was read: %w", err)
		}
		cause := fmt.Sprintf("%s was read through %s.", reading.Room, through.Format("2006-01-02 15:04:05.000 UTC"))
		if err := t.tell(ctx, Event{Type: "proposal.read", Cause: cause, Proposal: &proposal}); err != nil {
			return Proposal{}, err
		}
		return t.closeIfDue(ctx, &proposal)
	})
}

// unread lists the rooms that were not read to the end of voting.
func (t *transaction) unread(ctx context.Context, id ProposalID, ends time.Time) ([]string, error) {
	readers, err := t.ListReaders(ctx, query.ListReadersParams{TenantID: t.Tenant, ProposalID: int64(id)})
	if err != nil {
		return nil, fmt.Errorf("reading which rooms are voted in: %w", err)
	}
	var unread []string
	for _, reader := range readers {
		if reader.Through.Before(ends) {
			unread = append(unread, reader.Room)
		}
	}
	return unread, nil
}
