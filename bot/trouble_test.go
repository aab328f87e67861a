package bot

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// answering has the gateway answer everything with one status.
func answering(status int) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"message": "` + http.StatusText(status) + `"}`))
		return true
	}
}

// adminRoom is a room with ada and the bot, bound for admins.
func (b *bench) adminRoom(t *testing.T) id.RoomID {
	t.Helper()
	us := id.UserID(b.options.UserID)
	room, err := b.ada.CreateRoom(t.Context(), client.Room{Name: "admins", Invite: []id.UserID{us, b.third(t)}})
	require.NoError(t, err)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, us))
	b.bind(t, room, register.RoomPurposeAdmin)
	return room
}

// alerts are the messages of the bot in a room that hold text.
func (b *bench) alerts(room id.RoomID, text string) int {
	found := 0
	for _, seen := range b.ada.Seen() {
		if seen.Room == room && seen.Sender == id.UserID(b.options.UserID) && strings.Contains(seen.Body, text) {
			found++
		}
	}
	return found
}

func TestAGatewayThatRefusesTheBotKeepsTheCommandAndAlertsTheAdmins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	admins := b.adminRoom(t)
	require.Eventually(t, func() bool { return running.directory.bound(admins) }, patience, tick)

	for status, told := range map[int]string{http.StatusUnauthorized: "does not accept my token", http.StatusTooManyRequests: "takes no more requests"} {
		b.gateway.set(answering(status))
		asked := b.say(t, "!mosaic dispatch coder \"under trouble\"")
		b.answered(t, asked, told)
		_, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(admins), client.Contains(told))
		require.NoError(t, err)
		b.gateway.set(nil)
		b.answered(t, asked, "ready")
		require.Eventually(t, func() bool { return b.alerts(admins, "takes my requests again") > 0 }, patience, tick)
		b.quiet(t)
		require.Equal(t, 1, b.alerts(admins, told), "it is told once")
		require.Len(t, b.replies(asked), 2, "kept, then carried out")
	}
	require.Len(t, b.fleet.listDispatches(t), 2)
}

func TestAGatewayThatIsGoneWhenTheBotStartsIsToldWhereTheAdminsWere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.options.AlertAfter = 2 * time.Second
	first := b.process(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	admins := b.adminRoom(t)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM binding WHERE room_id = $1 AND purposes = 'admin'`, admins) == 1
	}, patience, tick)
	require.NoError(t, first.Process.Kill())
	_, _ = first.Process.Wait()

	b.gateway.set(unavailable)
	b.start(t)
	_, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(admins), client.Contains("gateway cannot be reached"), client.Contains("mosaic-matrix gateway"))
	require.NoError(t, err)
	b.gateway.set(nil)
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.In(admins), client.Contains("takes my requests again"))
	require.NoError(t, err)
}
