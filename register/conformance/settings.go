package conformance

import (
	"context"
	"encoding/json"
	"net/http"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func settings() []promise {
	return []promise{
		{"settings", "each setting is shown alone, with its ETag", showSettings},
		{"settings", "a change with an older ETag is 412 precondition_failed, and shows what stands there", oldTag},
		{"settings", "a change with the present ETag is made, and gives a new one", presentTag},
	}
}

// tagged reads a setting that has to have an ETag.
func (t *trial) tagged(ctx context.Context, path string) (string, answer, error) {
	got, err := t.ask(ctx, asking{method: http.MethodGet, path: path})
	if err != nil {
		return "", answer{}, err
	}
	tag := got.header.Get("ETag")
	if got.status != http.StatusOK || tag == "" {
		return "", answer{}, seen("GET %s answered %s with the ETag %q", path, got, tag)
	}
	return tag, got, nil
}

func showSettings(ctx context.Context, t *trial) error {
	if _, _, err := t.fresh(ctx); err != nil {
		return err
	}
	seats, err := t.seats(ctx)
	if err != nil {
		return err
	}
	if err := bindRoom(ctx, t); err != nil {
		return err
	}
	for _, path := range []string{
		"/api/fleet/ladder", "/api/fleet/pause", "/api/fleet/identities/" + viewer, "/api/fleet/seats/" + seats[0].Seat,
		"/api/fleet/budgets/" + provider + "/" + provider + "/main", "/api/fleet/rooms/" + room,
	} {
		if _, _, err := t.tagged(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// sameLadder sets the ladder to what it is, as whoever read it at a tag.
func (t *trial) sameLadder(ctx context.Context, tag string, tiers []register.Tier) (answer, error) {
	m := register.PutLadder(register.LadderRequest{Tiers: tiers})
	return t.ask(ctx, asking{method: m.Method, path: m.Path, body: string(m.Body), key: key(), match: tag})
}

func (t *trial) ladder(ctx context.Context) (tag string, tiers []register.Tier, err error) {
	tag, got, err := t.tagged(ctx, "/api/fleet/ladder")
	if err != nil {
		return "", nil, err
	}
	var ladder register.Ladder
	if err = got.into("GET /api/fleet/ladder", &ladder); err == nil && len(ladder.Tiers) == 0 {
		err = seen("the ladder has no tiers")
	}
	return tag, ladder.Tiers, err
}

func presentTag(ctx context.Context, t *trial) error {
	tag, tiers, err := t.ladder(ctx)
	if err != nil {
		return err
	}
	got, err := t.sameLadder(ctx, tag, tiers)
	if err != nil {
		return err
	}
	if next := got.header.Get("ETag"); got.status != http.StatusOK || next == "" || next == tag {
		return seen("with If-Match %s it answered %s and the ETag %q", tag, got, next)
	}
	return nil
}

func oldTag(ctx context.Context, t *trial) error {
	tag, tiers, err := t.ladder(ctx)
	if err != nil {
		return err
	}
	if _, err := t.sameLadder(ctx, tag, tiers); err != nil {
		return err
	}
	got, err := t.sameLadder(ctx, tag, tiers)
	if err != nil {
		return err
	}
	var problem register.Problem
	if got.status != http.StatusPreconditionFailed || json.Unmarshal(got.body, &problem) != nil ||
		problem.Code != register.ProblemCodePreconditionFailed || len(problem.Current) == 0 {
		return seen("with an If-Match that somebody has overtaken it answered %s", got)
	}
	return nil
}
