package local_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
)

func startPostgres(t *testing.T, dir string) *local.Postgres {
	t.Helper()
	postgres, err := local.StartPostgres(t.Context(), dir, local.PostgresOptions{Volatile: true})
	require.NoError(t, err)
	t.Cleanup(postgres.Stop)
	return postgres
}

// reachableFolder is a temporary folder through which user postgres may walk; t.TempDir is closed to others.
func reachableFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mosaic-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func ask[T any](t *testing.T, url, query string) T {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = connection.Close(t.Context()) }()
	var answer T
	require.NoError(t, connection.QueryRow(t.Context(), query).Scan(&answer))
	return answer
}

func do(t *testing.T, url, statement string) error {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = connection.Close(t.Context()) }()
	_, err = connection.Exec(t.Context(), statement)
	return err
}

func TestARestartedClusterKeepsItsDataAndItsPort(t *testing.T) {
	t.Parallel()
	dir := reachableFolder(t)
	started := time.Now()
	first := startPostgres(t, dir)
	t.Logf("cold start: %s", time.Since(started))
	require.NoError(t, do(t, first.URL("postgres"), "CREATE TABLE kept AS SELECT 42 AS answer"))
	first.Stop()

	started = time.Now()
	second := startPostgres(t, dir)
	t.Logf("warm start: %s", time.Since(started))
	require.Equal(t, 42, ask[int](t, second.URL("postgres"), "SELECT answer FROM kept"))
	require.Equal(t, first.Port(), second.Port())
}

func TestAKilledServerLeavesNothingThatHindersTheNextStart(t *testing.T) {
	t.Parallel()
	dir := reachableFolder(t)
	first := startPostgres(t, dir)
	require.NoError(t, do(t, first.URL("postgres"), "CREATE TABLE kept AS SELECT 42 AS answer"))
	first.Process().Kill9()
	pidFile := filepath.Join(dir, "cluster", "data", "postmaster.pid")
	require.FileExists(t, pidFile, "a killed server leaves its pid file")

	second := startPostgres(t, dir)
	require.Equal(t, 42, ask[int](t, second.URL("postgres"), "SELECT answer FROM kept"))
	second.Process().Kill9()

	// The number in the file may by now belong to a process that is no Postgres, such as this one.
	_, rest, _ := strings.Cut(read(t, pidFile), "\n")
	require.NoError(t, os.WriteFile(pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"+rest), 0o600))
	third := startPostgres(t, dir)
	require.Equal(t, 42, ask[int](t, third.URL("postgres"), "SELECT answer FROM kept"))
}

func TestAnOrphanedServerOfTheSameFolderIsStoppedFirst(t *testing.T) {
	t.Parallel()
	dir := reachableFolder(t)
	orphan := startPostgres(t, dir)
	require.NoError(t, do(t, orphan.URL("postgres"), "CREATE TABLE kept AS SELECT 42 AS answer"))

	next := startPostgres(t, dir)

	require.False(t, alive(orphan.Process().PID()))
	require.Equal(t, 42, ask[int](t, next.URL("postgres"), "SELECT answer FROM kept"))
}

func TestTheServerListensOnLoopbackOnlyAndAsksForAPassword(t *testing.T) {
	t.Parallel()
	postgres := startPostgres(t, reachableFolder(t))
	require.Equal(t, "127.0.0.1", ask[string](t, postgres.URL("postgres"), "SHOW listen_addresses"))
	require.Empty(t, ask[string](t, postgres.URL("postgres"), "SHOW unix_socket_directories"))
	_, err := pgx.Connect(t.Context(), "postgres://postgres:wrong@127.0.0.1:"+strconv.Itoa(postgres.Port())+"/postgres?sslmode=disable")
	require.ErrorContains(t, err, "password authentication failed")
}

func TestAFolderTheServersUserCannotReachIsNoHindrance(t *testing.T) {
	t.Parallel()
	closed := reachableFolder(t)
	require.NoError(t, os.Chmod(closed, 0o700))
	state := filepath.Join(closed, ".mosaic")
	postgres := startPostgres(t, filepath.Join(state, "postgres"))
	require.Equal(t, 1, ask[int](t, postgres.URL("postgres"), "SELECT 1"))
	postgres.Stop()

	elsewhere, err := os.ReadFile(filepath.Join(state, "postgres", "cluster-lies-in"))
	require.NoError(t, local.RemoveState(state))
	require.NoDirExists(t, state)
	if err == nil {
		require.NoDirExists(t, strings.TrimSpace(string(elsewhere)))
	}
}

func TestAClusterOfAVersionThatIsGoneIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := reachableFolder(t)
	startPostgres(t, dir).Stop()
	version := filepath.Join(dir, "cluster", "data", "PG_VERSION")
	require.NoError(t, os.WriteFile(version, []byte("9\n"), 0o600))
	_, err := local.StartPostgres(t.Context(), dir, local.PostgresOptions{Volatile: true})
	require.ErrorContains(t, err, "was made by PostgreSQL 9, which is not installed any more")
	require.DirExists(t, filepath.Join(dir, "cluster", "data", "base"))
}
