package commands

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAPhonesTypingParsesAsMeant(t *testing.T) {
	t.Parallel()
	meant := understood(t, "budget set --provider claude --limit 2M --unit tokens --reset-at 2026-11-27T17:00:00+01:00 --used 300k")
	for _, phone := range []string{
		"Budget Set --Provider Claude --Limit 2M --Unit Tokens --Reset-At Fri 17:00 --Used 300k",
		"budget set —provider claude —limit 2M —unit tokens —reset-at fri 17:00 —used 300k",
		"Budget set –provider claude –limit 2M –unit tokens –reset–at fri 17:00 –used 300k.",
		"budget set — provider claude — limit 2M — unit tokens — reset-at fri 17:00 — used 300k",
		"budget set —-provider claude -limit 2M −−unit tokens ‑‑reset‑at fri 17:00 --used 300k",
		"budget\u00a0set\u00a0--provider\u00a0claude --limit\u202f2M --unit\u3000tokens --reset-at fri\u00a017:00 --used 300k",
		"\u200bbudget set\u200b --provider cl\u00adaude --limit 2M\u200d --unit tokens --reset-at fri 17:00 --used 300k\ufeff",
		"budget set provider=claude limit=2M unit=tokens reset-at=fri 17:00 used=300k",
		"Budget set Provider=Claude, Limit=2M, Unit=Tokens, Reset-At=Fri 17:00, Used=300k.",
		"budget set provider: claude limit: 2M unit: tokens reset-at: fri 17:00 used: 300k",
		"budget set provider = claude limit = 2M unit =tokens resetat= fri 17:00 used= 300k",
		"budget set --provider=claude --limit=2M --unit=tokens --reset_at=fri 17:00 --used=300k",
		"budget set --provider: claude --limit: 2M --unit: tokens --resetat: fri 17:00 --used: 300k",
		`budget set --provider “claude” --limit „2M“ --unit «tokens» --reset-at ‘fri 17:00’ --used 「300k」`,
		`budget set --provider "claude" --limit '2M' --unit="tokens" --reset-at="fri 17:00" used=”300k”`,
		"budget set\n--provider claude\n--limit 2M\n--unit tokens\n--reset-at fri 17:00\n--used 300k",
		"budget set. --provider claude --limit 2M --unit tokens --reset-at friday at 5pm --used 300k",
	} {
		call := understood(t, phone)
		call.Said = meant.Said // what was said may differ, what is meant may not
		require.Equal(t, meant, call, phone)
	}
}

func TestWhatStandsInQuotesIsNeverAFlag(t *testing.T) {
	t.Parallel()
	require.Equal(t, "--provider, --limit and --unit are missing.", misunderstood(t, "budget set “--provider” claude").Problem)
}

func TestABriefIsKeptAsItWasTyped(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string]string{
		`dispatch coder "Fix it"`: "Fix it",
		`Dispatch coder “Fix the parser — it’s slow” —estimate 4`:          "Fix the parser — it’s slow",
		`dispatch coder „Räum auf – gründlich“`:                            "Räum auf – gründlich",
		`dispatch coder «Réparer l’analyseur»`:                             "Réparer l’analyseur",
		`dispatch coder »Ryd op«`:                                          "Ryd op",
		`dispatch coder ”Städa”`:                                           "Städa",
		`dispatch coder 「片付け」`:                                             "片付け",
		`dispatch coder 'Fix it'`:                                          "Fix it",
		"dispatch coder `Fix it`":                                          "Fix it",
		`dispatch coder "Say “hello — world” twice" --exact`:               "Say “hello — world” twice",
		`dispatch coder “Say “hello” now”`:                                 "Say “hello” now",
		`dispatch coder "Say \"hello\""`:                                   `Say "hello"`,
		`dispatch coder "Fix it".`:                                         "Fix it",
		`dispatch coder "limit=2M --exact"`:                                "limit=2M --exact",
		`dispatch coder "a  b	c"`:                                          "a  b	c",
		`dispatch coder Fix the parser.`:                                   "Fix the parser.",
		`dispatch coder Fix  the   parser`:                                 "Fix  the   parser",
		`dispatch coder Fix the parser — it is slow`:                       "Fix the parser — it is slow",
		`dispatch coder Fix the parser —it is slow`:                        "Fix the parser —it is slow",
		`dispatch coder Don't break the parser's 'tests'`:                  "Don't break the parser's 'tests'",
		`dispatch coder Say "hello" to Bob`:                                `Say "hello" to Bob`,
		`dispatch coder "hello" and "goodbye"`:                             `"hello" and "goodbye"`,
		`dispatch coder Mind the 5" pipe`:                                  `Mind the 5" pipe`,
		`dispatch coder Fix the model: opus is slow`:                       "Fix the model: opus is slow",
		`dispatch coder Set estimate=4 in the config`:                      "Set estimate=4 in the config",
		`dispatch coder Fix it estimate=4 deadline=+2h`:                    "Fix it",
		`dispatch coder Fix --estimate 4 it`:                               "Fix it",
		`dispatch coder deadline=fri 17:00, estimate=4, Fix it`:            "Fix it",
		`dispatch coder --deadline fri 17:00 Fix it`:                       "Fix it",
		`dispatch coder - one - two -three`:                                "- one - two -three",
		"dispatch coder Fix this:\n  - one — two\n\n  - “three\n":          "Fix this:\n  - one — two\n\n  - “three",
		"dispatch coder --estimate 4\nFix it.\nIt’s slow — very.":          "Fix it.\nIt’s slow — very.",
		"dispatch coder\n--estimate 4\nFix it":                             "Fix it",
		"dispatch coder \"Fix it.\n\n--exact is not a flag here\" --exact": "Fix it.\n\n--exact is not a flag here",
		"dispatch coder \"Fix it\"\nand more":                              "\"Fix it\"\nand more",
		"dispatch coder --estimate 4\n```go\nfunc main() {\n}\n```":        "func main() {\n}",
		"dispatch coder ```\n--exact\n``` --estimate 4":                    "--exact",
		"dispatch coder ```one line```":                                    "one line",
		"dispatch coder Fix this\n```\nx := 1\n```":                        "Fix this\n```\nx := 1\n```",
		"dispatch coder “Fix it” 👍":                                        "“Fix it” 👍",
		"dispatch coder Fix\u00a0it\u200b now":                             "Fix\u00a0it\u200b now",
	} {
		call := understood(t, asked)
		var body register.DispatchRequest
		require.NoError(t, json.Unmarshal(call.Mutation.Body, &body))
		require.Equal(t, want, body.Brief, asked)
		require.Equal(t, "coder", body.Role, asked)
	}
}

func TestFlagsAroundABriefAreFlags(t *testing.T) {
	t.Parallel()
	for _, asked := range []string{
		`dispatch coder "Fix it" --estimate 4 --exact`,
		`dispatch --estimate 4 --exact coder "Fix it"`,
		`dispatch coder --exact “Fix it” estimate=4`,
		`dispatch coder “Fix it” —Exact —Estimate: 4`,
		`dispatch coder “Fix it” estimate: 4, exact=true.`,
		"dispatch coder --exact --estimate 4\nFix it",
		"dispatch coder \"Fix it\"\n--exact\n--estimate 4",
		"dispatch coder Fix it estimate=4 --exact",
	} {
		var body register.DispatchRequest
		require.NoError(t, json.Unmarshal(understood(t, asked).Mutation.Body, &body), asked)
		require.Equal(t, "Fix it", body.Brief, asked)
		require.True(t, body.Exact, asked)
		require.Equal(t, []register.EstimateAmount{{Micros: 4_000_000}}, body.Estimate, asked)
	}
}

func TestAShellsWordsAreTakenToTheLetter(t *testing.T) {
	t.Parallel()
	call, err := Prepare(Asked{At: monday, Words: []string{"dispatch", "coder", "—it’s", "limit=2M", "--estimate", "4", "--", "--exact"}})
	require.NoError(t, err)
	require.JSONEq(t, `{"role":"coder","brief":"—it’s limit=2M --exact","estimate":[{"micros":4000000}],"origin":{"transport":""}}`, withOrigin(t, call))
	_, err = Prepare(Asked{At: monday, Words: []string{"budget", "status", "-provider"}})
	require.ErrorContains(t, err, "-provider is not a flag here.")
}

// withOrigin is a dispatch's body with an origin, which is left out where it is empty.
func withOrigin(t *testing.T, call Call) string {
	t.Helper()
	var body map[string]any
	require.NoError(t, json.Unmarshal(call.Mutation.Body, &body))
	body["origin"] = map[string]any{"transport": ""}
	text, err := json.Marshal(body)
	require.NoError(t, err)
	return string(text)
}

func TestIDsAreReadAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	for _, asked := range []string{"show D-12", "show d-12", "show D‑12.", "show d12", "show #12", "Show D—12", "show 12:"} {
		require.JSONEq(t, `"D-12"`, string(understood(t, asked).Arguments), asked)
	}
	for _, asked := range []string{"vote P-7 approve", "Vote p7 Yes.", "vote 7 ✅", "vote P–7: 👍", "board vote p-7 approved"} {
		call := understood(t, asked)
		require.Equal(t, "/api/fleet/proposals/P-7/votes/%7Bseat%7D", call.Mutation.Path, asked)
		require.JSONEq(t, `{"verdict":"approve","event_id":"$event","signed":true}`, string(call.Mutation.Body), asked)
	}
}

func TestATitleOfSeveralLinesIsATitleAndABody(t *testing.T) {
	t.Parallel()
	call := understood(t, "board propose Run it now —for D-12\nIt cannot wait — really.\n\nThe audit is due.")
	require.JSONEq(t, `{"title":"Run it now","body":"It cannot wait — really.\n\nThe audit is due.","action":{"kind":"override","dispatch":"D-12"},
		"origin":{"transport":"matrix","room":"!room","event":"$event"}}`, string(call.Mutation.Body))
	call = understood(t, `board propose “Run it now” —closes 24h —pass two–thirds —quorum 3 —body it cannot wait`)
	require.JSONEq(t, `{"title":"Run it now","body":"it cannot wait","closes_at":"2026-11-24T09:00:00Z","pass":"two-thirds","quorum":3,
		"origin":{"transport":"matrix","room":"!room","event":"$event"}}`, string(call.Mutation.Body))
}

func TestATextFullOfOpenQuotesIsReadAtOnce(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	for _, piece := range []string{`"a `, "“a ", "a=\"b ", "«", "``` ", "'a ", "@room "} {
		_, _ = Prepare(typed(t, "dispatch coder Fix "+strings.Repeat(piece, 200_000/len(piece))))
		misunderstood(t, strings.Repeat(piece, 200_000/len(piece)))
	}
	require.Less(t, time.Since(begun), time.Minute)
}
