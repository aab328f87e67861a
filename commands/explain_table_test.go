package commands

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestATableSaysWhatEachTryNeededAndWhatRoomThereWas(t *testing.T) {
	t.Parallel()
	try := func(model, subscription string, verdict register.RoutingAttemptVerdict, need, room int64, change ...func(*register.RoutingAttempt)) register.RoutingAttempt {
		a := register.RoutingAttempt{
			Model: model, Provider: "claude", Subscription: subscription, Verdict: verdict, Window: "main", Reason: "x.",
			Estimate: register.Amount{Unit: register.UnitCredits, Micros: need * credit}, RoomMicros: new(room * credit), EarliestStart: monday,
		}
		for _, alter := range change {
			alter(&a)
		}
		return a
	}
	d := asked(func(d *register.Dispatch) {
		d.CreatedAt, d.State, d.Model = monday, register.DispatchStateReady, "haiku"
		d.Attempts = []register.RoutingAttempt{
			try("opus", "claude", register.RoutingAttemptVerdictOverPace, 10, -2, func(a *register.RoutingAttempt) { a.EarliestStart = monday.Add(30 * time.Minute) }),
			try("opus", "team-a", register.RoutingAttemptVerdictLineAhead, 10, 40, func(a *register.RoutingAttempt) {
				a.Ahead, a.AheadMicros, a.EarliestStart = 2, 12*credit, monday.Add(2*time.Hour)
			}),
			try("sonnet", "claude", register.RoutingAttemptVerdictOverCap, 600, 400, func(a *register.RoutingAttempt) { a.EarliestStart = time.Time{} }),
			try("haiku", "claude", register.RoutingAttemptVerdictAdmitted, 2, 8, func(a *register.RoutingAttempt) { a.Headroom = 1.32 }),
			{Model: "gpt-5.5", Provider: "codex", Verdict: register.RoutingAttemptVerdictNoSubscription, Reason: "No budget window is set for codex."},
		}
	})
	text := Plain(explainText(d, monday, berlin(t)))
	require.Contains(t, text, strings.Join([]string{
		"credits       needs room left ahead start",
		"✗ opus           10    0              30m",
		"✗ opus team-a    10   40      2: 12    2h",
		"✗ sonnet        600  400            never",
		"✓ haiku           2    8 1.3x         now",
	}, "\n"))
	require.Contains(t, text, "- ✗ gpt-5.5 on codex: no subscription. No budget window is set for codex.", "what has no numbers is told in words")
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "✗") || strings.HasPrefix(line, "✓") {
			require.LessOrEqual(t, utf8.RuneCountInString(line), 44, "a line of the table fits a phone")
		}
	}
	d.Attempts = append(d.Attempts[:2:2], try("gpt-5.5", "team-a", register.RoutingAttemptVerdictOverPace, 180, 0, func(a *register.RoutingAttempt) {
		a.Provider, a.Estimate.Unit, a.EarliestStart = "codex", register.UnitTokens, monday.Add(77*time.Minute)
	}))
	require.Contains(t, Plain(explainText(d, monday, berlin(t))), strings.Join([]string{
		"                   needs room ahead start",
		"✗ opus             10 cr    0         30m",
		"✗ opus team-a      10 cr   40 2: 12    2h",
		"✗ gpt-5.5 team-a 180 tok    0       1h17m",
	}, "\n"))
	d.Attempts = d.Attempts[:1]
	require.NotContains(t, explainText(d, monday, berlin(t)), fence, "one try is said in words alone")
}
