package bot

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

func TestTheDoctorTellsTheLimitsThatWereMetAndHowTheBotIsExempted(t *testing.T) {
	t.Parallel()
	p := examined(t)
	p.isWell(t)
	p.gated(0.5, 1) // less than any machine asks for
	for range 3 {
		p.answered(t, p.say(t, "!mosaic status"), "")
	}
	p.quiet(t)
	p.homeserver.set(nil)
	exempt := "exempt_user_ids"
	if software := serverSoftware(t.Context(), localtest.Homeserver(t).URL); software != "" && software != "dendrite" {
		exempt = "override_ratelimit"
	}
	p.finds(t, "limits", "messages a second after", exempt)
	p.finds(t, "limits", "held the bot back", p.options.UserID)
}

func TestHowTheBotIsExemptedDependsOnTheHomeserver(t *testing.T) {
	t.Parallel()
	require.Contains(t, exemption("synapse/1.1", "https://hs.example.org/", "@mosaic:example.org"),
		"https://hs.example.org/_synapse/admin/v1/users/@mosaic:example.org/override_ratelimit")
	require.Contains(t, exemption("dendrite", "https://hs.example.org", "@mosaic:example.org"), `"@mosaic:example.org" to client_api.rate_limiting.exempt_user_ids`)
	require.Contains(t, exemption("", "https://hs.example.org", "@mosaic:example.org"), "@mosaic:example.org")
}

func TestTheHomeserversProgramIsKnownByItsAnswers(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "http://127.0.0.1:1")
	p.set(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Server", "Synapse/1.140.0")
		if r.URL.Path != "/_matrix/client/versions" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(`{"versions":[]}`))
		return true
	})
	require.Contains(t, serverSoftware(t.Context(), p.url), "synapse")
	p.set(func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write([]byte(`{"server":{"name":"Dendrite","version":"0.15.2"}}`))
		return true
	})
	require.Equal(t, "dendrite", serverSoftware(t.Context(), p.url))
}
