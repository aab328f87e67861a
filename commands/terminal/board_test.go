package terminal_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/terminal"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest/gatewaytest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestABoardIsSeatedAskedVotedOnAndExportedOnATerminal(t *testing.T) {
	t.Parallel()
	running := gatewaytest.Start(t)
	at := map[string]*register.API{"anna": running.As(t, "admin", "anna")}
	for _, name := range []string{"ada", "ben"} {
		running.Identify(t, name, "human", "board")
		at[name] = register.NewAPI(running.URL, running.Token(t, name, "operate"))
	}
	says := func(person string, code int, words ...string) string {
		t.Helper()
		var out, said bytes.Buffer
		options := terminal.Options{API: at[person], Out: &out, Err: &said, Patience: time.Minute}
		require.Equal(t, code, terminal.Exec(t.Context(), options, words), "%v: %s%s", words, &out, &said)
		return out.String()
	}
	says("anna", terminal.Done, "board", "appoint", "ceo", "ada")
	says("anna", terminal.Done, "board", "appoint", "cto", "ben", "--deputy", "anna")
	says("anna", terminal.Done, "board", "rules", "--chair", "ceo", "--settle", "0s")
	require.Contains(t, says("ada", terminal.Done, "board", "seats"), "cto ben · looks at feasibility · deputy anna")
	require.Contains(t, says("ada", terminal.Done, "board", "propose", "Move the fleet", "--pass", "unanimous"), "P-1 is open")
	require.Contains(t, says("ben", terminal.Done, "board", "list", "open"), "P-1 open · Move the fleet")
	says("ben", terminal.Misread, "vote", "P-1", "conditional")
	says("ben", terminal.Done, "vote", "P-1", "conditional", "after the freeze")
	says("ben", terminal.Refused, "board", "accept", "P-1")
	says("ada", terminal.Done, "board", "accept", "P-1")
	require.Contains(t, says("ada", terminal.Done, "vote", "P-1", "approve", "go"), "P-1 passed")
	require.Contains(t, says("ada", terminal.Done, "board", "show", "P-1"), "cto (ben): conditional, accepted, “after the freeze”")
	_, review, _ := strings.Cut(says("ada", terminal.Done, "board", "export", "P-1", "cto"), "\n\n")
	require.JSONEq(t, `{"persona": "CTO", "verdict": "conditional", "confidence": 1, "concerns": ["after the freeze"], "recommendations": [], "key_risks": []}`, review)
	says("ada", terminal.Done, "board", "propose", "Withdraw this")
	require.Contains(t, says("ada", terminal.Done, "board", "withdraw", "P-2"), "P-2 is withdrawn.")
	says("ben", terminal.Done, "board", "propose", "Close this")
	require.Contains(t, says("ada", terminal.Done, "board", "close", "P-3"), "The voting on P-3 ends early.")
	says("anna", terminal.Done, "board", "unseat", "cto")

	var out, said bytes.Buffer
	options := terminal.Options{API: at["ada"], Out: &out, Err: &said, JSON: true}
	require.Equal(t, terminal.Done, terminal.Exec(t.Context(), options, []string{"board", "export", "P-1"}), said.String())
	require.True(t, json.Valid(out.Bytes()), "with --json it is a file forge can read")
}
