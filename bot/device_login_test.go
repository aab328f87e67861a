package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// codeServer stands for a homeserver with an OAuth 2.0 server that logs devices in by codes; answers are what it says to each poll in turn.
func codeServer(t *testing.T, user string, answers ...string) *httptest.Server {
	t.Helper()
	var server *httptest.Server
	say := func(w http.ResponseWriter, status int, text string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		switch r.URL.Path {
		case "/_matrix/client/v1/auth_metadata":
			say(w, http.StatusOK, fmt.Sprintf(`{"issuer":"%[1]s/","registration_endpoint":"%[1]s/register","token_endpoint":"%[1]s/token","device_authorization_endpoint":"%[1]s/device"}`, server.URL))
		case "/register":
			var asked struct {
				Grants []string `json:"grant_types"`
				Method string   `json:"token_endpoint_auth_method"`
				URI    string   `json:"client_uri"`
			}
			if json.NewDecoder(r.Body).Decode(&asked) != nil || asked.Method != "none" || asked.URI == "" ||
				!slices.Equal(asked.Grants, []string{"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"}) {
				say(w, http.StatusBadRequest, `{"error":"invalid_client_metadata"}`)
				return
			}
			say(w, http.StatusCreated, `{"client_id":"01BOT"}`)
		case "/device":
			if r.PostFormValue("client_id") != "01BOT" || !strings.HasPrefix(r.PostFormValue("scope"), "urn:matrix:client:api:* urn:matrix:client:device:MOSAIC") {
				say(w, http.StatusBadRequest, `{"error":"invalid_scope"}`)
				return
			}
			say(w, http.StatusOK, fmt.Sprintf(`{"device_code":"secret","user_code":"ABC-DEF","verification_uri":"%[1]s/link","verification_uri_complete":"%[1]s/link?code=ABC-DEF","expires_in":1200,"interval":3}`, server.URL))
		case "/token":
			if r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:device_code" || r.PostFormValue("device_code") != "secret" || len(answers) == 0 {
				say(w, http.StatusBadRequest, `{"error":"invalid_grant"}`)
				return
			}
			answer := answers[0]
			answers = answers[1:]
			if answer != "" {
				say(w, http.StatusBadRequest, fmt.Sprintf(`{"error":%q}`, answer))
				return
			}
			say(w, http.StatusOK, `{"access_token":"access","token_type":"Bearer","expires_in":300,"refresh_token":"refresh"}`)
		case "/_matrix/client/v3/account/whoami":
			if r.Header.Get("Authorization") != "Bearer access" {
				say(w, http.StatusUnauthorized, `{"errcode":"M_UNKNOWN_TOKEN"}`)
				return
			}
			say(w, http.StatusOK, fmt.Sprintf(`{"user_id":%q,"device_id":"MOSAIC"}`, user))
		default:
			say(w, http.StatusNotFound, `{"errcode":"M_UNRECOGNIZED","error":"unrecognized"}`)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func TestALoginByACodeGivesWhatTheBotRenewsItsLoginWith(t *testing.T) {
	t.Parallel()
	server := codeServer(t, "@mosaic:example.org", "authorization_pending", "slow_down", "authorization_pending", "")
	var waits []time.Duration
	shown := ""
	got, err := DeviceLogin{
		Homeserver: server.URL, UserID: "@mosaic:example.org", Show: func(address, code string, life time.Duration) { shown = address + " " + code + " " + life.String() },
		wait: func(_ context.Context, d time.Duration) { waits = append(waits, d) },
	}.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, Tokens{ClientID: "01BOT", Refresh: "refresh"}, got)
	require.Equal(t, server.URL+"/link?code=ABC-DEF ABC-DEF 20m0s", shown)
	require.Equal(t, []time.Duration{3 * time.Second, 3 * time.Second, 8 * time.Second, 8 * time.Second}, waits, "it asks no more often than it was told")
}

func TestALoginByACodeThatComesToNothingSaysWhy(t *testing.T) {
	t.Parallel()
	for said, login := range map[string]func() DeviceLogin{
		"refused where the code was shown": func() DeviceLogin {
			return DeviceLogin{Homeserver: codeServer(t, "@mosaic:example.org", "access_denied").URL}
		},
		"begin again for a new one": func() DeviceLogin {
			return DeviceLogin{Homeserver: codeServer(t, "@mosaic:example.org", "authorization_pending", "expired_token").URL}
		},
		"confirmed by @ada:example.org, and the bot is @mosaic:example.org": func() DeviceLogin {
			return DeviceLogin{Homeserver: codeServer(t, "@ada:example.org", "").URL}
		},
		"asking the homeserver for a code": func() DeviceLogin {
			return DeviceLogin{Homeserver: codeServer(t, "@mosaic:example.org").URL, ClientID: "not-known"}
		},
		"has no OAuth 2.0": func() DeviceLogin {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusNotFound)
				fmt.Fprint(w, `{"errcode":"M_UNRECOGNIZED","error":"unrecognized"}`)
			}))
			t.Cleanup(server.Close)
			return DeviceLogin{Homeserver: server.URL}
		},
	} {
		l := login()
		l.UserID, l.Show, l.wait = "@mosaic:example.org", func(string, string, time.Duration) {}, func(context.Context, time.Duration) {}
		_, err := l.Run(t.Context())
		require.ErrorContains(t, err, said)
	}
}
