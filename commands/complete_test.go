package commands

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func offers(words ...string) []string {
	var out []string
	for _, offered := range Complete(words) {
		out = append(out, offered.Word)
	}
	return out
}

func TestCompletionOffersWhatTheRegistryKnows(t *testing.T) {
	t.Parallel()
	require.Contains(t, offers(""), "dispatch")
	require.Contains(t, offers(""), "budget")
	require.Equal(t, []string{"whoami"}, offers("who"))
	require.Subset(t, offers("budget", ""), []string{"set", "status", "reset", "explain"})
	require.Equal(t, []string{"set"}, offers("budget", "se"))
	require.Contains(t, offers("agents", ""), "retire", "a command that is also a group offers both")
	require.Contains(t, offers("agents", ""), "gone")
	require.Contains(t, offers("help", "budget", ""), "explain")
	require.Empty(t, offers("frobnicate", "x", ""))
	for _, name := range Names() {
		words := strings.Fields(name)
		require.Contains(t, offers(words...), words[len(words)-1], name)
	}
}

func TestCompletionOffersFlagsOnceAndTheirChoices(t *testing.T) {
	t.Parallel()
	require.Empty(t, offers("dispatch", ""), "which role only the person knows")
	require.Contains(t, offers("dispatch", "coder", "fix it", "--dead"), "--deadline")
	require.NotContains(t, offers("dispatch", "coder", "fix it", "--deadline", "+2h", "--"), "--deadline")
	require.Contains(t, offers("dispatch", "coder", "fix it", "--estimate", "4", "--"), "--estimate", "several units may be given")
	require.Equal(t, []string{"strategic", "technical", "hotfix"}, offers("dispatch", "coder", "fix it", "--class", ""))
	require.Equal(t, []string{"--class=hotfix"}, offers("dispatch", "coder", "fix it", "--class=h"))
	require.Equal(t, "--provider", offers("budget", "set", "")[0], "what is required comes first")
	require.Equal(t, []string{"approve", "abstain"}, offers("vote", "P-7", "a"))
}

// TestEveryChoiceOfferedIsAccepted gives each word a flag or argument offers to a command that works without it.
func TestEveryChoiceOfferedIsAccepted(t *testing.T) {
	t.Parallel()
	for _, c := range registry {
		m := newModel(c.name, c.grammar())
		for at, argument := range m.node.Positional {
			for _, choice := range choicesOf(argument) {
				words := strings.Fields(c.examples[0])
				words = append(words[:min(len(words), len(strings.Fields(c.name))+at)], choice)
				accepted(t, append(words, "because"), argument.IsCumulative() || at == len(m.node.Positional)-1)
			}
		}
		for _, flag := range m.node.Flags {
			for _, choice := range choicesOf(flag.Value) {
				words := c.exampleWords()
				if at := slices.Index(words, "--"+flag.Name); at >= 0 {
					words = slices.Delete(words, at, at+2)
				}
				accepted(t, append(words, "--"+flag.Name, choice), false)
			}
		}
	}
}

func (c *command) exampleWords() []string {
	var words []string
	for _, word := range split(c.examples[0]) {
		words = append(words, word.text)
	}
	return words
}

func accepted(t *testing.T, words []string, last bool) {
	t.Helper()
	if last {
		words = words[:len(words)-1]
	}
	_, err := Prepare(Asked{Words: words, At: monday, Origin: register.Origin{Room: "!room:example.org"}})
	require.NoError(t, err, "%q", words)
}
