package local_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

func TestNeitherRoleReadsTheOthersSchema(t *testing.T) {
	t.Parallel()
	requireWall(t, localtest.Database(t))
}

// requireWall tries what must and what must not work in a prepared database.
func requireWall(t *testing.T, db localtest.DB) {
	t.Helper()
	require.NoError(t, do(t, db.Gateway, "CREATE TABLE fleet.dispatches AS SELECT 1 AS id"))
	require.ErrorContains(t, do(t, db.Bot, "SELECT * FROM fleet.dispatches"), "permission denied for schema fleet")
	require.ErrorContains(t, do(t, db.Bot, "CREATE TABLE fleet.more ()"), "permission denied for schema fleet")
	require.ErrorContains(t, do(t, db.Bot, "CREATE SCHEMA another"), "permission denied for database")
	require.ErrorContains(t, do(t, db.Bot, "CREATE TABLE public.stray ()"), "permission denied for schema public")
	require.ErrorContains(t, do(t, db.Bot, "SET ROLE "+local.GatewayRole), "permission denied to set role")

	require.NoError(t, do(t, db.Bot, "CREATE TABLE bot.journal AS SELECT 1 AS id"))
	require.ErrorContains(t, do(t, db.Gateway, "SELECT * FROM bot.journal"), "permission denied for schema bot")
	require.ErrorContains(t, do(t, db.Gateway, "CREATE SCHEMA another"), "permission denied for database")
	require.ErrorContains(t, do(t, db.Gateway, "DROP SCHEMA bot CASCADE"), "must be owner of schema bot")

	require.NoError(t, do(t, db.Gateway, "CREATE TABLE mine ()"))
	require.NoError(t, do(t, db.Bot, "CREATE TABLE mine ()"))
	require.Equal(t, "bot,fleet", ask[string](t, db.Superuser,
		"SELECT string_agg(schemaname, ',' ORDER BY schemaname) FROM pg_tables WHERE tablename = 'mine'"), "each role finds its own tables")
}

func TestPreparingADatabaseAgainKeepsItsData(t *testing.T) {
	t.Parallel()
	dir := reachableFolder(t)
	postgres := startPostgres(t, dir)
	passwords := local.Passwords{Gateway: "it's one", Bot: "another"}
	db, err := local.PrepareDatabase(t.Context(), postgres.URL("postgres"), "mosaic", passwords)
	require.NoError(t, err)
	require.NoError(t, do(t, db.Gateway, "CREATE TABLE kept AS SELECT 42 AS answer"))

	passwords.Gateway = "changed"
	again, err := local.PrepareDatabase(t.Context(), postgres.URL("postgres"), "mosaic", passwords)
	require.NoError(t, err)
	require.Equal(t, 42, ask[int](t, again.Gateway, "SELECT answer FROM kept"))
}

// Roles belong to the cluster: whoever prepares another database of it, coming from whichever database, changes them too.
func TestDatabasesOfOneClusterArePreparedAtOnce(t *testing.T) {
	t.Parallel()
	postgres := startPostgres(t, reachableFolder(t))
	passwords := local.Passwords{Gateway: "one", Bot: "another"}
	names := []string{"first", "second", "third", "fourth"}
	atOnce := func(prepare func(name string) error) {
		var preparing errgroup.Group
		for _, name := range append(names, names...) { // each by two, as two processes would
			preparing.Go(func() error { return prepare(name) })
		}
		require.NoError(t, preparing.Wait())
	}
	atOnce(func(name string) error {
		_, err := local.PrepareDatabase(t.Context(), postgres.URL("postgres"), name, passwords)
		return err
	})
	atOnce(func(name string) error {
		for range 20 {
			if _, err := local.PrepareDatabase(t.Context(), postgres.URL(name), name, passwords); err != nil {
				return err
			}
		}
		return nil
	})
}
