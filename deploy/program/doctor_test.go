package program

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/bot"
)

func TestTheDoctorEndsWithOneWhereSomethingIsToBeMended(t *testing.T) {
	for _, name := range []string{"MATRIX_HOMESERVER", "MATRIX_USER_ID", "MOSAIC_BOT_DATABASE", "MOSAIC_GATEWAY_TOKEN"} {
		t.Setenv(name, "")
	}
	require.Equal(t, 1, Run(t.Context(), "test", []string{"doctor"}))
	require.Equal(t, 2, Run(t.Context(), "test", []string{"doctor", "--no-such-flag"}))
}

func TestEveryLineOfTheDoctorIsOKOrTheFix(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	printFindings(&out, []bot.Finding{
		{Part: "database", State: bot.PartWell, Said: "It answers."},
		{Part: "token", State: bot.PartAmiss, Said: "It has ended.", Fix: "Set another."},
		{Part: "device", State: bot.PartUnknown, Said: "It needs the token."},
	})
	require.Equal(t, `OK   database       It answers.
FIX  token          It has ended.
                    -> Set another.
-    device         It needs the token.

1 thing needs to be mended.
`, out.String())
}
