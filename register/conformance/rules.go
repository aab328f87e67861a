package conformance

import (
	"context"
	"slices"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func rules() []promise {
	return []promise{
		{"rules", "an override holds until it is revoked, and is listed", grantOverride},
		{"rules", "how work is routed and how the board works are kept as they were set", keepRules},
		{"rules", "a window's forecast and history, the estimates and the rings can be read, and one acknowledges what does not ring", readOutlook},
		{"people", "a role is granted and revoked, and keys are trusted anew only if they were reset", changePeople},
		{"people", "a bound room keeps how much it is told and whether it is encrypted", tuneRoom},
		{"board", "a question is withdrawn by who asked it, and closed before its time by an admin", endQuestion},
	}
}

const ownWindow = "/api/fleet/budgets/" + provider + "/" + provider + "/main"

func grantOverride(ctx context.Context, t *trial) error {
	if _, _, err := t.fresh(ctx); err != nil {
		return err
	}
	var granted register.OverrideChange
	err := t.change(ctx, "", register.GrantOverride(register.OverrideRequest{
		Provider: provider, Micros: 1_000_000, Unit: register.UnitMessages, Lifts: register.LiftPace, Cycles: 1, Reason: "Conformance run " + t.id,
	}), &granted)
	if err != nil {
		return err
	}
	listed := func() (register.Override, bool, error) {
		var list register.OverrideList
		err := t.read(ctx, "", "/api/fleet/budgets/overrides", &list)
		at := slices.IndexFunc(list.Overrides, func(o register.Override) bool { return o.ID == granted.Override.ID })
		if err != nil || at < 0 {
			return register.Override{}, false, err
		}
		return list.Overrides[at], list.Overrides[at].EndedAt.IsZero(), nil
	}
	if one, live, err := listed(); err != nil || !live || one.Micros != 1_000_000 || one.Lifts != register.LiftPace {
		return orSeen(err, "granted as %+v, it is listed as %+v", granted.Override, one)
	}
	if err := t.change(ctx, "", register.RevokeOverride(granted.Override.ID, "the run is over"), nil); err != nil {
		return err
	}
	if one, live, err := listed(); err != nil || live {
		return orSeen(err, "revoked, it is listed as %+v", one)
	}
	return nil
}

func keepRules(ctx context.Context, t *trial) error {
	var policy, kept register.Policy
	if err := t.read(ctx, "", "/api/fleet/policy", &policy); err != nil {
		return err
	}
	if err := t.change(ctx, "", register.SetPolicy(register.PolicyRequest{Route: policy.Route, Sticky: &policy.Sticky}), &kept); err != nil {
		return err
	}
	if kept.Route != policy.Route || kept.Sticky != policy.Sticky || !slices.Equal(kept.Lowest, policy.Lowest) {
		return seen("set as it was, the policy %+v is answered as %+v", policy, kept)
	}
	var board, same register.Board
	if err := t.read(ctx, "", "/api/fleet/board", &board); err != nil {
		return err
	}
	if err := t.change(ctx, "", register.PutBoard(register.BoardRequest{SettleSeconds: &board.SettleSeconds}), &same); err != nil {
		return err
	}
	if same.SettleSeconds != board.SettleSeconds || same.Chair != board.Chair || !slices.Equal(same.SignOver, board.SignOver) {
		return seen("set as it was, the board's rules %+v are answered as %+v", board, same)
	}
	return nil
}

func readOutlook(ctx context.Context, t *trial) error {
	if _, _, err := t.fresh(ctx); err != nil {
		return err
	}
	for _, path := range []string{ownWindow + "/forecast", ownWindow + "/history", "/api/fleet/estimates"} {
		if err := t.read(ctx, "", path, new(any)); err != nil {
			return err
		}
	}
	var rings register.RingList
	if err := t.read(ctx, "", "/api/fleet/rings", &rings); err != nil {
		return err
	}
	return t.refused(ctx, register.ProblemCodeNotFound, operator, register.AckRings("R-999999999"))
}

func changePeople(ctx context.Context, t *trial) error {
	for _, change := range []register.IdentityChange{
		{Grant: []register.FleetRole{register.FleetRoleBoard}}, {Revoke: []register.FleetRole{register.FleetRoleBoard}},
	} {
		var after register.Identity
		if err := t.change(ctx, "", register.ChangeIdentity(viewer, change), &after); err != nil {
			return err
		}
		if slices.Contains(after.Roles, register.FleetRoleBoard) != (len(change.Grant) > 0) {
			return seen("after the change %+v the identity is %+v", change, after)
		}
	}
	const first, second = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	err := t.refused(ctx, register.ProblemCodeNotFound, "", register.ReportReset("conformance-nobody-"+t.id, register.IdentityResetReport{
		MatrixID: "@nobody:conformance.invalid", OldKey: first, NewKey: second,
	}))
	if err != nil {
		return err
	}
	return t.refused(ctx, register.ProblemCodeNotReset, "", register.TrustReset(viewer, register.IdentityTrust{Key: second}))
}

func tuneRoom(ctx context.Context, t *trial) error {
	if err := bindRoom(ctx, t); err != nil {
		return err
	}
	var told, clear register.RoomBinding
	if err := t.change(ctx, "", register.SetRoomVerbosity(room, register.VerbosityLow), &told); err != nil {
		return err
	}
	if told.Verbosity != register.VerbosityLow {
		return seen("told little, the room is %+v", told)
	}
	if err := t.change(ctx, "", register.SetRoomEncryption(room, register.RoomEncryptionRequired), &clear); err != nil {
		return err
	}
	if clear.Encrypted != register.RoomEncryptionRequired {
		return seen("to be encrypted, the room is %+v", clear)
	}
	return nil
}

func endQuestion(ctx context.Context, t *trial) error {
	opened, err := t.open(ctx, register.Action{})
	if err != nil {
		return err
	}
	if err := t.change(ctx, "", register.ReadRoom(opened.ID, register.RoomReading{Room: room, Through: time.Now()}), nil); err != nil {
		return err
	}
	var after register.Proposal
	if err := t.change(ctx, operator, register.WithdrawProposal(opened.ID), &after); err != nil {
		return err
	}
	if after.State != register.ProposalStateWithdrawn {
		return seen("withdrawn, %s is %s", opened.ID, after.State)
	}
	if opened, err = t.open(ctx, register.Action{}); err != nil {
		return err
	}
	if err := t.change(ctx, "", register.CloseProposal(opened.ID), &after); err != nil {
		return err
	}
	for until := time.Now().Add(longestSettling); after.State == register.ProposalStateOpen; {
		if time.Now().After(until) {
			return seen("closed, %s is still open: %+v", opened.ID, after)
		}
		time.Sleep(200 * time.Millisecond)
		if err := t.read(ctx, viewer, "/api/fleet/proposals/"+opened.ID, &after); err != nil {
			return err
		}
	}
	if after.State == register.ProposalStatePassed {
		return seen("nobody voted, and %s is passed", opened.ID)
	}
	return t.refused(ctx, register.ProblemCodeNotFound, "", register.RemoveSeat("conformance-nobody"))
}
