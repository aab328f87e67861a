package commands

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInADispatchsThreadItNeedNotBeNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"cancel": "cancel D-7", "Cancel.": "cancel D-7", "stop": "cancel D-7", "explain": "budget explain D-7", "show": "show D-7",
	} {
		for _, addressed := range []bool{true, false} {
			named, ok := InThread(text, "D-7", addressed)
			require.True(t, ok, text)
			require.Equal(t, want, named)
		}
	}
	for text, want := range map[string]string{
		"cancel no longer needed": "cancel D-7 no longer needed", "cancel D-9": "cancel D-9", "cancel 9 old": "cancel 9 old",
		"budget explain": "budget explain D-7", "cancel --yes": "cancel D-7 --yes",
	} {
		named, ok := InThread(text, "D-7", true)
		require.True(t, ok, text)
		require.Equal(t, want, named)
		_, ok = InThread(text, "D-7", false)
		require.False(t, ok, "%q is talk unless it is said to us", text)
	}
	for _, text := range []string{"retry", "resume", "", "good morning", "status"} {
		named, ok := InThread(text, "D-7", true)
		require.False(t, ok, "%q names nothing by where it is said", text)
		require.Equal(t, text, named)
	}
}

func TestWhatSpendsOrLoosensNeedsASignature(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"retry D-1", "resume", "confirm C1", "run K1", "budget reset --provider claude --reset-at +5h",
		"budget set --provider claude --limit 5 --unit credits --reset-at +5h",
	} {
		require.True(t, Loosens(understood(t, line)), line)
	}
	for _, line := range []string{"status", "budget status", "cancel D-1", "pause", "show D-1", "help", "agents"} {
		require.False(t, Loosens(understood(t, line)), line)
	}
}
