package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Identity is someone the register knows.
type Identity struct {
	Name     string   `json:"name"`
	TenantID string   `json:"tenant_id"`
	Kind     string   `json:"kind"`
	MatrixID string   `json:"matrix_id,omitempty"`
	Roles    []string `json:"roles"`
}

// Has says whether the identity has one of the roles.
func (i Identity) Has(roles ...string) bool {
	return slices.ContainsFunc(roles, func(role string) bool { return slices.Contains(i.Roles, role) })
}

func identityOf(row query.Identity) Identity {
	identity := Identity{Name: row.Name, TenantID: row.TenantID, Kind: row.Kind, Roles: row.Roles}
	if row.MatrixID != nil {
		identity.MatrixID = *row.MatrixID
	}
	return identity
}

// Identity looks an actor up by Matrix ID (it begins with @) or by name; a stranger is CodeActorUnknown.
func (s *Store) Identity(ctx context.Context, actor string) (Identity, error) {
	queries := query.New(s.pool)
	var row query.Identity
	var err error
	if strings.HasPrefix(actor, "@") {
		row, err = queries.GetIdentityByMatrixID(ctx, query.GetIdentityByMatrixIDParams{TenantID: s.options.Tenant, MatrixID: actor})
	} else {
		row, err = queries.GetIdentity(ctx, query.GetIdentityParams{TenantID: s.options.Tenant, Name: actor})
	}
	if none(err) {
		return Identity{}, &Error{
			Code:     CodeActorUnknown,
			Field:    "Mosaic-Actor",
			Detail:   fmt.Sprintf("The register does not know %s.", actor),
			NextStep: "An admin can add an identity with this Matrix ID.",
		}
	}
	if err != nil {
		return Identity{}, fmt.Errorf("looking up the actor: %w", err)
	}
	return identityOf(row), nil
}

// Identities lists everyone, by name.
func (s *Store) Identities(ctx context.Context) ([]Identity, error) {
	rows, err := query.New(s.pool).ListIdentities(ctx, s.options.Tenant)
	if err != nil {
		return nil, fmt.Errorf("listing the identities: %w", err)
	}
	identities := make([]Identity, 0, len(rows))
	for _, row := range rows {
		identities = append(identities, identityOf(row))
	}
	return identities, nil
}

// PutIdentity creates an identity or replaces its kind, Matrix ID and roles. A Matrix ID belongs to one identity.
func (s *Store) PutIdentity(ctx context.Context, m Mutation, identity Identity) (Identity, error) {
	return once(ctx, s, m, func(t *transaction) (Identity, error) { return t.putIdentity(ctx, identity) })
}

func (t *transaction) putIdentity(ctx context.Context, identity Identity) (Identity, error) {
	if err := t.readClock(ctx); err != nil {
		return Identity{}, err
	}
	if err := t.requireFreeMatrixID(ctx, identity); err != nil {
		return Identity{}, err
	}
	roles := slices.Clone(identity.Roles)
	slices.Sort(roles)
	row, err := t.Queries.PutIdentity(ctx, query.PutIdentityParams{
		TenantID: t.Tenant, Name: identity.Name, Host: t.Host, Kind: identity.Kind,
		MatrixID: identity.MatrixID, Roles: append([]string{}, slices.Compact(roles)...), Now: t.now,
	})
	if err != nil {
		return Identity{}, fmt.Errorf("writing the identity: %w", err)
	}
	identity = identityOf(row)
	return identity, t.tell(ctx, Event{Type: "identity.set", Identity: &identity})
}

func (t *transaction) requireFreeMatrixID(ctx context.Context, identity Identity) error {
	if identity.MatrixID == "" {
		return nil
	}
	holder, err := t.GetIdentityByMatrixID(ctx, query.GetIdentityByMatrixIDParams{TenantID: t.Tenant, MatrixID: identity.MatrixID})
	if none(err) || err == nil && holder.Name == identity.Name {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking up the Matrix ID: %w", err)
	}
	return &Error{
		Code: CodeInvalid, Field: "matrix_id",
		Detail:   fmt.Sprintf("%s already belongs to %s.", identity.MatrixID, holder.Name),
		NextStep: fmt.Sprintf("Take it from %s first, or change that identity.", holder.Name),
	}
}

// Room is a room binding.
type Room struct {
	Room     string   `json:"room"`
	Alias    string   `json:"alias,omitempty"`
	Purposes []string `json:"purposes"`
}

// Rooms lists the room bindings.
func (s *Store) Rooms(ctx context.Context) ([]Room, error) {
	rows, err := query.New(s.pool).ListRooms(ctx, s.options.Tenant)
	if err != nil {
		return nil, fmt.Errorf("listing the rooms: %w", err)
	}
	rooms := make([]Room, 0, len(rows))
	for _, row := range rows {
		rooms = append(rooms, Room{Room: row.Room, Alias: row.Alias, Purposes: row.Purposes})
	}
	return rooms, nil
}

// BindRoom binds a room to its purposes, replacing those it had.
func (s *Store) BindRoom(ctx context.Context, m Mutation, room Room) (Room, error) {
	return once(ctx, s, m, func(t *transaction) (Room, error) {
		if err := t.readClock(ctx); err != nil {
			return Room{}, err
		}
		purposes := slices.Clone(room.Purposes)
		slices.Sort(purposes)
		room.Purposes = append([]string{}, slices.Compact(purposes)...)
		err := t.PutRoom(ctx, query.PutRoomParams{
			TenantID: t.Tenant, Room: room.Room, Host: t.Host, Alias: room.Alias, Purposes: room.Purposes, BoundAt: t.now,
		})
		if err != nil {
			return Room{}, fmt.Errorf("writing the room binding: %w", err)
		}
		return room, t.tell(ctx, Event{Type: "room.bound", Room: &room})
	})
}

// Seat is a seat of the board and who holds it.
type Seat struct {
	Seat     string `json:"seat"`
	Lens     string `json:"lens"`
	Identity string `json:"identity"`
	MatrixID string `json:"matrix_id,omitempty"`
}

// Seats lists the board's seats, by name.
func (s *Store) Seats(ctx context.Context) ([]Seat, error) {
	return seats(ctx, query.New(s.pool), s.options.Tenant)
}

func seats(ctx context.Context, queries *query.Queries, tenant string) ([]Seat, error) {
	rows, err := queries.ListSeats(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("listing the seats: %w", err)
	}
	out := make([]Seat, 0, len(rows))
	for _, row := range rows {
		out = append(out, Seat{Seat: row.Seat, Lens: row.Lens, Identity: row.Identity, MatrixID: row.MatrixID})
	}
	return out, nil
}

// PutSeat seats an identity on the board. Open proposals keep their roster.
func (s *Store) PutSeat(ctx context.Context, m Mutation, seat Seat) (Seat, error) {
	return once(ctx, s, m, func(t *transaction) (Seat, error) {
		if err := t.readClock(ctx); err != nil {
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
		err = t.Queries.PutSeat(ctx, query.PutSeatParams{
			TenantID: t.Tenant, Seat: seat.Seat, Host: t.Host, Lens: seat.Lens, Identity: seat.Identity, SetAt: t.now,
		})
		if err != nil {
			return Seat{}, fmt.Errorf("writing the seat: %w", err)
		}
		seat.MatrixID = identityOf(holder).MatrixID
		return seat, t.tell(ctx, Event{Type: "seat.set", Seat: &seat})
	})
}
