package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
)

func TestASecondUserOfAStateFolderIsToldWhoHoldsIt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), ".mosaic")
	lock, err := local.LockState(dir)
	require.NoError(t, err)

	_, err = local.LockState(dir)
	var held *local.HeldError
	require.ErrorAs(t, err, &held)
	require.Equal(t, os.Getpid(), held.PID)

	lock.Release()
	again, err := local.LockState(dir)
	require.NoError(t, err)
	again.Release()
}

func TestSecretsAreKeptPrivateAndReused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state", "secrets.yaml")
	secrets, err := local.OpenSecrets(path)
	require.NoError(t, err)
	made, err := secrets.Generated("bot_password")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(made), 32)
	require.NoError(t, secrets.Put("token", "given: with a colon"))

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	reopened, err := local.OpenSecrets(path)
	require.NoError(t, err)
	again, err := reopened.Generated("bot_password")
	require.NoError(t, err)
	require.Equal(t, made, again)
	token, ok := reopened.Get("token")
	require.True(t, ok)
	require.Equal(t, "given: with a colon", token)
}

func TestProgressWritesPlainLinesWhereThereIsNoTerminal(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	progress := local.NewProgress(&out)
	progress.Step("Building")(nil)
	progress.Step("Starting")(os.ErrClosed)
	progress.Say("done")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 5)
	require.Equal(t, "… Building", lines[0])
	require.Regexp(t, `^✓ Building \(\d+\.\d s\)$`, lines[1])
	require.Regexp(t, `^✗ Starting \(\d+\.\d s\)$`, lines[3])
	require.NotContains(t, out.String(), "\r")
}
