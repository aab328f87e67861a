package bot

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStatusTellsOfGatewayAndEncryptionAtAGlance(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	said := b.answered(t, b.say(t, "!mosaic status"), "Fleet: idle")
	for _, part := range []string{"not paused", "every step normal", "agent", "Gateway ok", "Encryption ok: my device is verified"} {
		require.Contains(t, said.Body, part)
	}
	require.NotContains(t, said.Body, "set aside")

	_, err := b.bots(t).Exec(t.Context(), `UPDATE journal SET state = 'aside', reason = 'a fault' WHERE seq = (SELECT min(seq) FROM journal WHERE state = 'done')`)
	require.NoError(t, err)
	b.gateway.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/readyz") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"status": "unavailable", "version": "1", "parts": {"sweep": "The sweep has not succeeded."}}`))
		return true
	})
	said = b.answered(t, b.say(t, "!mosaic status"), "Fleet: idle")
	require.Contains(t, said.Body, "Gateway not well: sweep: The sweep has not succeeded.")
	require.Contains(t, said.Body, "1 event set aside: !mosaic replay")
}
