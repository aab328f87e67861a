//go:build foreign && look

package foreign

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// lookFolder gets the pictures.
const lookFolder = "../../.mosaic/look"

// moody is an agent that does what its brief asks for: fails, takes its time, or writes a long result.
const moody = `set -eu
brief=$(cat)
case "$brief" in
*"break"*) echo "compiling"; echo "error: cannot find package \"flux/capacitor\" in any of: /usr/lib/go/src, /home/agent/go/src" >&2; exit 3 ;;
*"slow"*) echo "12 of 80 files read"; sleep 4 ;;
esac
printf '%s' '{"outcome":"done","actuals":[{"unit":"credits","micros":2800600}],"result":{"summary":"Added GET /health to the collector.\n3 files changed, 41 insertions(+), 2 deletions(-)\nAll 118 tests pass in 12.4 s."}}' > "$MOSAIC_RESULT_FILE"
`

// TestATourOfEveryKindOfReplyIsDrawn has the people say everything that gets a reply of its own kind and draws what they see
// as a phone shows it: `make foreign-look`, for eyes.
func TestATourOfEveryKindOfReplyIsDrawn(t *testing.T) {
	f := setup(t, seat("ceo"), seat("cto"), seat("cfo"))
	ceo, cto, cfo := f.others["ceo"], f.others["cto"], f.others["cfo"]
	say := func(room id.RoomID, lines ...string) (last id.EventID) {
		t.Helper()
		for _, line := range lines {
			last, _ = f.ask(room, "!mosaic "+line)
		}
		return last
	}

	say(f.fleet, "help", "help dispatch", "help budget set", "help board", "whoami", "status", "budget status",
		`dispatch coder "Before there is a budget"`,
		"dispach coder fix it", "frobnicate", "", "dispatch", "dispatch coder", `dispatch coder "x" --estimate lots`, `dispatch coder "x" --deadline yesterday`,
		`dispatch coder "x" --modle opus`, "budget set", "budget set --provider claude --limit many --unit credits --reset-at +5h",
		"budget set --provider claude --limit 500 --unit apples --reset-at +5h", "budget", "show D-99", "cancel D-99", "vote P-1 approve", "show 12", "list")
	reset := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
	say(f.budget, "budget set --provider claude --limit 500 --unit credits --reset-at "+reset, "budget status",
		"budget set --provider codex --subscription team-a --window weekly --limit 2M --unit tokens --reset-at +4d --used 1.2M --floor 100k")
	say(f.fleet, `dispatch coder "Add a health check to the collector" --estimate 4 --dry-run`)
	path := filepath.Join(f.directory, "moody.sh")
	require.NoError(t, os.WriteFile(path, []byte(moody), 0o600))
	require.NoError(t, f.StartWorker(t.Context(), "coder-1", "coder", "/bin/sh", path))
	f.finished(f.operator, say(f.fleet, `dispatch coder "Add a health check to the collector" --estimate 4`))
	f.finished(f.operator, say(f.fleet, `dispatch coder "A slow one, please: read every file" --estimate 4`))
	f.finished(f.operator, say(f.fleet, `dispatch coder "break the build" --estimate 4`))
	f.finished(f.operator, say(f.fleet, `dispatch coder "Too big for opus" --estimate 20`))
	say(f.fleet, `dispatch coder "Refactor the scheduler so that lanes can be drained" --estimate 90`, `dispatch reviewer "Review the open merge requests" --model sonnet --exact --estimate 30 --deadline +2h`,
		`dispatch coder "Ship the release" --estimate 300 --deadline +5m`, `dispatch coder "More than there is" --estimate 2000`,
		`dispatch tester "Test the health check" --after D-7`, "status", "list", "list refused", "show D-2", "show D-7", "budget explain D-5", "budget explain D-7", "budget explain D-8", "show D-4",
		"cancel D-7 \"no longer needed\"", "cancel D-2", "pause \"the provider reports an incident\"", `dispatch coder "While paused" --estimate 1`, "status", "pause", "resume --yes")
	say(f.budget, "budget status", "budget set --provider claude --limit 450 --unit credits --reset-at "+reset, "budget reset --provider claude --reset-at +3h", "budget reset --provider claude --reset-at +3h --zero")

	say(f.budget, "help budget", "budget chart claude", "budget simulate claude", "budget forecast claude", "budget history claude", "budget policy", "budget estimates", "budget overrides",
		"budget override claude 40", "budget revoke O-3", "budget reading --provider claude --used 42%", "budget reading --provider claude --used lots", "room verbosity", "room verbosity loud", "ack", "ack R-9")
	say(f.fleet, "agents", "agents gone", "agents retire coder-1", "retry D-4", "retry D-1", "confirm C9", "run K9", "replay", "room show", "room bind board", "room encryption optional",
		"identity list", "identity show ceo", "identity link ceo", "identity grant ceo admin", "identity trust ceo")
	refused := f.refused()
	say(f.board, `board propose "Run the release now" --for `+refused, "board list", "board show P-1", "board seats", "vote P-1 approve", `board propose "Run it" --for D-2`)
	opened := f.operator.sees(client.In(f.board), client.From(f.bot), client.Contains("P-1"), text)
	ceo.sees(client.From(f.bot), client.Reacts(opened.EventID, "✅"))
	cfo.react(f.board, opened.EventID, "❌")
	f.tally(0, 1)
	f.reply(cto, cto.say(f.board, "!mosaic vote P-1 maybe"))
	f.reply(cto, cto.say(f.board, "!mosaic vote P-1 conditional"))
	f.reply(cto, cto.say(f.board, `!mosaic vote P-1 conditional "only after the freeze is lifted"`))
	f.reply(cto, cto.say(f.board, "!mosaic vote P-1 approve"))
	ceo.react(f.board, opened.EventID, "✅")
	f.tally(2, 1)
	f.operator.sees(client.From(f.bot), client.Edits(opened.EventID), client.Contains("passed"))
	f.reply(ceo, ceo.say(f.board, "!mosaic whoami"))
	f.reply(ceo, ceo.say(f.board, "!mosaic help"))
	f.reply(ceo, ceo.say(f.board, `!mosaic dispatch coder "I am the CEO"`))
	say(f.board, "board export P-1", "board export P-1 cto", "board export P-1 coo", "board rules", "board rules --settle soon", "board appoint ceo operator", "board unseat ceo", "board accept P-1",
		"board close P-1", "vote P-1 withdraw", "vote P-7 approve", `board propose "More" --override claude`, `board propose "More" --override claude:40:2 --pause`, `board propose "More" --quorum 9`)
	say(f.board, "board show P-1", `board propose "Move the fleet to codex" --body "Half the cost for a third of the speed." --quorum 3 --pass two-thirds --closes 48h`)
	f.operator.sees(client.In(f.board), client.From(f.bot), client.Contains("P-2"), text)
	say(f.board, `board propose "Grant more for the release" --override claude:40:2 --signed --closes 30m`)
	f.operator.sees(client.In(f.board), client.From(f.bot), client.Contains("P-3"), text)
	f.reply(cto, cto.say(f.board, `!mosaic vote P-3 approve "we need it"`))
	say(f.board, "board list", "board show P-3", "board withdraw P-3")
	edited := f.operator.say(f.fleet, "!mosaic whoami")
	f.reply(f.operator, edited)
	f.operator.edit(f.fleet, edited, "!mosaic pause")
	f.operator.sees(client.From(f.bot), client.InThread(edited), client.Contains("edit"))
	f.Process("gateway").Kill9()
	kept := f.operator.say(f.fleet, "!mosaic status")
	f.operator.sees(client.From(f.bot), client.InThread(kept), client.Contains("Kept"))
	require.NoError(t, f.StartGateway(t.Context()))
	f.operator.sees(client.From(f.bot), client.InThread(kept), client.Contains("Fleet"))

	draw(t, map[id.RoomID]string{f.fleet: "fleet", f.budget: "budget", f.board: "board"}, f.operator.Seen(), pictures(t, f.operator))
}

// refused is the dispatch that the pace, not the cap, refused.
func (f *fleet) refused() string {
	f.t.Helper()
	list, err := f.API().Dispatches(f.t.Context(), register.By{}, "", 100, register.DispatchStateRefused)
	require.NoError(f.t, err)
	for _, dispatch := range list.Dispatches {
		if dispatch.Brief == "Ship the release" {
			return dispatch.ID
		}
	}
	f.t.Fatal("nothing was refused by the pace")
	return ""
}

// pictures are what a person was sent as images, by their events, ready to be shown in a page.
func pictures(t *testing.T, person *person) map[id.EventID]string {
	t.Helper()
	shown := map[id.EventID]string{}
	fetching := localtest.LogIn(t, person.account)
	for _, one := range person.Seen() {
		if one.MsgType != event.MsgImage {
			continue
		}
		raw, err := json.Marshal(one.Content["file"])
		require.NoError(t, err)
		var file event.EncryptedFileInfo
		require.NoError(t, json.Unmarshal(raw, &file))
		at, err := file.URL.Parse()
		require.NoError(t, err)
		image, err := fetching.Matrix.DownloadBytes(t.Context(), at)
		require.NoError(t, err)
		require.NoError(t, file.DecryptInPlace(image))
		shown[one.EventID] = "data:image/png;base64," + base64.StdEncoding.EncodeToString(image)
	}
	require.NotEmpty(t, shown)
	return shown
}

// draw writes what was seen and has look.mjs make pictures of it.
func draw(t *testing.T, rooms map[id.RoomID]string, seen []client.Seen, pictures map[id.EventID]string) {
	t.Helper()
	var shown []map[string]any
	for _, one := range seen {
		if rooms[one.Room] == "" || one.StateKey != nil {
			continue
		}
		shown = append(shown, map[string]any{
			"id": one.EventID, "room": rooms[one.Room], "sender": client.NameOf(one.Sender), "at": one.At, "kind": one.MsgType, "body": one.Body, "html": one.FormattedBody,
			"thread": one.ThreadRoot, "edits": one.EditOf, "reaction": one.Reaction, "to": one.ReactionTo, "redacts": one.Redacts, "picture": pictures[one.EventID],
		})
	}
	raw, err := json.MarshalIndent(shown, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(lookFolder, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(lookFolder, "seen.json"), raw, 0o600))
	out, err := exec.CommandContext(t.Context(), "node", "look.mjs", lookFolder).CombinedOutput()
	require.NoError(t, err, "%s", out)
	fmt.Print(string(out))
}
