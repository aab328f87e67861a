package commands

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestTheReferenceIsWhatTheRegistrySays(t *testing.T) {
	t.Parallel()
	written, err := os.ReadFile("REFERENCE.md")
	require.NoError(t, err)
	require.Equal(t, Reference(), string(written), "run go generate ./commands")
	for _, name := range Names() {
		require.Contains(t, string(written), "\n## "+name+"\n")
	}
}

func TestHelpKnowsEveryCommand(t *testing.T) {
	t.Parallel()
	all := Plain(Help(nil, nil))
	require.Less(t, strings.Count(all, "\n"), 30, "it fits two screens of a phone")
	for _, c := range registry {
		of, member, _ := strings.Cut(c.name, " ")
		if groupDefaults[of] == "" {
			require.Contains(t, all, "- "+c.name+" · ")
		} else {
			require.Regexp(t, `(?m)^- `+of+` · .*\b`+member+`\b.*: !mosaic help `+of+`$`, all)
			require.Contains(t, Help([]string{of}, nil), "**"+c.name+"** · ")
		}
		help := Help(strings.Fields(c.name), nil)
		require.Contains(t, help, "Usage: `!mosaic "+c.usage()+"`")
		for _, example := range c.examples {
			require.Contains(t, help, "Example: `!mosaic "+example+"`")
		}
		for _, flag := range newModel(c.name, c.grammar()).node.Flags {
			require.NotEmpty(t, flag.Help, flag.Name)
			require.Contains(t, help, "`--"+flag.Name)
		}
	}
	require.NotContains(t, Help(nil, []register.FleetRole{register.FleetRoleViewer}), "**dispatch**")
	require.Contains(t, Help([]string{"board"}, nil), "**board seats**")
	require.NotContains(t, Help([]string{"board"}, nil), "**budget set**")
	reads(t, Help([]string{"show"}, nil),
		"show · One dispatch: its brief, state, spend and result.", "Usage: !mosaic show D-12", "Example: !mosaic show D-12", "", "- D-12 The dispatch, such as D-12.")
}

func TestThisFolderKnowsNeitherStoreNorMatrix(t *testing.T) {
	t.Parallel()
	listed, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	for _, wall := range []string{"mosaic-matrix/register/internal", "mosaic-matrix/register/gateway", "mosaic-matrix/bot", "maunium.net", "jackc/pgx"} {
		require.NotContains(t, string(listed), wall)
	}
}
