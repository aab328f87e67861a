package bot

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAHeldCommandNamesTheRequestTheGatewayFailedAt(t *testing.T) {
	t.Parallel()
	require.Equal(t, "The gateway fails at this now (request r-1)", whyHeld(&register.Error{Status: 500, RequestID: "r-1"}))
	require.Contains(t, whyHeld(&register.Error{Status: 401}), "does not accept my token")
	require.Contains(t, whyHeld(&register.Error{Status: 429, RequestID: "r-1"}), "takes no more requests")
	for _, quiet := range []*register.Error{nil, {RequestID: "r-1"}, {Status: 503}} {
		require.Equal(t, "The gateway cannot be reached now", whyHeld(quiet))
	}
}
