package program

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheLoginCommandWritesATokenForItsOwnerOnlyAndReplacesNone(t *testing.T) {
	t.Parallel()
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers := map[string]string{
			"/_matrix/client/v1/auth_metadata":  fmt.Sprintf(`{"registration_endpoint":"%[1]s/register","token_endpoint":"%[1]s/token","device_authorization_endpoint":"%[1]s/device"}`, server.URL),
			"/register":                         `{"client_id":"01BOT"}`,
			"/device":                           `{"device_code":"secret","user_code":"ABC-DEF","verification_uri":"https://example.org/link","expires_in":1200,"interval":1}`,
			"/token":                            `{"access_token":"access","token_type":"Bearer","expires_in":300,"refresh_token":"refresh"}`,
			"/_matrix/client/v3/account/whoami": `{"user_id":"@mosaic:example.org"}`,
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answers[r.URL.Path])
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "refresh-token")
	line := []string{"login", "--homeserver", server.URL, "--user-id", "@other:example.org", "--out", file}
	require.Equal(t, 1, Run(t.Context(), "test", line))
	require.NoFileExists(t, file, "a login that comes to nothing leaves no file")

	line[4] = "@mosaic:example.org"
	require.Zero(t, Run(t.Context(), "test", line))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	token, err := readToken(file)
	require.NoError(t, err)
	require.Equal(t, "refresh", token, "as the bot reads it")
	require.Equal(t, 1, Run(t.Context(), "test", line), "it leaves a file alone that is there")
	require.FileExists(t, file)
}
