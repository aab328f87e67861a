package fleet

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// The settings whose changes are counted.
const (
	settingWindow   = "window"
	settingLadder   = "ladder"
	settingSeat     = "seat"
	settingRoom     = "room"
	settingIdentity = "identity"
)

// Tag is the entity tag of a setting at a version, for If-Match.
func Tag(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

// standing is a setting as it is, before a change.
type standing struct {
	what    string // "The seat cto"
	exists  bool
	version int64
	as      string // in a few words
	current any
}

// revise counts a change of a setting, whose row no other change can take before this transaction ends, and answers the new
// version. If the change names an entity tag and the setting has another by now, or does not exist, it is refused.
func (t *transaction) revise(ctx context.Context, setting, name string, stands func(version int64) (standing, error)) (int64, error) {
	version, err := t.BumpVersion(ctx, query.BumpVersionParams{TenantID: t.Tenant, Kind: setting, Name: name, Host: t.Host})
	if err != nil {
		return 0, fmt.Errorf("counting a change of the %s: %w", setting, err)
	}
	if t.ifMatch == "" {
		return version, nil
	}
	now, err := stands(version - 1)
	if err != nil {
		return 0, err
	}
	return version, t.requireMatch(now)
}

// requireMatch refuses a change of what is not what the caller saw.
func (t *transaction) requireMatch(now standing) error {
	tags := strings.Split(strings.ReplaceAll(t.ifMatch, " ", ""), ",")
	switch {
	case t.ifMatch == "":
		return nil
	case now.exists && (t.ifMatch == "*" || slices.Contains(tags, Tag(now.version))):
		return nil
	case !now.exists:
		return &Error{
			Code: CodePreconditionFailed, Field: "If-Match", Detail: fmt.Sprintf("%s does not exist, so nothing matches %s.", now.what, t.ifMatch),
			NextStep: "Leave If-Match out to create it.",
		}
	}
	tag := Tag(now.version)
	return &Error{
		Code: CodePreconditionFailed, Field: "If-Match", Example: tag, Current: now.current,
		Detail:   fmt.Sprintf("%s is at %s now, not at %s: %s.", now.what, tag, t.ifMatch, now.as),
		NextStep: fmt.Sprintf("Look at what it is now, and send the change again with If-Match %s and a new key if it is still wanted.", tag),
	}
}

// version is how often a setting was changed.
func version(ctx context.Context, queries *query.Queries, tenant, setting, name string) (int64, error) {
	version, err := queries.GetVersion(ctx, query.GetVersionParams{TenantID: tenant, Kind: setting, Name: name})
	if err != nil && !none(err) {
		return 0, fmt.Errorf("reading the version of the %s: %w", setting, err)
	}
	return version, nil
}

// versions are those of every setting of a kind, by name.
func versions(ctx context.Context, queries *query.Queries, tenant, setting string) (map[string]int64, error) {
	rows, err := queries.ListVersions(ctx, query.ListVersionsParams{TenantID: tenant, Kind: setting})
	if err != nil {
		return nil, fmt.Errorf("reading the versions of every %s: %w", setting, err)
	}
	versions := make(map[string]int64, len(rows))
	for _, row := range rows {
		versions[row.Name] = row.Version
	}
	return versions, nil
}
