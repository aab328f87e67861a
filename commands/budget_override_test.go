package commands

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAnOverrideIsUnderstoodAsMeant(t *testing.T) {
	t.Parallel()
	call := understood(t, `budget override claude:team-a:weekly 200ktokens --lifts Floor --cycles 2 --expires "fri 17:00" --reason "why"`)
	require.Equal(t, "POST /api/fleet/budgets/overrides", call.Mutation.Method+" "+call.Mutation.Path)
	require.JSONEq(t, `{"provider": "claude", "subscription": "team-a", "window": "weekly", "lifts": "floor", "micros": 200000000000,
		"unit": "tokens", "cycles": 2, "expires_at": "2026-11-27T16:00:00Z", "reason": "why"}`, string(call.Mutation.Body))
	require.JSONEq(t, `{"provider": "claude", "micros": 40000000, "reason": "why"}`, string(understood(t, "budget override Claude 40 --reason why").Mutation.Body))
	require.Equal(t, "POST /api/fleet/budgets/overrides/O-3/revoke", understood(t, "budget revoke o3").Mutation.Method+" "+understood(t, "budget revoke o3").Mutation.Path)

	for typed, problem := range map[string]string{
		`budget override claude 0 --reason x`:              `The amount: "0" lifts nothing; give an amount above zero, such as 40.`,
		`budget override a:b:c:d 4 --reason x`:             `The window: "a:b:c:d" has 4 parts; write provider, subscription and window, such as claude:team-a:weekly.`,
		`budget override :b 4 --reason x`:                  `The window: ":b" names no provider; write such as claude:team-a:weekly.`,
		`budget override claude 4 --lifts roof --reason x`: `--lifts: "roof" is not one of pace, floor and limit.`,
		`budget override claude 4 --cycles 0 --reason x`:   `--cycles: "0" is not a whole number from 1 to 1000, such as 2.`,
		`budget revoke P-3`:                                `"P-3" is not the ID of an override, such as O-3.`,
	} {
		require.Equal(t, problem, misunderstood(t, typed).Problem, typed)
	}
}

func TestAnAdminLiftsAWindowInARoom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send(t, register.PutIdentity("anna", register.IdentityRequest{
		Kind: register.IdentityRequestKindHuman, MatrixID: "@anna:localhost", Roles: []register.FleetRole{register.FleetRoleAdmin},
	}), nil)
	b.answered(t, "anna", "budget set --provider claude --limit 500 --unit credits --reset-at +100m", MoodDone)
	b.answered(t, "anna", "budget overrides", MoodDone, "Nothing is lifted.")
	b.answered(t, "olga", `budget override claude 40 --reason "the audit"`, MoodRefused, "that takes the role admin")
	b.answered(t, "anna", `budget override claude 40 --reason "the audit"`, MoodDone,
		"O-1: 40 credits more pace on claude, for 1 cycle", "Why: the audit", "No waiting work was moved by it.", "!mosaic budget revoke O-1")
	b.answered(t, "anna", "budget overrides", MoodDone, "1 override", "O-1 40 credits more pace on claude, for 1 cycle · by anna: the audit")
	b.answered(t, "anna", "budget revoke O-1", MoodDone, "O-1 has ended: 40 credits more pace on claude")
	b.answered(t, "anna", "budget overrides --all", MoodDone, "over: revoked by anna")
	b.answered(t, "anna", `budget override codex 40 --reason "x"`, MoodRefused, "There is no budget window main of codex.", "!mosaic help budget set")
}
