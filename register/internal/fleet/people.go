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
	Version  int64    `json:"version,omitempty"` // only where the identity itself is asked for
	// Reset is that its keys were reset, where the identity itself is asked for.
	Reset *IdentityReset `json:"reset,omitempty"`
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
		if err := s.refuseLookAlike(ctx, actor); err != nil {
			return Identity{}, err
		}
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

// IdentityPage is a page of identities, by name.
type IdentityPage struct {
	Identities []Identity `json:"identities"`
	Next       string     `json:"next,omitempty"`
}

// Identities reads a page of identities by name: those after one name.
func (s *Store) Identities(ctx context.Context, after string, page int) (IdentityPage, error) {
	out := IdentityPage{Identities: []Identity{}}
	err := s.read(ctx, func(t *transaction) error {
		rows, err := t.ListIdentities(ctx, query.ListIdentitiesParams{TenantID: t.Tenant, After: after, Page: int32(page) + 1})
		if err != nil {
			return fmt.Errorf("listing the identities: %w", err)
		}
		changed, err := versions(ctx, t.Queries, t.Tenant, settingIdentity)
		if err != nil {
			return err
		}
		if len(rows) > page {
			rows = rows[:page]
			out.Next = rows[page-1].Name
		}
		for _, row := range rows {
			identity := identityOf(row)
			identity.Version = changed[row.Name]
			out.Identities = append(out.Identities, identity)
		}
		return nil
	})
	return out, err
}

// IdentityNamed reads one identity by its name.
func (s *Store) IdentityNamed(ctx context.Context, name string) (Identity, error) {
	var identity Identity
	err := s.read(ctx, func(t *transaction) error {
		row, err := t.GetIdentity(ctx, query.GetIdentityParams{TenantID: t.Tenant, Name: name})
		if none(err) {
			return notFound("identity "+name, "List the identities to see their names.")
		}
		if err != nil {
			return fmt.Errorf("reading the identity: %w", err)
		}
		identity = identityOf(row)
		if identity.Version, err = version(ctx, t.Queries, t.Tenant, settingIdentity, name); err != nil {
			return err
		}
		identity.Reset, err = latestReset(ctx, t.Queries, t.Tenant, identity)
		return err
	})
	return identity, err
}

// PutIdentity creates an identity or replaces its kind, Matrix ID and roles. A Matrix ID belongs to one identity.
func (s *Store) PutIdentity(ctx context.Context, m Mutation, identity Identity) (Identity, error) {
	return once(ctx, s, m, func(t *transaction) (Identity, error) { return t.putIdentity(ctx, identity) })
}

func (t *transaction) putIdentity(ctx context.Context, identity Identity) (Identity, error) {
	if err := t.readClock(ctx); err != nil {
		return Identity{}, err
	}
	changed, err := t.revise(ctx, settingIdentity, identity.Name, func(version int64) (standing, error) {
		now := standing{what: "The identity " + identity.Name, version: version}
		row, err := t.GetIdentity(ctx, query.GetIdentityParams{TenantID: t.Tenant, Name: identity.Name})
		if none(err) {
			return now, nil
		}
		stands := identityOf(row)
		stands.Version, now.exists = version, true
		now.current, now.as = stands, fmt.Sprintf("%s, roles: %s", stands.Kind, strings.Join(stands.Roles, ", "))
		return now, err
	})
	if err != nil {
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
	identity.Version = changed
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
