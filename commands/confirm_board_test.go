package commands

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestTakingASeatAndRetiringAnAgentAreAskedBackAndWhatTakesNothingIsNot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send(t, register.PutIdentity("anna", register.IdentityRequest{
		Kind: register.IdentityRequestKindHuman, MatrixID: "@anna:localhost", Roles: []register.FleetRole{register.FleetRoleAdmin},
	}), nil)
	for line, want := range map[string]string{
		"board appoint cto olga":       "Take the seat cto from ben and give it to olga?\nOpen proposals keep the board they were opened with.",
		"board unseat cfo":             "Take the seat cfo, which cleo holds, off the board?\nOpen proposals keep the board they were opened with.",
		"agents retire coder-1":        "Retire coder-1 for good? It gets no more work, and its name is not used again.",
		"board appoint cto olga --yes": "",
		"board unseat cfo --yes":       "",
		"agents retire coder-1 --yes":  "",
		"board appoint coo olga":       "",
		"board appoint cto ben":        "",
		"board unseat coo":             "",
		"agents retire coder-7":        "",
	} {
		question, asked, err := Ask(t.Context(), b.bot, register.By{Actor: "@anna:localhost"}, understood(t, line))
		require.NoError(t, err, line)
		require.Equal(t, want != "", asked, line)
		require.Equal(t, want, Plain(question.Markdown), line)
		require.False(t, question.Safer, line)
	}
	_, asked, err := Ask(t.Context(), b.bot, register.By{Actor: "@olga:localhost"}, understood(t, "board unseat cfo"))
	require.NoError(t, err)
	require.False(t, asked, "who may not do it is told so at once")
}
