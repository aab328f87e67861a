package bot

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestNamesOfOthersAreMarkedAndNothingElseIs(t *testing.T) {
	t.Parallel()
	names := []string{"Ben", "Ben Bitdiddle", "ben-1f", "Zoë", "x"}
	for text, want := range map[string]string{
		"ask Ben.":                      "ask B~en.",
		"ben: BEN, (Ben)":               "b~en: B~EN, (B~en)",
		"a benchmark on Benjamin_Ben":   "a benchmark on Benjamin_Ben",
		"by Ben Bitdiddle":              "by B~en Bitdiddle",
		"@ben-1f:example.org, not ben1": "@b~en-1f:example.org, not ben1",
		"zoë and ZOË":                   "z~oë and Z~OË",
		"x is too short":                "x is too short",
		"":                              "",
	} {
		require.Equal(t, strings.ReplaceAll(want, "~", hushMark), hushed(text, names), text)
	}
}

func TestMarkingNamesChangesNoVisibleCharacter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ReplaceAll(rapid.StringOf(rapid.RuneFrom([]rune("abAB .,@_éÉſß\u2028"))).Draw(t, "text"), hushMark, "")
		names := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("abAB é_ſß")), 1, 4, -1), 0, 4).Draw(t, "names")
		require.Equal(t, text, strings.ReplaceAll(hushed(text, names), hushMark, ""))
	})
}
