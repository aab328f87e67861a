package commands

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// completes has coder-1 run the oldest ready dispatch to its end.
func (b *bundle) completes(t *testing.T, end register.CompleteRequest) {
	t.Helper()
	var claim register.Claim
	b.send(t, register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}), &claim)
	end.Claim, end.Unmetered = claim.ID, "a test"
	b.send(t, register.CompleteDispatch(claim.Dispatch.ID, end), nil)
}

func TestTheOutputOfARunIsTheWholeOfItOrASentenceThatSaysWhyThereIsNone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.says(t, "olga", `dispatch coder "talk for an hour"`)
	none := b.answered(t, "vera", "output D-1", MoodRefused, "D-1 has no output yet: it is ready.", "show D-1")
	require.Empty(t, none.File.Text)

	whole := strings.Repeat("a line of <b>output</b>\n", 2000) + "the last line"
	b.completes(t, register.CompleteRequest{Outcome: register.CompleteRequestOutcomeDone, Result: register.Result{Summary: "the last line"}, Output: whole})
	reply := b.answered(t, "vera", "output d1", MoodDone, "D-1-result.txt", "D-1 done · coder: talk for an hour")
	require.Equal(t, File{Name: "D-1-result.txt", Text: whole + "\n"}, reply.File)
	require.Equal(t, register.Output{Dispatch: "D-1", Text: whole}, reply.Data)

	b.says(t, "olga", `dispatch coder "say a word"`)
	b.completes(t, register.CompleteRequest{Outcome: register.CompleteRequestOutcomeDone, Result: register.Result{Summary: "a word"}})
	reply = b.answered(t, "vera", "output D-2", MoodDone)
	require.Equal(t, "a word\n", reply.File.Text, "a short result is all there is")

	b.says(t, "olga", `dispatch coder "say nothing"`)
	b.completes(t, register.CompleteRequest{Outcome: register.CompleteRequestOutcomeFailed})
	b.answered(t, "vera", "output D-3", MoodRefused, "D-3 (failed) has no output.", "show D-3")
	b.says(t, "olga", `dispatch coder "never mind"`)
	b.says(t, "olga", "cancel D-4 --yes")
	b.answered(t, "vera", "output D-4", MoodRefused, "D-4 (cancelled) has no output.")
	b.answered(t, "vera", "output D-99", MoodRefused, "There is no dispatch D-99.")

	require.Equal(t, "The dispatch is missing; write one such as D-12.", misunderstood(t, "output").Problem)
	require.Equal(t, `"P-7" is not the ID of a dispatch, such as D-12.`, misunderstood(t, "output P-7").Problem)
}
