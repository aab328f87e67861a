package fleet

import (
	"context"
	"fmt"
	"math"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Seat is a seat of the board and who holds it.
type Seat struct {
	Seat     string `json:"seat"`
	Lens     string `json:"lens"`
	Identity string `json:"identity"`
	MatrixID string `json:"matrix_id,omitempty"`
	Version  int64  `json:"version,omitempty"` // not in a proposal's roster
}

// SeatPage is a page of the board's seats, by name.
type SeatPage struct {
	Seats []Seat `json:"seats"`
	Next  string `json:"next,omitempty"`
}

// Seats reads a page of the board's seats by name: those after one seat.
func (s *Store) Seats(ctx context.Context, after string, page int) (SeatPage, error) {
	out := SeatPage{Seats: []Seat{}}
	err := s.read(ctx, func(t *transaction) error {
		seats, err := t.seats(ctx, after, page+1)
		if err != nil {
			return err
		}
		changed, err := versions(ctx, t.Queries, t.Tenant, settingSeat)
		if err != nil {
			return err
		}
		if len(seats) > page {
			seats = seats[:page]
			out.Next = seats[page-1].Seat
		}
		for _, seat := range seats {
			seat.Version = changed[seat.Seat]
			out.Seats = append(out.Seats, seat)
		}
		return nil
	})
	return out, err
}

// roster is the whole board as it is now.
func (t *transaction) roster(ctx context.Context) ([]Seat, error) {
	return t.seats(ctx, "", math.MaxInt32)
}

func (t *transaction) seats(ctx context.Context, after string, most int) ([]Seat, error) {
	rows, err := t.ListSeats(ctx, query.ListSeatsParams{TenantID: t.Tenant, After: after, Page: int32(most)})
	if err != nil {
		return nil, fmt.Errorf("listing the seats: %w", err)
	}
	out := make([]Seat, 0, len(rows))
	for _, row := range rows {
		out = append(out, Seat{Seat: row.Seat, Lens: row.Lens, Identity: row.Identity, MatrixID: row.MatrixID})
	}
	return out, nil
}

// Seat reads one seat.
func (s *Store) Seat(ctx context.Context, name string) (Seat, error) {
	var seat Seat
	err := s.read(ctx, func(t *transaction) error {
		row, err := t.GetSeat(ctx, query.GetSeatParams{TenantID: t.Tenant, Seat: name})
		if none(err) {
			return notFound("seat "+name, "List the seats to see their names.")
		}
		if err != nil {
			return fmt.Errorf("reading the seat: %w", err)
		}
		changed, err := version(ctx, t.Queries, t.Tenant, settingSeat, name)
		seat = Seat{row.Seat, row.Lens, row.Identity, row.MatrixID, changed}
		return err
	})
	return seat, err
}

// PutSeat seats an identity on the board. Open proposals keep their roster.
func (s *Store) PutSeat(ctx context.Context, m Mutation, seat Seat) (Seat, error) {
	return once(ctx, s, m, func(t *transaction) (Seat, error) { return t.putSeat(ctx, seat) })
}

func (t *transaction) putSeat(ctx context.Context, seat Seat) (Seat, error) {
	if err := t.readClock(ctx); err != nil {
		return Seat{}, err
	}
	var err error
	seat.Version, err = t.revise(ctx, settingSeat, seat.Seat, func(version int64) (standing, error) {
		now := standing{what: "The seat " + seat.Seat, version: version}
		row, err := t.GetSeat(ctx, query.GetSeatParams{TenantID: t.Tenant, Seat: seat.Seat})
		if none(err) {
			return now, nil
		}
		now.exists, now.current = true, Seat{row.Seat, row.Lens, row.Identity, row.MatrixID, version}
		now.as = fmt.Sprintf("held by %s, who looks at %s", row.Identity, row.Lens)
		return now, err
	})
	if err != nil {
		return Seat{}, err
	}
	holder, err := t.GetIdentity(ctx, query.GetIdentityParams{TenantID: t.Tenant, Name: seat.Identity})
	if none(err) {
		return Seat{}, &Error{
			Code: CodeNotFound, Field: "identity",
			Detail:   fmt.Sprintf("There is no identity %s to seat.", seat.Identity),
			NextStep: "Create the identity first.",
		}
	}
	if err != nil {
		return Seat{}, fmt.Errorf("looking up the identity: %w", err)
	}
	err = t.PutSeat(ctx, query.PutSeatParams{
		TenantID: t.Tenant, Seat: seat.Seat, Host: t.Host, Lens: seat.Lens, Identity: seat.Identity, SetAt: t.now,
	})
	if err != nil {
		return Seat{}, fmt.Errorf("writing the seat: %w", err)
	}
	seat.MatrixID = identityOf(holder).MatrixID
	return seat, t.tell(ctx, Event{Type: "seat.set", Seat: &seat})
}
