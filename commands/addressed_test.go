package commands

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyALineForUsIsTaken(t *testing.T) {
	t.Parallel()
	names := []string{"@mosaic:example.org", "@mosaic", "mosaic", "Fleet Bot"}
	for text, want := range map[string]string{
		"!mosaic status":              "status",
		"!Mosaic status":              "status",
		"!MOSAIC\u00a0Budget Status":  "Budget Status",
		"  \u200b!mosaic  status ":    "status",
		"!mosaic: status":             "status",
		"!mosaic":                     "",
		"!mosaic\nstatus":             "status",
		"!dispatch coder “Fix it”":    "dispatch coder “Fix it”",
		"!Budget status":              "budget status",
		"!board\u00a0list":            "board\u00a0list",
		"!vote P-7 approve":           "vote P-7 approve",
		"!status":                     "status",
		"@mosaic:example.org: status": "status",
		"@mosaic:example.org status":  "status",
		"@Mosaic:Example.org, status": "status",
		"@mosaic status":              "status",
		"mosaic: status":              "status",
		"Fleet Bot: status":           "status",
		"fleet bot: status":           "status",
		"@Fleet Bot what is up":       "what is up",
		"@[Fleet Bot] status":         "status",
		"Fleet Bot status":            "status",
		"Fleet Bot Budget status":     "Budget status",
		"Fleet Bot":                   "",
		"[Fleet Bot](https://matrix.to/#/@mosaic:example.org): status":    "status",
		"[Fleet Bot](https://matrix.to/#/%40mosaic%3Aexample.org) status": "status",
	} {
		rest, ok := Addressed(text, "!mosaic", names, false)
		require.True(t, ok, text)
		require.Equal(t, want, rest, text)
	}
	for _, text := range []string{
		"", "status", "!mosaics status", "!statusquo", "mosaics: status", "Fleet Bot is down again", "Fleet Bots: status", "hello @mosaic:example.org",
		"!other status", "I said !mosaic status", "[Fleet Bot](https://matrix.to/#/@other:example.org): status", "[x](https://evil.org)",
	} {
		_, ok := Addressed(text, "!mosaic", names, false)
		require.False(t, ok, text)
	}
}

func TestInADirectChatEverythingIsForUs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"budget status": "budget status", "!mosaic status": "status", "!status": "status", " hello ": "hello", "": ""} {
		rest, ok := Addressed(text, "!mosaic", nil, true)
		require.True(t, ok)
		require.Equal(t, want, rest)
	}
}

func TestAnotherPrefixHasItsOwnShortForms(t *testing.T) {
	t.Parallel()
	rest, ok := Addressed(".Fleet budget status", ".fleet", nil, false)
	require.True(t, ok)
	require.Equal(t, "budget status", rest)
	rest, ok = Addressed(".status", ".fleet", nil, false)
	require.True(t, ok)
	require.Equal(t, "status", rest)
	_, ok = Addressed("!status", ".fleet", nil, false)
	require.False(t, ok)
	_, ok = Addressed("status", "fleet", nil, false)
	require.False(t, ok, "a prefix without a sign has no short forms")
}
