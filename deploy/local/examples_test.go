package local_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

// example reads a file operators take from deploy/, with its folders moved into dir.
func example(t *testing.T, name, dir string, folders ...string) string {
	t.Helper()
	path, err := local.FindUpwards(filepath.Join("deploy", name))
	require.NoError(t, err)
	text := read(t, path)
	for _, folder := range folders {
		require.Contains(t, text, folder)
		text = strings.ReplaceAll(text, folder, dir)
	}
	moved := filepath.Join(dir, filepath.Base(name))
	require.NoError(t, os.WriteFile(moved, []byte(text), 0o600))
	return moved
}

func TestTheDendriteExampleRuns(t *testing.T) {
	t.Parallel()
	program, _, err := local.BuildDendrite(t.Context(), sharedBinaries(t), nil)
	require.NoError(t, err)
	dir := t.TempDir()
	file := example(t, "homeserver/dendrite.yaml", dir, "/etc/dendrite", "/var/lib/dendrite")
	other := startDendrite(t, filepath.Join(dir, "other"), local.HomeserverOptions{})
	other.Stop()
	require.NoError(t, os.Rename(filepath.Join(dir, "other", "matrix_key.pem"), filepath.Join(dir, "matrix_key.pem")))
	port, err := local.FreePort("127.0.0.1")
	require.NoError(t, err)
	requireAnswers(t, port, local.ProcessOptions{
		Name: "dendrite", Path: program, Dir: dir, Args: []string{"--config", file, "--http-bind-address", fmt.Sprintf("127.0.0.1:%d", port)},
	})
}

func TestTheSynapseExampleRuns(t *testing.T) {
	t.Parallel()
	python, _, err := local.InstallSynapse(t.Context(), sharedBinaries(t), nil)
	require.NoError(t, err)
	dir := t.TempDir()
	file := example(t, "homeserver/synapse.yaml", dir, "/data")
	port, err := local.FreePort("127.0.0.1")
	require.NoError(t, err)
	text := strings.Replace(read(t, file), "port: 8008", fmt.Sprintf("port: %d", port), 1)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	module := []string{"-m", "synapse.app.homeserver", "--config-path", file}
	generate := exec.Command(python, append(module, "--generate-missing-configs")...)
	generate.Dir = dir
	said, err := generate.CombinedOutput()
	require.NoError(t, err, string(said))
	requireAnswers(t, port, local.ProcessOptions{Name: "synapse", Path: python, Args: module, Dir: dir})
}

func requireAnswers(t *testing.T, port int, options local.ProcessOptions) {
	t.Helper()
	options.LogFile = filepath.Join(t.TempDir(), "log")
	server, err := local.StartProcess(options)
	require.NoError(t, err)
	defer server.Stop()
	address := fmt.Sprintf("http://127.0.0.1:%d/_matrix/client/versions", port)
	require.Eventually(t, func() bool {
		response, err := http.Get(address)
		return err == nil && response.StatusCode == http.StatusOK && response.Body.Close() == nil
	}, time.Minute, 100*time.Millisecond, "log: %s", options.LogFile)
}

// The roles of a container are made by a script, those of a private cluster by this package; both keep the same wall.
func TestTheRolesScriptBuildsTheSameWall(t *testing.T) {
	t.Parallel()
	postgres := startPostgres(t, reachableFolder(t))
	require.NoError(t, do(t, postgres.URL("postgres"), "CREATE DATABASE mosaic"))
	script, err := local.FindUpwards(filepath.Join("deploy", "postgres-roles.sh"))
	require.NoError(t, err)
	config, err := pgx.ParseConfig(postgres.URL("mosaic"))
	require.NoError(t, err)
	command := exec.Command("sh", script)
	command.Env = append(os.Environ(), "PGHOST=127.0.0.1", fmt.Sprintf("PGPORT=%d", postgres.Port()), "PGPASSWORD="+config.Password,
		"POSTGRES_USER=postgres", "POSTGRES_DB=mosaic", "GATEWAY_DATABASE_PASSWORD=it's one", "BOT_DATABASE_PASSWORD=another")
	said, err := command.CombinedOutput()
	require.NoError(t, err, string(said))

	as := func(role, password string) string {
		return fmt.Sprintf("host=127.0.0.1 port=%d dbname=mosaic sslmode=disable user=%s password='%s'", postgres.Port(), role, strings.ReplaceAll(password, "'", `\'`))
	}
	requireWall(t, localtest.DB{Superuser: postgres.URL("mosaic"), Gateway: as(local.GatewayRole, "it's one"), Bot: as(local.BotRole, "another")})
}
