package bot

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// spoken counts the messages of the bot in the room, edits aside, that hold a text.
func (b *bench) spoken(text string) int {
	count := 0
	for _, seen := range b.ada.Seen() {
		if seen.Room == b.room && original(seen) && seen.ThreadRoot == "" && strings.Contains(seen.Body, text) {
			count++
		}
	}
	return count
}

func TestWhatLiftsABudgetAndHowWorkIsRoutedIsToldExactlyOnceAndRingsNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	process := b.processInRoomFor(t, register.RoomPurposeBudget)

	b.fleet.send(t, b.fleet.admin, register.GrantOverride(register.OverrideRequest{
		Provider: "claude", Micros: 40_000_000, Lifts: register.LiftPace, ExpiresAt: time.Now().Add(30 * time.Minute), Reason: "The audit",
	}), nil)
	b.fleet.send(t, b.fleet.admin, register.RevokeOverride("O-1", "It is done"), nil)
	b.fleet.send(t, b.fleet.admin, register.SetPolicy(register.PolicyRequest{Route: register.RouteDrain}), nil)
	told := []string{"root lifted the pace of claude by 40 credits", "O-1 has ended", "root changed how work is routed"}
	for _, text := range told {
		seen := b.heardFromBot(t, text, original)
		require.Equal(t, event.MsgNotice, seen.MsgType)
		require.Empty(t, seen.Mentions)
	}
	granted := b.heardFromBot(t, told[0], original)
	require.Contains(t, granted.Body, "Holds until")
	require.Contains(t, granted.Body, "Why: The audit")

	b.quiet(t)
	terminate(t, process)
	_, err := b.bots(t).Exec(t.Context(), `UPDATE position SET seq = 0`)
	require.NoError(t, err)
	b.start(t)
	b.fleet.send(t, b.fleet.admin, register.SetPolicy(register.PolicyRequest{Route: register.RoutePace}), nil)
	b.heardFromBot(t, "Work goes where the most is left", original)
	b.quiet(t)
	require.Equal(t, 1, b.spoken(told[0]))
	require.Equal(t, 1, b.spoken(told[1]))
	require.Equal(t, 2, b.spoken(told[2]), "there were two changes of the policy")
}

func TestAQuietBudgetRoomIsNotToldWhatLiftsIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.inRoomFor(t, register.RoomPurposeBudget)
	b.answered(t, b.say(t, "!mosaic room verbosity low"), "only refusals")
	b.fleet.send(t, b.fleet.admin, register.SetPolicy(register.PolicyRequest{Route: register.RouteDrain}), nil)
	b.used(t, 500)
	b.heardFromBot(t, "→ refuse", original)
	require.Zero(t, b.spoken("changed how work is routed"))
}
