package bot

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// forgetEvents raises the floor of the log over all that happened, as its retention does in time.
func (f *fleet) forgetEvents(t *testing.T) {
	t.Helper()
	database, err := pgx.Connect(t.Context(), f.Database.Gateway)
	require.NoError(t, err)
	defer func() { _ = database.Close(context.WithoutCancel(t.Context())) }()
	require.Eventually(t, func() bool { // what has no number yet would be told all the same
		var unnumbered int
		err := database.QueryRow(t.Context(), `SELECT count(*) FROM fleet.events WHERE seq IS NULL`).Scan(&unnumbered)
		return err == nil && unnumbered == 0
	}, patience, tick)
	_, err = database.Exec(t.Context(), `INSERT INTO fleet.retention (tenant_id, host, floor_seq, at)
		SELECT 'acme', 'alpha', value, now() FROM fleet.counters WHERE tenant_id = 'acme' AND name = 'event'
		ON CONFLICT (tenant_id) DO UPDATE SET floor_seq = excluded.floor_seq`)
	require.NoError(t, err)
}

// tellHead writes the event that a gateway writes once a day.
func (f *fleet) tellHead(t *testing.T, head string) {
	t.Helper()
	database, err := pgx.Connect(t.Context(), f.Database.Gateway)
	require.NoError(t, err)
	defer func() { _ = database.Close(context.WithoutCancel(t.Context())) }()
	_, err = database.Exec(t.Context(), `INSERT INTO fleet.events (tenant_id, host, type, at, actor, cause, payload)
		SELECT e ->> 'tenant_id', e ->> 'host', e ->> 'type', (e ->> 'at')::timestamptz, e ->> 'actor', '', e FROM (SELECT json_build_object(
			'type', 'audit.head', 'at', now(), 'tenant_id', 'acme', 'host', 'alpha', 'actor', 'gateway',
			'audit', json_build_object('tenant_id', 'acme', 'head', $1::text, 'unsealed', 0)) AS e) AS one`, head)
	require.NoError(t, err)
}

func TestABotThatWasAwayForTooLongShowsWhatStandsAndSaysWhatIsLost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.options.CreateRooms = true
	b.fleet.identify(t, "ada", b.ada.UserID.String(), register.FleetRoleOperator, register.FleetRoleBoard)
	b.fleet.seat(t, "cto", "ada")
	running := b.process(t)
	b.room = b.bound(t, register.RoomPurposeFleet)
	board := b.bound(t, register.RoomPurposeBoard)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, b.ada.UserID))
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), board, b.ada.UserID))
	boat := b.fleet.propose(t, "Buy a bigger boat")
	shown, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(board), client.Contains("bigger boat"))
	require.NoError(t, err)
	asked := b.say(t, "!mosaic dispatch coder \"write a poem\"")
	b.answered(t, asked, "D-1")
	var claim register.Claim
	b.fleet.send(t, b.fleet.worker, register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}), &claim)
	b.answered(t, asked, "running")
	b.quiet(t)
	terminate(t, running)

	b.fleet.send(t, b.fleet.worker, register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{
		Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Unmetered: "x", Result: register.Result{Summary: "all green"},
	}), nil)
	require.NoError(t, b.fleet.admin.Send(t.Context(), register.By{Key: rand.Text(), Actor: "ada"},
		register.CastVote(boat.ID, "cto", register.VoteRequest{Verdict: register.VerdictApprove}), nil))
	b.fleet.propose(t, "Sell the boat")
	b.fleet.forgetEvents(t)

	b.process(t)
	lost, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(b.room), client.Contains("I was away for too long"))
	require.NoError(t, err)
	require.Empty(t, lost.Mentions)
	b.answered(t, asked, "all green")
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.In(board), client.Contains("Sell the boat"))
	require.NoError(t, err)
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.In(board), client.Contains(boat.ID+" passed"))
	require.NoError(t, err)
	_, err = b.ada.WaitFor(soon(t), client.Edits(shown.EventID), client.Contains("passed"))
	require.NoError(t, err)

	again := b.say(t, "!mosaic dispatch coder \"another\"")
	b.answered(t, again, "D-2")
	b.fleet.run(t)
	b.answered(t, again, "all green") // it follows the log again
	b.quiet(t)
	require.Len(t, b.replies(asked), 3, "nothing is said twice: the reply, running, done")
}

func TestTheBoardIsToldTheAuditsHeadWithoutRinging(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.options.CreateRooms = true
	b.fleet.identify(t, "ada", b.ada.UserID.String(), register.FleetRoleOperator, register.FleetRoleBoard)
	b.fleet.seat(t, "cto", "ada")
	b.start(t)
	board := b.bound(t, register.RoomPurposeBoard)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), board, b.ada.UserID))
	head := "41:" + strings.Repeat("5f", 32)
	b.fleet.tellHead(t, head)
	told, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(board), client.Contains("audit verify --head "+head))
	require.NoError(t, err)
	require.Equal(t, event.MsgNotice, told.MsgType)
	require.Empty(t, told.Mentions)
}
