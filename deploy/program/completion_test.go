package program

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// asProgram makes this test binary the program, for what starts it by name.
const asProgram = "MOSAIC_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Run(context.Background(), "test", os.Args[1:]))
	}
	os.Exit(m.Run())
}

// shell runs a script in a real shell where mosaic-matrix is on the path.
func shell(t *testing.T, name, script string, arguments ...string) []string {
	t.Helper()
	found, err := exec.LookPath(name)
	require.NoError(t, err, "completion is tried in the real %s: install it, or have `make shells` do so", name)
	self, err := os.Executable()
	require.NoError(t, err)
	folder := t.TempDir()
	starter := fmt.Sprintf("#!/bin/sh\n%s=1 exec %q \"$@\"\n", asProgram, self)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "mosaic-matrix"), []byte(starter), 0o700)) //nolint:gosec // it is to be started
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, found, append(arguments, "-c", script)...)
	command.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"), "HOME="+folder)
	command.Dir = folder
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return strings.Split(strings.TrimSpace(strings.ReplaceAll(string(out), "\r", "")), "\n")
}

func TestBashCompletesTheCommandsOfTheRegistry(t *testing.T) {
	t.Parallel()
	ask := func(words ...string) []string {
		return shell(t, "bash", `source <(mosaic-matrix completion bash); complete -p mosaic-matrix >/dev/null || exit 1
COMP_WORDS=(mosaic-matrix `+strings.Join(words, " ")+`); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _mosaic_matrix; printf '%s\n' "${COMPREPLY[@]}"`, "--norc")
	}
	require.Equal(t, []string{"set", "status"}, ask("exec", "budget", "s")[:2])
	require.Contains(t, ask("''"), "doctor")
	require.Contains(t, ask("exec", "dispatch", "coder", "'fix it'", "--"), "--deadline")
	require.Equal(t, []string{"hotfix"}, ask("exec", "dispatch", "coder", "fix", "--class", "=", "h"), "bash parts a flag from its value")
	require.Equal(t, []string{"bash", "zsh", "fish"}, ask("completion", "''"))
	require.Contains(t, ask("exec", "--"), "--json")
	require.NotContains(t, strings.Join(ask("bot", "--"), " "), "--password", "a secret does not belong on a command line")
}

func TestFishCompletesTheCommandsOfTheRegistry(t *testing.T) {
	t.Parallel()
	ask := func(line string) []string {
		return shell(t, "fish", `mosaic-matrix completion fish | source; complete -C "`+line+`"`, "--no-config")
	}
	said := ask("mosaic-matrix exec budget st")
	require.Len(t, said, 1)
	require.True(t, strings.HasPrefix(said[0], "status\t"), "%q", said)
	require.Greater(t, len(ask("mosaic-matrix exec ")), 10)
	require.Contains(t, strings.Join(ask("mosaic-matrix doctor --js"), "\n"), "--json\t")
}

// TestZshCompletesTheCommandsOfTheRegistry presses Tab in a real zsh behind a pseudo-terminal.
func TestZshCompletesTheCommandsOfTheRegistry(t *testing.T) {
	t.Parallel()
	ask := func(line, wanted string) string {
		return strings.Join(shell(t, "zsh", `zmodload zsh/zpty
TERM=vt100 zpty z zsh -f -i
zpty -w z 'PROMPT="> " RPROMPT=; autoload -Uz compinit; compinit -u -D; source <(mosaic-matrix completion zsh); print re"ady"'
zpty -r -m z heard '*ready*'
zpty -w -n z $'`+line+`\t'
zpty -r -m z heard '*`+wanted+`*'
print -r -- $heard`, "-f"), "\n")
	}
	require.Contains(t, ask("mosaic-matrix exec budget exp", "lain"), "budget explain")
	require.Contains(t, ask("mosaic-matrix doct", "or"), "mosaic-matrix doctor")
}
