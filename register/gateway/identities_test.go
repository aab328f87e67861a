package gateway

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAnIdentityIsLinkedAndItsRolesChangedOneAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var made register.Identity
	b.send(t, b.admin, register.ChangeIdentity("zoe", register.IdentityChange{MatrixID: "@zoe:localhost", Grant: []register.FleetRole{"operator"}, Create: true}), &made)
	require.Equal(t, "human", made.Kind)
	require.Equal(t, []register.FleetRole{"operator"}, made.Roles)
	b.send(t, b.admin, register.ChangeIdentity("zoe", register.IdentityChange{Grant: []register.FleetRole{"board", "operator"}}), &made)
	require.Equal(t, []register.FleetRole{"board", "operator"}, made.Roles)
	require.Equal(t, "@zoe:localhost", made.MatrixID, "what is not named stays")
	b.send(t, b.admin, register.ChangeIdentity("zoe", register.IdentityChange{Revoke: []register.FleetRole{"operator"}, Unlink: true}), &made)
	require.Equal(t, []register.FleetRole{"board"}, made.Roles)
	var unlinked register.Identity
	b.send(t, b.admin, register.ChangeIdentity("zoe", register.IdentityChange{Revoke: []register.FleetRole{"board"}}), &unlinked)
	require.Empty(t, unlinked.MatrixID)
	require.Empty(t, unlinked.Roles)

	b.refused(t, register.ProblemCodeNotFound, b.admin, register.ChangeIdentity("nobody", register.IdentityChange{Grant: []register.FleetRole{"viewer"}}))
	b.refused(t, register.ProblemCodeForbidden, b.olga, register.ChangeIdentity("olga", register.IdentityChange{Grant: []register.FleetRole{"admin"}}))
}

func TestALookAlikeIsLinkedOnlyIfItIsMeant(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, alike := range []string{"@Olga:localhost", "@о1ga:localhost", "@olga:elsewhere.org"} {
		failure := b.refused(t, register.ProblemCodeInvalid, b.admin, register.ChangeIdentity("zoe", register.IdentityChange{MatrixID: alike, Create: true}))
		require.Equal(t, "matrix_id", failure.Field)
		require.Contains(t, failure.Detail, "could be taken for olga")
	}
	b.send(t, b.admin, register.ChangeIdentity("zoe", register.IdentityChange{MatrixID: "@olga:elsewhere.org", Create: true, LookAlike: true}), nil)
	who, err := b.bot.WhoAmI(t.Context(), register.By{Actor: "@olga:elsewhere.org"})
	require.NoError(t, err)
	require.Equal(t, "zoe", who.Name)
}

func TestTheLastAdminStaysOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	all, err := b.admin.Identities(t.Context(), register.By{})
	require.NoError(t, err)
	var admins []string
	for _, identity := range all.Identities {
		for _, role := range identity.Roles {
			if role == register.FleetRoleAdmin {
				admins = append(admins, identity.Name)
			}
		}
	}
	for _, name := range admins[1:] {
		b.send(t, b.admin, register.ChangeIdentity(name, register.IdentityChange{Revoke: []register.FleetRole{"admin"}}), nil)
	}
	failure := b.refused(t, register.ProblemCodeInvalid, b.admin, register.ChangeIdentity(admins[0], register.IdentityChange{Revoke: []register.FleetRole{"admin"}}))
	require.Contains(t, failure.Detail, "last admin")
}

const (
	oldKey = "N4vxXHFBtjRPl8mcZ1tWHrL7cVBQOnFUZqTVzqMTbYU"
	newKey = "2EVQdmgZNEFhK4LyZpVSB9SpLrTFVCuPkqzWYR8vUy0"
)

func TestABotReportsResetKeysAndOnlyAnAdminsOwnTokenAcceptsThem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	report := register.ReportReset("olga", register.IdentityResetReport{MatrixID: "@olga:localhost", OldKey: oldKey, NewKey: newKey})
	accept := register.TrustReset("olga", register.IdentityTrust{Key: newKey})
	b.refused(t, register.ProblemCodeNotReset, b.admin, accept)
	b.refused(t, register.ProblemCodeForbidden, b.olga, report)
	b.send(t, b.bot, report, nil)
	b.send(t, b.bot, report, nil)
	b.refused(t, register.ProblemCodeForbidden, b.bot, accept)
	b.refused(t, register.ProblemCodeForbidden, b.olga, accept)
	failure := b.refused(t, register.ProblemCodeInvalid, b.admin, register.TrustReset("olga", register.IdentityTrust{Key: oldKey}))
	require.Equal(t, newKey, failure.Example)

	var trusted register.Identity
	b.send(t, b.admin, register.TrustReset("@olga:localhost", register.IdentityTrust{Key: newKey}), &trusted)
	require.NotEmpty(t, trusted.Reset.AcceptedBy)
	b.send(t, b.admin, accept, nil)
	shown, err := b.reader.Identity(t.Context(), register.By{}, "olga")
	require.NoError(t, err)
	require.Equal(t, trusted.Reset, shown.Reset)
	b.send(t, b.admin, register.ChangeIdentity("olga", register.IdentityChange{MatrixID: "@olga2:localhost"}), nil)
	shown, err = b.reader.Identity(t.Context(), register.By{}, "olga")
	require.NoError(t, err)
	require.Empty(t, shown.Reset, "it was of the Matrix ID she had")
}
