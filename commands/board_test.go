package commands

import (
	"crypto/rand"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestEveryBadInputOfTheBoardIsOneClearSentenceWithAnExampleThatWorks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, role := range map[string]register.FleetRole{"anna": register.FleetRoleAdmin, "dora": register.FleetRoleBoard} {
		b.send(t, register.PutIdentity(name, register.IdentityRequest{Kind: register.IdentityRequestKindHuman, MatrixID: "@" + name + ":localhost", Roles: []register.FleetRole{role}}), nil)
	}
	b.answered(t, "olga", `board propose "Move the fleet"`, MoodDone, "P-1 is open")
	b.answered(t, "olga", `board propose "Over soon"`, MoodDone, "P-2 is open")
	b.answered(t, "olga", "board withdraw P-2", MoodDone, "P-2 is withdrawn")
	b.send(t, register.PutBoard(register.BoardRequest{SeveralSeats: new(false)}), nil)
	for _, one := range []struct{ what, who, typed, says string }{
		{"not seated", "dora", "vote P-1 approve", "You hold no seat on P-1; it is voted on by ceo, cfo and cto."},
		{"closed", "ada", "vote P-2 approve", "P-2 is withdrawn; votes no longer change it."},
		{"an action the proposer may not ask for", "ada", `board propose "Stop" --pause`, "ada may not ask the board for a pause; that takes the role operator or admin."},
		{"two seats held by one person", "anna", "board appoint coo ada --yes", "ada already votes for the seat ceo, and one person has one vote."},
		{"a quorum larger than the board", "olga", `board propose "Do it" --quorum 9`, "A quorum of 9 is larger than the board, which has 3 seats."},
		{"no such proposal", "ada", "vote P-9 approve", "There is no proposal P-9."},
		{"conditions that are another's to accept", "ben", "board accept P-1", "ben may not accept conditions for P-1; olga may."},
		{"an override of what was not refused", "olga", `board propose "Lift it" --for D-9`, "There is no dispatch D-9."},
		{"an override of a window there is not", "olga", `board propose "More" --override claude:40`, "There is no budget window main of claude."},
	} {
		t.Run(one.what, func(t *testing.T) {
			reply := b.answered(t, one.who, one.typed, MoodRefused, "Not done. ", one.says)
			require.Regexp(t, regexp.MustCompile("Example: `!mosaic [^`]+`"), reply.Markdown)
			require.LessOrEqual(t, len(reply.Data.(Refusal).Detail), 200)
			_, err := Prepare(typed(t, reply.Data.(Refusal).Command))
			require.NoError(t, err)
		})
	}
	failure := misunderstood(t, "vote P-1 conditional")
	require.Equal(t, `A conditional vote needs its condition as a reason, such as conditional "after the freeze".`, failure.Problem)
	require.Equal(t, `vote P-1 conditional "after the freeze"`, failure.Example)
	outside := OutsideBoard()
	require.Equal(t, MoodRefused, outside.Mood)
	require.Contains(t, Plain(outside.Markdown), "This room is not bound for the board")
	require.Contains(t, Plain(outside.Markdown), "Example: !mosaic room bind board")
	by := register.By{Actor: "@ada:localhost", Key: rand.Text()}
	none, err := Run(t.Context(), b.bot, by, understood(t, "board show P-1"))
	require.NoError(t, err)
	require.Empty(t, none.Data.(register.Proposal).Votes, "nothing of it voted")
}
