//go:build foreign

package foreign

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestWhatIsWrittenInElementsEditorIsUnderstoodAsMeant(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.setBudget(500, time.Now().Add(-time.Hour))
	type key = []string
	compose := func(keys []key, mentions ...string) (sent id.EventID) {
		f.operator.call("compose", map[string]any{"room": f.fleet, "keys": keys, "mentions": mentions}, &sent)
		return sent
	}
	for _, written := range []struct {
		keys  []key
		brief string
	}{
		{[]key{{"mention", f.bot.String(), "Mosaic"}, {"text", "dispatch coder \"from a pill\" --estimate 4"}}, "from a pill"},
		{[]key{{"text", "!mosaic dispatch coder “one"}, {"enter"}, {"text", "two & <three>” --estimate 4"}}, "one\ntwo & <three>"},
		{[]key{{"text", "!mosaic dispatch coder --estimate 4 Run this:"}, {"enter"}, {"code"}, {"text", "go test ./..."}, {"enter"}, {"text", "git diff"}}, "Run this:\n```\ngo test ./...\ngit diff\n```"},
	} {
		var mentions []string
		if written.keys[0][0] == "mention" {
			mentions = []string{f.bot.String()}
		}
		asked := compose(written.keys, mentions...)
		require.Contains(t, f.reply(f.operator, asked).Body, "D-")
		list, err := f.API().Dispatches(t.Context(), register.By{}, "", 1)
		require.NoError(t, err)
		require.Equal(t, written.brief, list.Dispatches[0].Brief)
	}
}
