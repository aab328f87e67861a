package program

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/config"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest/gatewaytest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func grammar(t *testing.T) *kong.Kong {
	t.Helper()
	return kong.Must(&program{}, kong.Name("mosaic-matrix"))
}

func TestEverySettingInTheFileHasAnEnvironmentVariable(t *testing.T) {
	t.Parallel()
	var walk func(*kong.Node)
	walk = func(node *kong.Node) {
		for _, flag := range node.Flags {
			if flag.Tag.Get("config") != "" {
				require.NotEmpty(t, flag.Envs, "--%s has a key in the file and no variable", flag.Name)
			}
		}
		for _, child := range node.Children {
			walk(child)
		}
	}
	walk(grammar(t).Model.Node)
}

func TestSecretsHaveNoPlaceInTheFile(t *testing.T) {
	t.Parallel()
	for _, setting := range config.Settings(grammar(t).Model.Node) {
		name := strings.ToLower(setting.Env)
		looksSecret := strings.Contains(name, "token") || strings.Contains(name, "password") || strings.Contains(name, "pickle") || strings.HasSuffix(name, "_database")
		require.Equal(t, looksSecret, setting.Secret, "%s", setting.Env)
	}
}

func TestTheReadmeShowsTheSettingsAsTheyAre(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), config.Table(config.Settings(grammar(t).Model.Node)), "run `mosaic-matrix settings` and put its table into README.md")
}

// TestDeployedFilesNameOnlyWhatTheBinaryKnows compares every variable and command in deploy/ with the binary's own grammar.
func TestDeployedFilesNameOnlyWhatTheBinaryKnows(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"MOSAIC_CONFIG": true}
	model := grammar(t).Model
	for _, setting := range config.Settings(model.Node) {
		known[setting.Env] = true
	}
	commands := map[string]bool{}
	for _, command := range model.Children {
		commands[command.Name] = true
	}
	variable := regexp.MustCompile(`\b(?:MOSAIC|MATRIX)_[A-Z_]+\b`)
	started := regexp.MustCompile(`(?m)^(?:ExecStart=\S*mosaic-matrix| *command: \[|CMD \[")\s*"?(gateway|bot|[a-z]+)"?`)
	files := []string{"deploy/Dockerfile", "deploy/compose.yaml", "deploy/compose.env.example", "deploy/systemd/mosaic-matrix-gateway.service", "deploy/systemd/mosaic-matrix-bot.service"}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join("../..", file))
		require.NoError(t, err)
		for _, name := range variable.FindAllString(string(text), -1) {
			require.True(t, known[name], "%s names %s, which the binary does not know", file, name)
		}
		for _, match := range started.FindAllStringSubmatch(string(text), -1) {
			require.True(t, commands[match[1]], "%s starts %q, which is no command", file, match[1])
		}
	}
}

func TestDeployedYAMLParses(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"deploy/compose.yaml", "deploy/homeserver/dendrite.yaml", "deploy/homeserver/synapse.yaml"} {
		text, err := os.ReadFile(filepath.Join("../..", file))
		require.NoError(t, err)
		var tree map[string]any
		require.NoError(t, yaml.Unmarshal(text, &tree), file)
		require.NotEmpty(t, tree)
	}
}

func TestSystemdFindsNothingWrongWithTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd-analyze is not installed here; the units are only parsed")
	}
	folder := t.TempDir()
	binary := filepath.Join(folder, "mosaic-matrix")
	require.NoError(t, os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o755)) //nolint:gosec // systemd checks that it is executable
	for _, unit := range []string{"mosaic-matrix-gateway.service", "mosaic-matrix-bot.service"} {
		text, err := os.ReadFile(filepath.Join("../systemd", unit))
		require.NoError(t, err)
		require.Contains(t, string(text), "\nExecStart=/usr/local/bin/mosaic-matrix ")
		local := filepath.Join(folder, unit)
		require.NoError(t, os.WriteFile(local, bytes.ReplaceAll(text, []byte("/usr/local/bin/mosaic-matrix"), []byte(binary)), 0o600))
		if analyze == "" {
			continue
		}
		out, err := exec.Command(analyze, "verify", local).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Empty(t, string(out))
	}
}

func TestConformanceFailsOnABrokenGateway(t *testing.T) {
	t.Setenv("MOSAIC_GATEWAY_TOKEN", "")
	require.Equal(t, 1, Run(t.Context(), "test", []string{"conformance"}), "it needs a token")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"statusCode": 404, "message": "Cannot find it", "error": "Not Found"}`))
	}))
	t.Cleanup(server.Close)
	require.Equal(t, 1, Run(t.Context(), "test", []string{"conformance", "--gateway", server.URL, "--token", "a-token"}))
}

func TestAFileWithASecretIsRefused(t *testing.T) {
	for content, want := range map[string]string{
		"gateway:\n  token: abc\n":       `"gateway.token" is a secret and does not belong in a file; set MOSAIC_GATEWAY_TOKEN in the environment instead`,
		"matrix:\n  access_token: abc\n": `"matrix.access_token" is a secret and does not belong in a file; set MATRIX_ACCESS_TOKEN in the environment instead`,
		"bot:\n  usr_id: '@a:b'\n":       `there is no setting "bot.usr_id"`,
	} {
		path := filepath.Join(t.TempDir(), "settings.yaml")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		file, err := config.Read(path)
		require.NoError(t, err)
		require.ErrorContains(t, file.Check(grammar(t).Model.Node), want)
	}
}

func TestTheEnvironmentWinsOverTheFileAndAFlagOverBoth(t *testing.T) {
	path := filepath.Join(t.TempDir(), "settings.yaml")
	require.NoError(t, os.WriteFile(path, []byte("gateway:\n  listen: 127.0.0.1:1\n  tenant: from-file\n"), 0o600))
	t.Setenv("MOSAIC_GATEWAY_LISTEN", "127.0.0.1:2")
	for _, test := range []struct {
		arguments      []string
		listen, tenant string
	}{
		{[]string{"gateway"}, "127.0.0.1:2", "from-file"},
		{[]string{"gateway", "--listen", "127.0.0.1:3", "--tenant", "flag"}, "127.0.0.1:3", "flag"},
	} {
		file, err := config.Read(path)
		require.NoError(t, err)
		var cli program
		_, err = kong.Must(&cli, kong.Resolvers(file)).Parse(test.arguments)
		require.NoError(t, err)
		require.Equal(t, test.listen, cli.Gateway.Listen)
		require.Equal(t, test.tenant, cli.Gateway.Tenant)
	}
}

// said carries out a command line and answers what it printed and its exit code.
func said(t *testing.T, arguments ...string) (string, int) {
	t.Helper()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	stdout := os.Stdout
	os.Stdout = writer
	code := Run(t.Context(), "test", arguments)
	os.Stdout = stdout
	require.NoError(t, writer.Close())
	out, err := io.ReadAll(reader)
	require.NoError(t, err)
	return strings.TrimSpace(string(out)), code
}

func TestTheFirstTokenIsIssuedOnTheDatabaseAndAllAreHandledOverTheGateway(t *testing.T) {
	running := gatewaytest.Start(t, func(o *gatewaytest.Options) { o.Tenant, o.Host = "", "" })
	t.Setenv("MOSAIC_GATEWAY_DATABASE", running.Database.Gateway)
	t.Setenv("MOSAIC_GATEWAY_URL", running.URL)

	admin, code := said(t, "token", "--identity", "root", "--kind", "human", "--roles", "admin", "--scopes", "admin")
	require.Zero(t, code)
	require.Regexp(t, `^mosaic_\S+$`, admin)
	_, code = said(t, "token", "--identity", "coder-1", "--kind", "agent", "--roles", "worker", "--scopes", "worker", "--expires", "24h")
	require.Zero(t, code)
	t.Setenv("MOSAIC_GATEWAY_TOKEN", admin)
	renewed, code := said(t, "token", "rotate", "T-2", "--overlap", "0s")
	require.Zero(t, code)
	require.Regexp(t, `^mosaic_\S+$`, renewed)
	out, code := said(t, "token", "revoke", "T-3")
	require.Zero(t, code)
	require.Equal(t, "T-3 of coder-1 is revoked.", out)
	out, code = said(t, "token", "list")
	require.Zero(t, code)
	lines := strings.Split(out, "\n")
	require.Len(t, lines, 4)
	require.Regexp(t, `^T-3 +coder-1 +worker +\S+ \S+ UTC +revoked \S+ \S+ UTC +never$`, lines[1])
	require.Regexp(t, `^T-1 +root +admin +\S+ \S+ UTC +never +\S+ \S+:00 UTC$`, lines[3])
	_, code = said(t, "token", "rotate", "T-3")
	require.Equal(t, 1, code)
}

func TestExecRunsACommandOnceUnderAKey(t *testing.T) {
	running := gatewaytest.Start(t)
	token := running.TokenAs(t, "operator", "olga")
	t.Setenv("MOSAIC_GATEWAY_URL", running.URL)
	t.Setenv("MOSAIC_GATEWAY_TOKEN", token)

	for _, key := range []string{"--key=first", "--key=first", "--key=second"} {
		require.Zero(t, Run(t.Context(), "test", []string{"exec", key, "dispatch", "coder", "Add a health check"}))
	}
	list, err := register.NewAPI(running.URL, token).Dispatches(t.Context(), register.By{}, "", 0)
	require.NoError(t, err)
	require.Len(t, list.Dispatches, 2)
}

func TestTheGatewayListensOnLoopbackUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	listen, found := reflect.TypeFor[gatewayCommand]().FieldByName("Listen")
	require.True(t, found)
	host, _, err := net.SplitHostPort(listen.Tag.Get("default"))
	require.NoError(t, err)
	require.True(t, net.ParseIP(host).IsLoopback(), host)
}
