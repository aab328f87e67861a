package bot

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestShortFormsAreCommandsInTheFleetsRoomsOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	var strange []id.EventID
	short := map[string]string{
		"!status": "Fleet", "!budget status": "claude", "!board list": "No proposal", "!vote P-9 approve": "P-9", `!Dispatch coder “short”`: "D-1",
	}
	for line := range short {
		strange = append(strange, b.say(t, line))
	}
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	for _, event := range strange {
		require.Empty(t, b.replies(event), "in a room that is not the fleet's it may be another bot's")
		require.Empty(t, b.signs(event))
	}
	b.bind(t, b.room, register.RoomPurposeFleet, register.RoomPurposeBoard)
	require.Eventually(t, func() bool { return running.directory.bound(b.room) }, patience, tick)
	for line, want := range short {
		b.answered(t, b.say(t, line), want)
	}
	require.Len(t, b.fleet.listDispatches(t), 1)
}
