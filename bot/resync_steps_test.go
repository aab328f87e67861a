package bot

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAfterATooLongAbsenceTheNewestTextOfAWindowIsItsStep(t *testing.T) {
	t.Parallel()
	b := setup(t)
	process := b.processInRoomFor(t, register.RoomPurposeBudget)
	b.used(t, 270)
	first := b.heardFromBot(t, "normal → downgrade", original)
	b.quiet(t)
	terminate(t, process)

	b.used(t, 0)
	b.fleet.exec(t, dwellOver)
	require.Eventually(t, func() bool { return b.fleet.step(t) == register.StepNormal }, patience, tick)
	b.fleet.forgetEvents(t)
	process = b.process(t)
	eased := b.heardFromBot(t, "claude: now normal", client.Edits(first.EventID))
	require.Empty(t, eased.Mentions)
	b.quiet(t)
	terminate(t, process)

	b.used(t, 500)
	b.fleet.forgetEvents(t)
	b.start(t)
	rung := b.heardFromBot(t, "claude: now refuse", original)
	require.Equal(t, event.MsgText, rung.MsgType, "what refuses and has rung nobody rings")
	require.Equal(t, []id.UserID{b.ada.UserID}, rung.Mentions)
	b.used(t, 270)
	b.fleet.exec(t, dwellOver)
	b.heardFromBot(t, "refuse → downgrade", client.Edits(rung.EventID)) // it is edited as any other
}

func TestTheMessageOfAStepIsEditedHoweverOldItIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.inRoomFor(t, register.RoomPurposeBudget)
	b.used(t, 270)
	first := b.heardFromBot(t, "normal → downgrade", original)
	b.quiet(t)
	require.NoError(t, running.outbox.forget(t.Context(), time.Now().Add(time.Hour)))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM outbox WHERE ref LIKE 'window:%'`))
	b.used(t, 100)
	b.fleet.exec(t, dwellOver)
	b.heardFromBot(t, "downgrade → normal", client.Edits(first.EventID))
}

// step is the step of claude's window.
func (f *fleet) step(t *testing.T) register.Step {
	t.Helper()
	status, err := f.admin.Budgets(t.Context(), register.By{}, "claude")
	require.NoError(t, err)
	return status.Windows[0].Step
}
