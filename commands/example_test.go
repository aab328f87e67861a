package commands

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestTheExampleOfAUsageErrorIsNearToWhatWasTypedAndNamesTheSameProposal(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"vote P-1 maybe":                         "vote P-1 approve",
		"vote p-3 conditional":                   `vote P-3 conditional "after the freeze"`,
		"vote 12 perhaps":                        "vote P-12 approve",
		"vote P-1":                               "vote P-1 approve",
		"vote P-4 reject --loud":                 `vote P-4 reject "the audit can wait until the reset"`,
		"board show P-3 now":                     "board show P-3",
		"show D-4 D-5":                           "show D-4",
		`dispatch coder "x" --deadline sometime`: `dispatch reviewer "Review the open merge requests" --model sonnet --exact --deadline +2h`,
		`dispatch coder "x" --estimate lots`:     `dispatch coder "Add a health check to the collector" --estimate 4`,
		`board propose "x" --quorum many`:        `board propose "Move the fleet to codex" --body "Half the cost for a third of the speed." --quorum 3 --pass two-thirds --closes 48h`,
		`board propose "x" --override claude`:    `board propose "More for the release" --override claude:40:2`,
	} {
		require.Equal(t, want, misunderstood(t, typed).Example, typed)
	}
}

// TestEveryUsageErrorOfEveryCommandIsShortAndHasAnExampleThatWorks types each command without anything, with a flag that there is not, with a
// word too many, and each of its flags and arguments with something that is none.
func TestEveryUsageErrorOfEveryCommandIsShortAndHasAnExampleThatWorks(t *testing.T) {
	t.Parallel()
	for _, c := range registry {
		m := newModel(c.name, c.grammar())
		lines := []string{c.name, c.name + " --nonsense", c.examples[0] + " --nonsense 5", c.examples[0] + " %%%", c.name + ` "never closed`}
		for _, flag := range m.node.Flags {
			for _, wrong := range []string{"", "%%%", "-1", "999999999999999999999", strings.Repeat("ü", 70)} {
				lines = append(lines, c.examples[0]+" --"+flag.Name+" "+wrong)
			}
		}
		for range m.node.Positional {
			lines = append(lines, c.name+strings.Repeat(" %%%", len(lines)))
		}
		for _, line := range lines {
			_, err := Prepare(typed(t, line))
			if err == nil {
				continue
			}
			failure := misunderstood(t, line)
			text := Plain(failure.Markdown())
			t.Logf("%s\n%s\n%s", line, text, strings.Repeat("-", 20))
			require.LessOrEqual(t, utf8.RuneCountInString(failure.sentence()), 260, line)
			require.Regexp(t, `[.?]$`, failure.sentence(), line)
			require.NotContains(t, failure.sentence(), "\n", line)
			require.Contains(t, text, "Example: !mosaic ", line)
			_, err = Prepare(typed(t, failure.Example))
			require.NoError(t, err, "the example given for %q", line)
		}
	}
}
