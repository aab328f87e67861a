//go:build foreign

package foreign

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
)

// The push rules are those a new account has at the homeserver, with what matrix-js-sdk's PushProcessor adds, applied to the
// event as decrypted: that is what makes a client sound. They count any text for everybody in its room (.m.rule.message), so
// whoever a bell does not mention gets a number beside the room's name, without a sound; of all else they get nothing.

func TestByDefaultPushRulesABellRingsExactlyThoseConcernedAndAllElseIsSilent(t *testing.T) {
	t.Parallel()
	f := setup(t, operator("deputy"), seat("ceo"), seat("cto"))
	f.work()
	f.setBudget(500, time.Time{})
	entered := map[string]int{}
	for name, one := range f.everyone() {
		entered[name] = one.Mark()
	}

	f.ask(f.budget, "!mosaic budget status")
	f.ask(f.fleet, "!mosaic status")
	ran, _ := f.ask(f.fleet, `!mosaic dispatch coder "Tidy up" --estimate 4`)
	finished := f.finished(f.operator, ran)
	f.ask(f.fleet, `!mosaic dispatch coder "Ship it" --estimate 300 --deadline +5m`)
	refused := f.operator.sees(client.In(f.budget), client.From(f.bot), client.Contains("D-2 refused"))
	f.ask(f.board, `!mosaic board propose "Ship it now" --for D-2`)
	opened := f.operator.sees(client.In(f.board), client.From(f.bot), client.Contains("P-1"), text)
	for _, name := range []string{"ceo", "cto"} {
		f.others[name].sees(client.From(f.bot), client.Reacts(opened.EventID, "✅"))
		f.others[name].react(f.board, opened.EventID, "✅")
	}
	lifted := f.operator.sees(client.In(f.fleet), client.From(f.bot), text, client.Contains("did: Ship it"))
	f.operator.sees(client.From(f.bot), client.Edits(opened.EventID), client.Contains("passed"))
	f.ask(f.fleet, "!mosaic pause lunch")
	f.ask(f.fleet, "!mosaic resume --yes")

	rung := map[id.EventID][]string{
		finished.EventID: {"operator"},
		refused.EventID:  {"operator", "deputy"},
		opened.EventID:   {"ceo", "cto"},
		lifted.EventID:   {"operator"},
	}
	for name, one := range f.everyone() {
		var edits, reactions int
		for _, seen := range one.SeenAfter(entered[name]) {
			if seen.Sender != f.bot {
				continue
			}
			require.False(t, seen.Undecrypted, "%s", seen)
			edits, reactions = edits+count(seen.EditOf != ""), reactions+count(seen.Reaction != "")
			view := one.view(seen.EventID)
			require.Equal(t, slices.Contains(rung[seen.EventID], name), view.Highlights, "for %s: %s", name, seen)
			if _, bell := rung[seen.EventID]; !bell {
				require.False(t, view.Notifies, "%s is notified of %s", name, seen)
			}
		}
		require.Positive(t, edits, "%s saw edits, which are silent", name)
		require.Positive(t, reactions, "%s saw reactions, which are silent", name)
	}
}

func count(it bool) int {
	if it {
		return 1
	}
	return 0
}
