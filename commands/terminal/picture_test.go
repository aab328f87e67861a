package terminal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
)

func TestAPictureIsWrittenWhereItWasAskedForOrOneSentenceSaysWhyNot(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "claude.png")
	require.NoError(t, write(&commands.Picture{Name: "a.png", PNG: []byte("png"), Out: out}))
	written, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, "png", string(written))
	require.NoError(t, write(&commands.Picture{PNG: []byte("png")}), "without a file there are only its words")
	err = write(&commands.Picture{Name: "a.png", Out: filepath.Join(out, "below.png")})
	require.ErrorContains(t, err, "cannot be written to")
	require.ErrorContains(t, err, "--out /tmp/a.png")
}
