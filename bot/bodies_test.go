package bot

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// body is a message as a client sends it. Its shape comes from that client's source, which it names; {bot}, {name} (of the bot, without its
// sigil), {sender} and {first} (an event) stand for what a room has of its own.
type body struct {
	Client  string          `json:"client"`
	From    string          `json:"from"`
	Content json.RawMessage `json:"content"`
	Answer  string          `json:"answer"`
	Brief   string          `json:"brief"` // of the dispatch it makes, if it makes one
	Thread  bool            `json:"thread"`
}

// The bodies are written by hand after what `from` names, none is a capture; where a client's source could not be read in its newest
// version, they follow an older one or what the specification has clients send. What Element's editor really makes is tried in deploy/foreign.
func TestBodiesOfKnownClientsAreUnderstood(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("testdata", "bodies.json"))
	require.NoError(t, err)
	var bodies []body
	require.NoError(t, json.Unmarshal(raw, &bodies))
	b := setup(t)
	b.start(t)
	b.talk(t)
	b.bind(t, b.room, register.RoomPurposeFleet)
	b.answered(t, b.say(t, "!mosaic status"), "")
	first := b.say(t, "hello\nthere")
	fill := strings.NewReplacer("{bot}", b.options.UserID, "{name}", b.options.UserID[1:], "{sender}", b.ada.UserID.String(), "{first}", first.String())
	for _, sent := range bodies {
		t.Log(sent.Client)
		require.NotEmpty(t, sent.From, "each says where its shape comes from")
		var content map[string]any
		require.NoError(t, json.Unmarshal([]byte(fill.Replace(string(sent.Content))), &content))
		asked, err := b.ada.SayRaw(t.Context(), b.room, event.EventMessage, content)
		require.NoError(t, err)
		if sent.Thread {
			b.signed(t, asked, "✅")
			asked = first
		}
		b.answered(t, asked, sent.Answer)
		if sent.Brief != "" {
			require.Equal(t, sent.Brief, b.fleet.listDispatches(t)[0].Brief)
		}
	}
}
