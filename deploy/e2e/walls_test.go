package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

const module = "git.mosaicstack.dev/mosaicstack/mosaic-matrix/"

// imports are the packages of this module that these build on, themselves included.
func imports(t *testing.T, packages ...string) []string {
	t.Helper()
	list := exec.Command("go", append([]string{"list", "-tags", "goolm", "-deps"}, packages...)...)
	list.Dir = "../.."
	out, err := list.Output()
	require.NoError(t, err)
	var ours []string
	for _, path := range strings.Fields(string(out)) {
		if ours2, found := strings.CutPrefix(path, module); found {
			ours = append(ours, ours2)
		}
	}
	require.NotEmpty(t, ours)
	return ours
}

func TestTheHousesWallsStand(t *testing.T) {
	t.Parallel()
	for _, wall := range []struct {
		packages []string
		mayKnow  []string
	}{
		{[]string{"./bot", "./commands/..."}, []string{"bot", "commands", "register", "budget"}},
		{[]string{"./commands/..."}, []string{"commands", "register", "budget"}},
		{[]string{"./register/gateway"}, []string{"register/gateway", "register", "register/internal/fleet", "budget"}},
		{[]string{"./register/internal/fleet/..."}, []string{"register/internal/fleet", "budget"}},
		{[]string{"./register/work"}, []string{"register/work", "register"}},
		{[]string{"./register/collect"}, []string{"register/collect", "register"}},
		{[]string{"./register/conformance"}, []string{"register/conformance", "register"}},
		{[]string{"./budget/..."}, []string{"budget"}},
	} {
		for _, path := range imports(t, wall.packages...) {
			allowed := false
			for _, known := range wall.mayKnow {
				inside := strings.HasPrefix(path, known+"/") && known != "register"
				allowed = allowed || path == known || inside
			}
			require.True(t, allowed, "%v builds on %s", wall.packages, path)
		}
	}
}

func TestTestsOfWhatTalksToTheGatewayKnowOnlyItsStarter(t *testing.T) {
	t.Parallel()
	list := exec.Command("go", "list", "-tags", "goolm", "-f", `{{.ImportPath}}{{range .TestImports}} {{.}}{{end}}{{range .XTestImports}} {{.}}{{end}}`,
		"./bot", "./commands/...", "./register/work", "./register/collect", "./register/conformance", "./deploy/program")
	list.Dir = "../.."
	out, err := list.Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		require.NotContains(t, words[1:], module+"register/gateway", "tests of %s start a gateway by deploy/local/localtest/gatewaytest", words[0])
		require.NotContains(t, words[1:], module+"register/internal/fleet", words[0])
	}
	require.Contains(t, string(out), module+"deploy/local/localtest/gatewaytest")
}

func TestTheRulesKnowOnlyTheStandardLibrary(t *testing.T) {
	t.Parallel()
	list := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./budget/...")
	list.Dir = "../.."
	out, err := list.Output()
	require.NoError(t, err)
	for _, path := range strings.Fields(string(out)) {
		require.True(t, strings.HasPrefix(path, module+"budget"), "budget builds on %s", path)
	}
}

func TestTheBotsDatabaseRoleCannotReachTheRegister(t *testing.T) {
	f := setup(t, false)
	bot, err := pgx.Connect(t.Context(), f.database.Bot)
	require.NoError(t, err)
	defer bot.Close(t.Context())
	gateway, err := pgx.Connect(t.Context(), f.database.Gateway)
	require.NoError(t, err)
	defer gateway.Close(t.Context())

	rows, err := gateway.Query(t.Context(), "SELECT tablename FROM pg_tables WHERE schemaname = 'fleet'")
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Contains(t, tables, "dispatches")
	for _, table := range tables {
		name := pgx.Identifier{"fleet", table}.Sanitize()
		for _, statement := range []string{"SELECT 1 FROM " + name, "DELETE FROM " + name} {
			_, err := bot.Exec(t.Context(), statement)
			require.ErrorContains(t, err, "permission denied", statement)
		}
	}
	_, err = bot.Exec(t.Context(), "CREATE TABLE fleet.mine (a int)")
	require.ErrorContains(t, err, "permission denied")
}

func TestTokensAreStoredHashedOnly(t *testing.T) {
	f := setup(t, false)
	token, err := f.Token(t.Context(), "bot")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(token), 32)
	superuser, err := pgx.Connect(t.Context(), f.database.Superuser)
	require.NoError(t, err)
	defer superuser.Close(t.Context())
	rows, err := superuser.Query(t.Context(), "SELECT row_to_json(t)::text FROM fleet.tokens t")
	require.NoError(t, err)
	stored, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NotEmpty(t, stored)
	require.NotContains(t, strings.Join(stored, "\n"), token)
}

func TestNothingPlainIsSaidInAnEncryptedRoom(t *testing.T) {
	f := setup(t, false)
	f.ask(f.budget, "!mosaic budget set --provider claude --limit 500 --unit credits --reset-at +2h")
	f.ask(f.fleet, `!mosaic dispatch coder "A secret plan" --estimate 4`)
	f.reaches("D-1", register.DispatchStateReady)
	var messages int
	for _, seen := range f.operator.Seen() {
		if seen.Sender == f.bot && seen.MsgType != "" {
			messages++
			require.True(t, seen.WasEncrypted, "%s", seen)
		}
	}
	require.Positive(t, messages)
	_, err := f.operator.WaitFor(t.Context(), client.From(f.bot))
	require.NoError(t, err)
}
