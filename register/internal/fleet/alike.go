package fleet

import (
	"context"
	"fmt"
	"strings"

	"go.mau.fi/util/confusable"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// looksOf is what a Matrix ID looks like to a hurried eye: its local part without case, with each letter that looks like another in
// place of that one (UTS #39). The homeserver does not count, since people read past it.
func looksOf(matrixID string) string {
	local, _, _ := strings.Cut(strings.TrimPrefix(matrixID, "@"), ":")
	return strings.ToLower(confusable.Skeleton(strings.ToLower(local)))
}

// alike names an identity other than the one it is meant for whose Matrix ID looks like another's, or is empty.
func alike(ctx context.Context, queries *query.Queries, tenant, matrixID, meant string) (string, error) {
	linked, err := queries.ListMatrixIDs(ctx, tenant)
	if err != nil {
		return "", fmt.Errorf("looking for look-alikes: %w", err)
	}
	looks := looksOf(matrixID)
	for _, one := range linked {
		if one.Name != meant && one.MatrixID != matrixID && looksOf(one.MatrixID) == looks {
			return one.Name, nil
		}
	}
	return "", nil
}

// refuseLookAlike refuses a Matrix ID that nobody has and that could be taken for someone's.
func (s *Store) refuseLookAlike(ctx context.Context, actor string) error {
	if !strings.HasPrefix(actor, "@") {
		return nil
	}
	name, err := alike(ctx, query.New(s.pool), s.options.Tenant, actor, "")
	if err != nil || name == "" {
		return err
	}
	return &Error{
		Code: CodeActorLooksAlike, Field: "Mosaic-Actor",
		Detail:   fmt.Sprintf("The register does not know %s, which looks like %s.", actor, name),
		NextStep: "If it is theirs, an admin can link it.",
	}
}
