package commands

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func structured(command, arguments string) Asked {
	return Asked{Structured: &Structured{Command: command, Arguments: json.RawMessage(arguments)}, Text: "/whatever", At: monday}
}

func TestAStructuredCommandIsTheTypedOne(t *testing.T) {
	t.Parallel()
	for line, given := range map[string]Asked{
		`dispatch coder "Fix it --exact" --estimate 4 --dry-run`: structured("dispatch", `{"role": "coder", "brief": "Fix it --exact", "estimate": ["4"], "dry-run": true, "deadline": null}`),
		"list running queued":      structured("List", `{"states": ["running", "queued"]}`),
		"budget status":            structured("budget", `{}`),
		`vote P-7 approve "go on"`: structured("vote", `{"proposal": "P-7", "verdict": "approve", "reason": "go on"}`),
		"cancel D-3":               structured("cancel", `{"dispatch": "D-3", "yes": false}`),
	} {
		want, err := Prepare(Asked{Text: line, At: monday})
		require.NoError(t, err, line)
		got, err := Prepare(given)
		require.NoError(t, err, line)
		require.Equal(t, want.Command, got.Command)
		require.Equal(t, want.Mutation, got.Mutation, line)
		require.JSONEq(t, string(cmpOr(want.Arguments)), string(cmpOr(got.Arguments)), line)
	}
}

func cmpOr(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

func TestAStructuredCommandThatMakesNoSenseIsAnsweredWithASentence(t *testing.T) {
	t.Parallel()
	for why, given := range map[string]Asked{
		"Did you mean dispatch":       structured("dispach", `{}`),
		"brief is missing":            structured("dispatch", `{"role": "coder"}`),
		`"colour" is not a parameter`: structured("status", `{"colour": "red"}`),
		"not given by name":           structured("status", `["a"]`),
		"accepted is a text":          structured("dispatch", `{"role": {"a": 1}}`),
	} {
		_, err := Prepare(given)
		require.ErrorContains(t, err, why)
	}
}

func TestEveryCommandIsDescribedWithItsTailBehindWhatIsRequired(t *testing.T) {
	t.Parallel()
	described := Describe()
	require.Len(t, described, len(Names()))
	for _, d := range described {
		require.NotEmpty(t, d.About)
		behind := false
		for _, p := range d.Parameters {
			require.NotEmpty(t, p.About, "%s %s", d.Command, p.Key)
			require.False(t, behind && !p.Optional, "%s: %s is required behind the tail", d.Command, p.Key)
			behind = behind || p.Key == d.Tail
		}
		require.Equal(t, d.Tail != "", behind, d.Command)
	}
}
