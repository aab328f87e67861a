package fleet

import (
	"context"
	"fmt"
	"math"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Seat is a seat of the board, who holds it and who votes while the holder does not.
type Seat struct {
	Seat           string `json:"seat"`
	Lens           string `json:"lens"`
	Identity       string `json:"identity"`
	MatrixID       string `json:"matrix_id,omitempty"`
	Deputy         string `json:"deputy,omitempty"`
	DeputyMatrixID string `json:"deputy_matrix_id,omitempty"`
	Version        int64  `json:"version,omitempty"` // not in a proposal's roster

	// Only in a roster: the seat that breaks a tie, and why one does not vote on this proposal.
	Chair   bool   `json:"chair,omitempty"`
	Recused string `json:"recused,omitempty"`
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
		out = append(out, seatOf(query.GetSeatRow(row), 0))
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
		seat = seatOf(row, changed)
		return err
	})
	return seat, err
}

func seatOf(row query.GetSeatRow, version int64) Seat {
	return Seat{
		Seat: row.Seat, Lens: row.Lens, Identity: row.Identity, MatrixID: row.MatrixID, Deputy: row.Deputy, DeputyMatrixID: row.DeputyMatrixID,
		Version: version,
	}
}

// PutSeat seats an identity on the board. Open proposals keep their roster.
func (s *Store) PutSeat(ctx context.Context, m Mutation, seat Seat) (Seat, error) {
	return once(ctx, s, m, func(t *transaction) (Seat, error) { return t.putSeat(ctx, seat) })
}

func (t *transaction) putSeat(ctx context.Context, seat Seat) (Seat, error) {
	version, err := t.reviseSeat(ctx, seat.Seat)
	if err != nil {
		return Seat{}, err
	}
	for field, name := range map[string]string{"identity": seat.Identity, "deputy": seat.Deputy} {
		if err := t.mustExist(ctx, field, name); err != nil {
			return Seat{}, err
		}
	}
	if err := t.oneSeatEach(ctx, seat); err != nil {
		return Seat{}, err
	}
	params := query.PutSeatParams{TenantID: t.Tenant, Seat: seat.Seat, Host: t.Host, Lens: seat.Lens, Identity: seat.Identity, SetAt: t.now}
	if seat.Deputy != "" {
		params.Deputy = &seat.Deputy
	}
	if err := t.Queries.PutSeat(ctx, params); err != nil {
		return Seat{}, fmt.Errorf("writing the seat: %w", err)
	}
	row, err := t.GetSeat(ctx, query.GetSeatParams{TenantID: t.Tenant, Seat: seat.Seat})
	if err != nil {
		return Seat{}, fmt.Errorf("reading the seat: %w", err)
	}
	seat = seatOf(row, version)
	return seat, t.tell(ctx, Event{Type: "seat.set", Seat: &seat})
}

// RemoveSeat takes a seat off the board. Open proposals keep their roster.
func (s *Store) RemoveSeat(ctx context.Context, m Mutation, name string) (Seat, error) {
	return once(ctx, s, m, func(t *transaction) (Seat, error) {
		version, err := t.reviseSeat(ctx, name)
		if err != nil {
			return Seat{}, err
		}
		row, err := t.GetSeat(ctx, query.GetSeatParams{TenantID: t.Tenant, Seat: name})
		if none(err) {
			return Seat{}, notFound("seat "+name, "List the seats to see their names.")
		}
		if err != nil {
			return Seat{}, fmt.Errorf("reading the seat: %w", err)
		}
		board, err := readBoard(ctx, t.Queries, t.Tenant)
		if err != nil {
			return Seat{}, err
		}
		if board.Chair == name {
			return Seat{}, &Error{
				Code: CodeInvalid, Field: "seat", Detail: fmt.Sprintf("The seat %s is the chair.", name), NextStep: "Make another seat the chair first, or none.",
			}
		}
		if err := t.DeleteSeat(ctx, query.DeleteSeatParams{TenantID: t.Tenant, Seat: name}); err != nil {
			return Seat{}, fmt.Errorf("removing the seat: %w", err)
		}
		seat := seatOf(row, version)
		return seat, t.tell(ctx, Event{Type: "seat.removed", Seat: &seat})
	})
}

// reviseSeat takes the board alone, since whether a seat may be held depends on the others, and counts a change of one seat.
func (t *transaction) reviseSeat(ctx context.Context, name string) (int64, error) {
	if err := t.LockBoard(ctx, t.Tenant); err != nil {
		return 0, fmt.Errorf("locking the board: %w", err)
	}
	if err := t.readClock(ctx); err != nil {
		return 0, err
	}
	return t.revise(ctx, settingSeat, name, func(version int64) (standing, error) {
		now := standing{what: "The seat " + name, version: version}
		row, err := t.GetSeat(ctx, query.GetSeatParams{TenantID: t.Tenant, Seat: name})
		if none(err) {
			return now, nil
		}
		now.exists, now.current = true, seatOf(row, version)
		now.as = fmt.Sprintf("held by %s, who looks at %s", row.Identity, row.Lens)
		return now, err
	})
}

func (t *transaction) mustExist(ctx context.Context, field, name string) error {
	if name == "" {
		return nil
	}
	_, err := t.GetIdentity(ctx, query.GetIdentityParams{TenantID: t.Tenant, Name: name})
	if none(err) {
		return &Error{
			Code: CodeNotFound, Field: field,
			Detail:   fmt.Sprintf("There is no identity %s to seat.", name),
			NextStep: "Create the identity first.",
		}
	}
	if err != nil {
		return fmt.Errorf("looking up the identity: %w", err)
	}
	return nil
}

// oneSeatEach refuses a second seat, or a deputy who has a vote already, unless the board allows it.
func (t *transaction) oneSeatEach(ctx context.Context, seat Seat) error {
	if seat.Deputy == seat.Identity {
		return &Error{
			Code: CodeInvalid, Field: "deputy", Detail: fmt.Sprintf("%s cannot be the deputy for a seat of their own.", seat.Deputy),
			NextStep: "Name somebody else, or no deputy.",
		}
	}
	board, err := readBoard(ctx, t.Queries, t.Tenant)
	if err != nil || board.SeveralSeats {
		return err
	}
	seats, err := t.roster(ctx)
	if err != nil {
		return err
	}
	for _, other := range seats {
		if other.Seat == seat.Seat {
			continue
		}
		for field, name := range map[string]string{"identity": seat.Identity, "deputy": seat.Deputy} {
			if name != "" && (name == other.Identity || name == other.Deputy) {
				return &Error{
					Code: CodeInvalid, Field: field,
					Detail:   fmt.Sprintf("%s already votes for the seat %s, and one person has one vote.", name, other.Seat),
					NextStep: "Seat somebody else, or let an admin allow several seats.",
				}
			}
		}
	}
	return nil
}
