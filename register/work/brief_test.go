package work_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestTheCommandGetsTheBriefOnStandardInputAndAsAFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	brief := "Add a health check:\n\n  \"quoted\", $HOME, naïve — 値\nlast line without an end"
	b.dispatch(t, brief)
	worker := b.work(t, `cat > "$here/in"; cp "$MOSAIC_BRIEF_FILE" "$here/file"`)
	b.reaches(t, "D-1", register.DispatchStateDone)
	for _, name := range []string{"in", "file"} {
		text, err := os.ReadFile(filepath.Join(worker.here, name))
		require.NoError(t, err)
		require.Equal(t, brief, string(text), name)
	}
}

func TestALongBriefNobodyReadsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, strings.Repeat("a long brief\n", 2500))
	b.work(t, `true`)
	b.reaches(t, "D-1", register.DispatchStateDone)
}

// It sets the environment, so it does not run beside other tests.
func TestTheEnvironmentSaysWhatTheRunIsAndKeepsTheWorkersSecrets(t *testing.T) {
	t.Setenv("MOSAIC_GATEWAY_TOKEN", "a-secret")
	t.Setenv("MOSAIC_GATEWAY_DATABASE", "postgres://a-secret@127.0.0.1/mosaic")
	t.Setenv("MATRIX_ACCESS_TOKEN", "a-secret")
	t.Setenv("MOSAIC_AGENT_MODEL", "of-another-run")
	t.Setenv("AGENT_SETTING", "kept")
	b := setup(t)
	b.budget(t)
	dispatch := b.dispatch(t, "Add a health check")
	b.work(t, `env > "$MOSAIC_RUN_DIRECTORY/environment"`)
	done := b.reaches(t, "D-1", register.DispatchStateDone)
	text, err := os.ReadFile(filepath.Join(done.Result.Reference, "environment"))
	require.NoError(t, err)
	require.NotContains(t, string(text), "a-secret")
	require.NotContains(t, string(text), b.token)
	is := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		is[name] = value
	}
	require.Equal(t, "kept", is["AGENT_SETTING"])
	require.Equal(t, "D-1", is["MOSAIC_DISPATCH"])
	require.Equal(t, "coder-1", is["MOSAIC_AGENT_NAME"])
	require.Equal(t, "coder", is["MOSAIC_AGENT_ROLE"])
	require.Equal(t, dispatch.Model, is["MOSAIC_AGENT_MODEL"])
	require.NotEmpty(t, dispatch.Subscription)
	require.Equal(t, "claude", is["MOSAIC_SUBSCRIPTION"])
	require.Len(t, is["MOSAIC_RUN_ID"], 36)
	require.Equal(t, done.Result.Reference, is["MOSAIC_RUN_DIRECTORY"])
	require.True(t, strings.HasSuffix(is["MOSAIC_RUN_DIRECTORY"], "/D-1-1"))
	var reserved []register.Hold
	require.NoError(t, json.Unmarshal([]byte(is["MOSAIC_RESERVED"]), &reserved))
	require.Equal(t, dispatch.Holds, reserved)
	require.Equal(t, int64(5_000_000), reserved[0].Micros)
	require.Equal(t, filepath.Join(done.Result.Reference, "reserved.json"), is["MOSAIC_RESERVED_FILE"])
	require.Equal(t, "200000", is["MOSAIC_CONTEXT_CAP"])
	require.Empty(t, is["MOSAIC_CONTEXT_TOKENS"])
}

func TestAnotherRegistersFolderOfThatNameIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	options := b.options(t, `echo "nothing to report"`)
	old := filepath.Join(options.Directory, "D-1-1")
	require.NoError(t, os.MkdirAll(old, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(old, "result.json"), []byte(spent4), 0o600))
	start(t, options)
	done := b.reaches(t, "D-1", register.DispatchStateDone)
	require.Empty(t, done.Actuals, "what another run spent is not this one's")
	require.NotEmpty(t, done.Unmetered)
	require.True(t, strings.HasPrefix(done.Result.Reference, old+"-"), done.Result.Reference)
}
