package fleet

import (
	"context"
	"fmt"
	"slices"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// IdentityChange is what is to become of an identity; what is not named stays as it is.
type IdentityChange struct {
	Name     string
	MatrixID string
	Unlink   bool // takes the Matrix ID away
	Grant    []string
	Revoke   []string
	// Create makes a human of this name if there is none yet.
	Create bool
	// LookAlike allows a Matrix ID that could be taken for someone else's.
	LookAlike bool
}

// ChangeIdentity links an identity to a Matrix ID, or grants or revokes roles. The last admin stays one.
func (s *Store) ChangeIdentity(ctx context.Context, m Mutation, change IdentityChange) (Identity, error) {
	return once(ctx, s, m, func(t *transaction) (Identity, error) {
		row, err := t.LockIdentity(ctx, query.LockIdentityParams{TenantID: t.Tenant, Name: change.Name})
		switch {
		case none(err) && change.Create:
			row = query.Identity{Name: change.Name, Kind: "human"}
		case none(err):
			return Identity{}, notFound("identity "+change.Name, "Link it first, or list the identities to see their names.")
		case err != nil:
			return Identity{}, fmt.Errorf("reading the identity: %w", err)
		}
		wanted := identityOf(row)
		for _, role := range change.Grant {
			if !slices.Contains(wanted.Roles, role) {
				wanted.Roles = append(wanted.Roles, role)
			}
		}
		wanted.Roles = slices.DeleteFunc(wanted.Roles, func(role string) bool { return slices.Contains(change.Revoke, role) })
		if err := t.requireAnAdmin(ctx, change); err != nil {
			return Identity{}, err
		}
		if change.Unlink {
			wanted.MatrixID = ""
		}
		if change.MatrixID != "" {
			wanted.MatrixID = change.MatrixID
			if err := t.requireUnlikeOthers(ctx, change); err != nil {
				return Identity{}, err
			}
		}
		return t.putIdentity(ctx, wanted)
	})
}

func (t *transaction) requireAnAdmin(ctx context.Context, change IdentityChange) error {
	if !slices.Contains(change.Revoke, "admin") {
		return nil
	}
	others, err := t.CountOtherAdmins(ctx, query.CountOtherAdminsParams{TenantID: t.Tenant, Name: change.Name})
	if err != nil {
		return fmt.Errorf("counting the admins: %w", err)
	}
	if others > 0 {
		return nil
	}
	return &Error{
		Code: CodeInvalid, Field: "revoke", Detail: fmt.Sprintf("%s is the last admin, and without one nobody could grant the role again.", change.Name),
		NextStep: "Grant the role to someone else first.",
	}
}

func (t *transaction) requireUnlikeOthers(ctx context.Context, change IdentityChange) error {
	if change.LookAlike {
		return nil
	}
	name, err := alike(ctx, t.Queries, t.Tenant, change.MatrixID, change.Name)
	if err != nil || name == "" {
		return err
	}
	return &Error{
		Code: CodeInvalid, Field: "matrix_id", Detail: fmt.Sprintf("%s could be taken for %s.", change.MatrixID, name),
		NextStep: "Look at the Matrix ID letter by letter; if it is the one you mean, say that a look-alike is allowed.",
	}
}
