package fleet

import (
	"context"
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// IdentityReset is that a person came back with another key than the one first seen of them. Keys are the fingerprints of their
// cross-signing identity, as clients show them.
type IdentityReset struct {
	MatrixID   string    `json:"matrix_id"`
	OldKey     string    `json:"old_key"`
	NewKey     string    `json:"new_key"`
	ReportedAt time.Time `json:"reported_at"`
	AcceptedBy string    `json:"accepted_by,omitempty"`
	AcceptedAt time.Time `json:"accepted_at,omitzero"`
}

// latestReset is the last reset of an identity under the Matrix ID it has now, or nil.
func latestReset(ctx context.Context, queries *query.Queries, tenant string, identity Identity) (*IdentityReset, error) {
	row, err := queries.LatestIdentityReset(ctx, query.LatestIdentityResetParams{TenantID: tenant, Identity: identity.Name})
	if none(err) || err == nil && row.MatrixID != identity.MatrixID {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading whether an identity was reset: %w", err)
	}
	reset := IdentityReset{MatrixID: row.MatrixID, OldKey: row.OldKey, NewKey: row.NewKey, ReportedAt: row.ReportedAt.UTC()}
	if row.AcceptedBy != nil && row.AcceptedAt != nil {
		reset.AcceptedBy, reset.AcceptedAt = *row.AcceptedBy, row.AcceptedAt.UTC()
	}
	return &reset, nil
}

// ReportReset notes that an identity came back with another key. A repetition changes nothing.
func (s *Store) ReportReset(ctx context.Context, m Mutation, name string, reset IdentityReset) (Identity, error) {
	return once(ctx, s, m, func(t *transaction) (Identity, error) {
		identity, err := t.identityToReset(ctx, name)
		if err != nil {
			return Identity{}, err
		}
		switch {
		case reset.OldKey == reset.NewKey:
			return Identity{}, &Error{Code: CodeInvalid, Field: "new_key", Detail: "The new key is the old one, so nothing was reset.", NextStep: "Report a reset only when the key changed."}
		case reset.MatrixID != identity.MatrixID:
			return Identity{}, &Error{
				Code: CodeInvalid, Field: "matrix_id", Detail: fmt.Sprintf("%s is not the Matrix ID of %s.", reset.MatrixID, name),
				NextStep: "Read the identity to see its Matrix ID.",
			}
		}
		added, err := t.PutIdentityReset(ctx, query.PutIdentityResetParams{
			TenantID: t.Tenant, Identity: name, MatrixID: reset.MatrixID, NewKey: reset.NewKey, OldKey: reset.OldKey, Host: t.Host, ReportedAt: t.now,
		})
		if err != nil {
			return Identity{}, fmt.Errorf("noting that an identity was reset: %w", err)
		}
		if identity.Reset, err = latestReset(ctx, t.Queries, t.Tenant, identity); err != nil || added == 0 {
			return identity, err
		}
		return identity, t.tell(ctx, Event{Type: "identity.reset", Identity: &identity})
	})
}

// TrustReset accepts the new key of an identity that was reset, the very one that the caller saw. Whoever holds the old keys is
// trusted no longer.
func (s *Store) TrustReset(ctx context.Context, m Mutation, name, key string) (Identity, error) {
	return once(ctx, s, m, func(t *transaction) (Identity, error) {
		identity, err := t.identityToReset(ctx, name)
		if err != nil {
			return Identity{}, err
		}
		reset, err := latestReset(ctx, t.Queries, t.Tenant, identity)
		switch {
		case err != nil:
			return Identity{}, err
		case reset == nil:
			return Identity{}, &Error{
				Code: CodeNotReset, Detail: fmt.Sprintf("The keys of %s are those first seen; there is nothing to accept.", identity.Name),
				NextStep: "Nothing needs to be done.",
			}
		case reset.NewKey != key:
			return Identity{}, &Error{
				Code: CodeInvalid, Field: "key", Detail: fmt.Sprintf("This is not the key that %s has now.", identity.Name), Example: reset.NewKey,
				NextStep: "Compare the new fingerprint with the person over another channel, then accept that one.",
			}
		case reset.AcceptedBy != "":
			identity.Reset = reset
			return identity, nil
		}
		err = t.AcceptIdentityReset(ctx, query.AcceptIdentityResetParams{
			TenantID: t.Tenant, Identity: identity.Name, MatrixID: reset.MatrixID, NewKey: key, Host: t.Host, AcceptedBy: &t.actor, AcceptedAt: &t.now,
		})
		if err != nil {
			return Identity{}, fmt.Errorf("accepting the key of an identity: %w", err)
		}
		reset.AcceptedBy, reset.AcceptedAt = t.actor, t.now
		identity.Reset = reset
		return identity, t.tell(ctx, Event{Type: "identity.trusted", Identity: &identity})
	})
}

// identityToReset locks an identity, named or by its Matrix ID, and reads the clock.
func (t *transaction) identityToReset(ctx context.Context, name string) (Identity, error) {
	if err := t.readClock(ctx); err != nil {
		return Identity{}, err
	}
	var row query.Identity
	var err error
	if strings.HasPrefix(name, "@") {
		row, err = t.GetIdentityByMatrixID(ctx, query.GetIdentityByMatrixIDParams{TenantID: t.Tenant, MatrixID: name})
		name = row.Name
	}
	if err == nil {
		row, err = t.LockIdentity(ctx, query.LockIdentityParams{TenantID: t.Tenant, Name: name})
	}
	if none(err) {
		return Identity{}, notFound("identity "+name, "List the identities to see their names.")
	}
	if err != nil {
		return Identity{}, fmt.Errorf("reading the identity: %w", err)
	}
	return identityOf(row), nil
}
