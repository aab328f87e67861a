package program

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/bot"
)

func TestTheAppserviceCommandWritesAFileThatTheBotReads(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "registration.yaml")
	line := []string{"appservice", "--user-id", "@mosaic:example.org", "--url", "http://127.0.0.1:29330", "--out", file}
	require.Zero(t, Run(t.Context(), "test", line))
	read, err := bot.ReadRegistration(file)
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:29330", read.URL)
	require.Equal(t, 1, Run(t.Context(), "test", line), "it leaves a file alone that is there")
	again, err := bot.ReadRegistration(file)
	require.NoError(t, err)
	require.Equal(t, read, again)
}
