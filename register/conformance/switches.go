package conformance

import (
	"context"
	"slices"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func switches() []promise {
	return []promise{
		{"pause", "while the fleet is paused new work waits and claims get none; resuming wakes it", pauseAndResume},
		{"tokens", "an issued token works, is listed without its secret, and ends when rotated or revoked", issueAndEnd},
	}
}

func pauseAndResume(ctx context.Context, t *trial) (err error) {
	var pause register.Pause
	if err := t.change(ctx, operator, register.SetPause(register.PauseRequest{Paused: true, Reason: "conformance run " + t.id}), &pause); err != nil {
		return err
	}
	resume := func() error {
		return t.change(context.WithoutCancel(ctx), operator, register.SetPause(register.PauseRequest{}), &pause)
	}
	resumed := false
	defer func() {
		if !resumed {
			_ = resume()
		}
	}()
	var read register.Pause
	if err := t.read(ctx, viewer, "/api/fleet/pause", &read); err != nil {
		return err
	}
	if !read.Paused || read.By != operator {
		return seen("after pausing, the switch reads %+v", read)
	}
	role := t.role("pause")
	made, err := t.dispatch(ctx, t.work(role))
	if err != nil {
		return err
	}
	if made.State != register.DispatchStateQueued || len(made.Holds) > 0 {
		return seen("a dispatch made while paused is %s with %d holds", made.State, len(made.Holds))
	}
	claim, err := t.claim(ctx, role, role+"-1", 60)
	if err != nil {
		return err
	}
	if claim != nil {
		return seen("a paused fleet gave out %s", claim.Dispatch.ID)
	}
	resumed = true
	if err := resume(); err != nil {
		return err
	}
	woken, err := t.show(ctx, made.ID)
	if err != nil {
		return err
	}
	if woken.State != register.DispatchStateReady {
		return seen("after resuming, the dispatch is %s (“%s”), not ready", woken.State, woken.Reason)
	}
	return t.change(ctx, operator, register.CancelDispatch(made.ID, "conformance run is over"), nil)
}

func issueAndEnd(ctx context.Context, t *trial) error {
	var issued, renewed register.IssuedToken
	request := register.IssueTokenTo(register.TokenRequest{Identity: viewer, Scopes: []register.TokenScope{register.TokenScopeRead}})
	if err := t.change(ctx, "", request, &issued); err != nil {
		return err
	}
	works := func(secret string) bool {
		who, err := register.NewAPI(t.api.Base(), secret).WhoAmI(ctx, register.By{})
		return err == nil && who.Name == viewer
	}
	if issued.Secret == "" || !works(issued.Secret) {
		return seen("the issued token %s does not work", issued.Token.ID)
	}
	var list register.TokenList
	if err := t.read(ctx, "", "/api/fleet/tokens", &list); err != nil {
		return err
	}
	if !slices.ContainsFunc(list.Tokens, func(token register.Token) bool { return token.ID == issued.Token.ID }) {
		return seen("%s is not in the list", issued.Token.ID)
	}
	if err := t.change(ctx, "", register.RotateToken(issued.Token.ID, register.TokenRotation{OverlapSeconds: new(0)}), &renewed); err != nil {
		return err
	}
	if works(issued.Secret) || !works(renewed.Secret) {
		return seen("after rotation without overlap the old token works: %t, the new one: %t", works(issued.Secret), works(renewed.Secret))
	}
	if err := t.change(ctx, "", register.RevokeToken(renewed.Token.ID), nil); err != nil {
		return err
	}
	if works(renewed.Secret) {
		return seen("the revoked token %s still works", renewed.Token.ID)
	}
	return nil
}
