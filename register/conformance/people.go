package conformance

import (
	"context"
	"net/http"
	"slices"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func people() []promise {
	return []promise{
		{"people", "an admin makes identities, and they are listed", makeIdentities},
		{"people", "whoami is whom the token or Mosaic-Actor names, by name or Matrix ID", whoIs},
		{"people", "a room binding is kept and replaced", bindRoom},
		{"people", "health and readiness are told without a token", healthy},
	}
}

func matrixID(name string) string { return "@" + name + ":conformance.invalid" }

func makeIdentities(ctx context.Context, t *trial) error {
	for name, role := range map[string]register.FleetRole{
		operator: register.FleetRoleOperator, worker: register.FleetRoleWorker, viewer: register.FleetRoleViewer, member: register.FleetRoleBoard,
	} {
		var made register.Identity
		err := t.change(ctx, "", register.PutIdentity(name, register.IdentityRequest{
			Kind: register.IdentityRequestKindService, MatrixID: matrixID(name), Roles: []register.FleetRole{role},
		}), &made)
		if err != nil {
			return err
		}
		if made.Name != name || made.MatrixID != matrixID(name) || !slices.Equal(made.Roles, []register.FleetRole{role}) {
			return seen("%s was made as %+v", name, made)
		}
	}
	var list register.IdentityList
	if err := t.read(ctx, "", "/api/fleet/identities", &list); err != nil {
		return err
	}
	for _, name := range []string{operator, worker, viewer, member} {
		if !slices.ContainsFunc(list.Identities, func(i register.Identity) bool { return i.Name == name }) {
			return seen("%s is not in the list", name)
		}
	}
	return nil
}

func whoIs(ctx context.Context, t *trial) error {
	for actor, want := range map[string]string{viewer: viewer, matrixID(viewer): viewer} {
		var who register.Identity
		if err := t.read(ctx, actor, "/api/fleet/whoami", &who); err != nil {
			return err
		}
		if who.Name != want {
			return seen("acting for %s, the caller is %s", actor, who.Name)
		}
	}
	own, err := t.api.WhoAmI(ctx, register.By{})
	if err != nil {
		return err
	}
	if !slices.Contains(own.Roles, register.FleetRoleAdmin) {
		return seen("the token's identity %s has the roles %v, without admin", own.Name, own.Roles)
	}
	return nil
}

// room is the one a run binds.
const room = "!conformance:conformance.invalid"

// bindRoom binds a room to no purpose, so that nobody ever speaks in it.
func bindRoom(ctx context.Context, t *trial) error {
	for _, alias := range []string{"#first:conformance.invalid", "#then:conformance.invalid"} {
		want := register.RoomBinding{Room: room, Alias: alias, Purposes: []register.RoomPurpose{}}
		if err := t.change(ctx, "", register.BindRoom(want), nil); err != nil {
			return err
		}
		var list register.RoomList
		if err := t.read(ctx, "", "/api/fleet/rooms", &list); err != nil {
			return err
		}
		at := slices.IndexFunc(list.Rooms, func(b register.RoomBinding) bool { return b.Room == room })
		if at < 0 || list.Rooms[at].Alias != alias {
			return seen("after binding it with the alias %s the list is %+v", alias, list.Rooms)
		}
	}
	return nil
}

// healthy is asked without a token.
func healthy(ctx context.Context, t *trial) error {
	for _, path := range []string{"/healthz", "/readyz"} {
		got, err := t.ask(ctx, asking{method: http.MethodGet, path: path, token: noToken})
		if err != nil {
			return err
		}
		var health register.Health
		if err := got.into(path, &health); err != nil {
			return err
		}
		if health.Status != register.HealthStatusOk {
			return seen("%s says %s", path, health.Status)
		}
	}
	return nil
}
