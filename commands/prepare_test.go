package commands

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

const (
	setUsage      = "budget set --provider P --limit N --unit U [--reset-at T] [--rolling D] [--every R] [--zone Z] [--hours H] [--subscription S] [--window NAME] [--scope WHOSE] [--model M] [--since T0] [--used N] [--floor N]"
	setExample    = "budget set --provider claude --limit 500 --unit credits --reset-at +5h"
	dispatchUsage = `dispatch ROLE "brief" [--model M] [--exact] [--estimate N] [--deadline T] [--finish-by T] [--takes D] [--context N] [--attempts 1-10] [--after D-3,D-4] [--priority 0-9] [--project NAME] [--mission NAME] [--class CLASS] [--dry-run]`
	timesAccepted = "; write +5h, +2d, 17:00, fri 17:00, tomorrow 9:00 or 2026-11-30 09:00, and a zone after it if you like, as in 17:00 Europe/Berlin."
)

func TestBadInputIsAnsweredWithWhatWasReadWhatIsAcceptedAndAnExample(t *testing.T) {
	t.Parallel()
	const set = "budget set --provider claude --limit 500 --unit credits "
	for asked, want := range map[string]struct{ problem, suggestion, usage, example string }{
		"budgt set --limit 5":             {`"budgt" is not a command.`, "budget set", setUsage, setExample},
		"budget stats":                    {`"budget stats" is not a command.`, "budget status", "budget status [SCOPE]", "budget status"},
		"budget frobnicate":               {`"budget frobnicate" is not a command.`, "", "budget set|status|reset|reading|explain|forecast|history|chart|simulate|policy|estimates|override|overrides|revoke", setExample},
		"stauts":                          {`"stauts" is not a command.`, "status", "status", "status"},
		"set --limit 5":                   {`"set" is not a command.`, "budget set", setUsage, setExample},
		"proposs":                         {`"proposs" is not a command.`, "board propose", "", ""},
		"d-12":                            {`"d-12" is not a command.`, "show D-12", "show D-12", "show D-12"},
		"frobnicate":                      {`"frobnicate" is not a command; help shows them all.`, "", "help [COMMAND]", "help"},
		set + "--reset-at +5h --flor 5":   {`--flor is not a flag here. Did you mean --floor?`, "", setUsage, setExample},
		set + "--reset-at +5h --colour 5": {`--colour is not a flag here.`, "", setUsage, setExample},
		"budget set --provider claude --limit 5x --unit credits --reset-at +5h": {
			`--limit: "5x" is not an amount, write digits with at most 6 decimals after a point and if you like k, M or G, such as 40k, 2M or 12.50.`, "", setUsage, setExample,
		},
		"budget set --provider claude --limit 12,5 --unit credits --reset-at +5h": {
			`--limit: "12,5" has a comma, write decimals with a point and thousands without separators, such as 12.50 or 40k.`, "", setUsage, setExample,
		},
		"budget set --provider claude --limit -5 --unit credits --reset-at +5h": {
			`--limit: "-5" is less than nothing; an amount has no sign, such as 500, 40k or 12.50.`, "", setUsage, setExample,
		},
		"budget set --provider claude --limit 500credits --unit credits --reset-at +5h": {
			`--limit: "500credits" has a unit; write the amount alone, such as 500, and the unit in its own place.`, "", setUsage, setExample,
		},
		"budget set --provider claude --limit 500 --unit crdits --reset-at +5h": {
			`--unit: "crdits" is not a unit; units are messages, tokens, dollars, credits, compute-minutes and percent. Did you mean credits?`, "", setUsage, setExample,
		},
		set + "--reset-at 25:99":            {`--reset-at: "25:99" is not a time` + timesAccepted, "", setUsage, setExample},
		set + "--reset-at 2026-02-30 09:00": {`--reset-at: "2026-02-30 09:00" is not a time` + timesAccepted, "", setUsage, setExample},
		set + "--reset-at 17:00 Europe/Berln": {
			`--reset-at: "Europe/Berln" is not a time zone; write one such as Europe/Berlin or UTC, as in 17:00 Europe/Berlin.`, "", setUsage, setExample,
		},
		set + "--reset-at 17:00 CET": {
			`--reset-at: "CET" is not a time zone; write one such as Europe/Berlin or UTC, as in 17:00 Europe/Berlin.`, "", setUsage, setExample,
		},
		set + "--reset-at":                  {`--reset-at needs a value: when it resets, such as +5h or fri 17:00.`, "", setUsage, setExample},
		set + "--rolling 5h --every week":   {`--rolling and --every exclude each other: a window opens with its first work, or it resets by the clock.`, "", setUsage, ""},
		set + "--rolling 30s":               {`--rolling: "30s" is not how long a window lasts, from 1m to 30d, such as 5h or 7d.`, "", setUsage, ""},
		set + "--every fortnight":           {`--every: "fortnight" is not a period, write hours, days, weeks or months, such as every 2 weeks.`, "", setUsage, ""},
		set + "--every week on moonday":     {`--every: "moonday" is not a weekday, write mon, tue, wed, thu, fri, sat or sun, such as on mon.`, "", setUsage, ""},
		set + "--every week at 25:00":       {`--every: "25:00" is not a time of day, write hours and minutes from 00:00 to 23:59, such as 09:00.`, "", setUsage, ""},
		set + "--every day --zone CET6":     {`--zone: "CET6" is not a time zone; write one such as Europe/Berlin or UTC.`, "", setUsage, ""},
		set + "--scope coder":               {`--scope: "coder" is not a scope, write subscription, or role, project or mission with a name, such as role:coder.`, "", setUsage, ""},
		set + "--hours noon":                {`--hours: "noon" is not working hours, write weekdays and a span, such as mon-fri 09:00-18:00 in Europe/Berlin.`, "", setUsage, ""},
		set + "--hours mon-fri 18:00-09:00": {`--hours: "18:00-09:00" ends before it begins, write a span within one day, such as 09:00-18:00.`, "", setUsage, ""},
		"budget reset --provider claude":    {`--reset-at is missing: when it resets, such as --reset-at fri 17:00.`, "", "budget reset --provider P [--reset-at T] [--zero] [--subscription S] [--window NAME]", "budget reset --provider claude --reset-at tomorrow 9:00"},
		"budget set":                        {`--provider, --limit and --unit are missing.`, "", setUsage, setExample},
		set + "--limit 4 --reset-at +5h":    {`--limit is given twice.`, "", setUsage, setExample},
		"budget status claude codex":        {`"codex" is one word too many.`, "", "budget status [SCOPE]", "budget status claude"},
		"dispatch":                          {`The role and the brief are missing.`, "", dispatchUsage, ""},
		"identity link ada":                 {`The Matrix ID is missing; write one such as @ada:example.org.`, "", "", ""},
		"dispatch coder":                    {`The brief is missing: what is to be done.`, "", dispatchUsage, ""},
		`dispatch coder "" --estimate 4`:    {`The brief is empty.`, "", dispatchUsage, ""},
		`dispatch code/r "Fix it"`:          {`The role: "code/r" is not a name; accepted are letters, digits, dots, dashes and underscores, at most 64, such as coder.`, "", dispatchUsage, ""},
		`dispatch coder "Fix it`:            {`A quote is opened before "Fix" and never closed.`, "", dispatchUsage, ""},
		"dispatch coder ```\nFix it":        {`A code block is opened and never closed.`, "", dispatchUsage, ""},
		"dispatch coder Fix the --foo":      {`--foo is not a flag here. If it belongs to the brief, put the brief in quotes.`, "", dispatchUsage, ""},
		"dispatch coder Fix —estimat 4":     {`--estimat is not a flag here. Did you mean --estimate? If it belongs to the brief, put the brief in quotes.`, "", dispatchUsage, ""},
		"dispatch coder Fix\n--estimate 4":  {`--estimate stands inside the brief; put it on the first line, or put the brief in quotes.`, "", dispatchUsage, ""},
		`dispatch coder "x" --priority 11`:  {`--priority: "11" is not a whole number from 0 to 9, such as 7.`, "", dispatchUsage, ""},
		`dispatch coder "x" --class hot`:    {`--class: "hot" is not one of strategic, technical and hotfix. Did you mean hotfix?`, "", dispatchUsage, ""},
		`dispatch coder "x" --estimate ten`: {
			`--estimate: "ten" is not an estimate; write an amount with or without its unit (messages, tokens, dollars, credits, compute-minutes or percent), such as 10, 10credits or 40ktokens.`, "", dispatchUsage, "",
		},
		"show":                 {`The dispatch is missing; write one such as D-12.`, "", "show D-12", "show D-12"},
		"show P-7":             {`"P-7" is not the ID of a dispatch, such as D-12.`, "", "show D-12", "show D-12"},
		"vote P-7 aprove":      {`The verdict: "aprove" is not one of approve, reject, conditional, abstain and withdraw. Did you mean approve?`, "", "", ""},
		"vote P-7 conditional": {`A conditional vote needs its condition as a reason, such as conditional "after the freeze".`, "", "", ""},
		"help budgt":           {`"budgt" is not a command. Did you mean budget status?`, "", "help [COMMAND]", "help"},
	} {
		failure := misunderstood(t, asked)
		require.Equal(t, want.problem, failure.Problem, asked)
		require.Equal(t, want.suggestion, failure.Suggestion, asked)
		if want.usage != "" {
			require.Equal(t, want.usage, failure.Usage, asked)
		}
		if want.example != "" {
			require.Equal(t, want.example, failure.Example, asked)
		}
		_, err := Prepare(typed(t, failure.Example))
		require.NoError(t, err, "the example given for %q", asked)
	}
}

func TestAUsageErrorReadsTheSameOnATerminalAndInARoom(t *testing.T) {
	t.Parallel()
	failure := misunderstood(t, "budget stats")
	require.Equal(t, "\"budget stats\" is not a command. Did you mean budget status?\nUsage: budget status [SCOPE]\nExample: budget status", failure.Error())
	require.Equal(t, "\"budget stats\" is not a command. Did you mean budget status?  \nUsage: `!mosaic budget status [SCOPE]`  \nExample: `!mosaic budget status`", failure.Markdown())
	require.Equal(t, strings.NewReplacer("Usage: ", "Usage: !mosaic ", "Example: ", "Example: !mosaic ").Replace(failure.Error()), Plain(failure.Markdown()))
}

func TestWhatHelpSaysIsUnderstood(t *testing.T) {
	t.Parallel()
	for _, c := range registry {
		require.NotEmpty(t, c.examples, c.name)
		for _, name := range c.names() {
			found, used := find(strings.Fields(name))
			require.Same(t, c, found, "%q is taken twice", name)
			require.Equal(t, len(strings.Fields(name)), used)
		}
		for _, example := range c.examples {
			call, err := Prepare(typed(t, example))
			require.NoError(t, err, example)
			require.Equal(t, c.name, call.Command)
			fromShell, err := Prepare(Asked{Words: shell(example), At: monday, Zone: berlin(t), Origin: typed(t, "").Origin})
			require.NoError(t, err, example)
			require.Equal(t, call, fromShell, "a shell's words and a typed line say the same")
			inRoom, ok := Addressed(prefix+example, "!mosaic", nil, false)
			require.True(t, ok)
			require.Equal(t, example, inRoom)
		}
	}
}

// shell splits as a shell would; the examples quote with double quotes only.
func shell(line string) []string {
	var words []string
	for i, piece := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words = append(words, piece)
			continue
		}
		words = append(words, strings.Fields(piece)...)
	}
	return words
}

func TestACallSurvivesBeingStored(t *testing.T) {
	t.Parallel()
	for _, c := range registry {
		call := understood(t, c.examples[0])
		stored, err := json.Marshal(call)
		require.NoError(t, err)
		var read Call
		require.NoError(t, json.Unmarshal(stored, &read))
		require.Equal(t, call, read)
		require.Equal(t, "Europe/Berlin", read.Zone)
	}
}

func TestRelativeTimesCountFromTheArrivalOfTheCommand(t *testing.T) {
	t.Parallel()
	var body register.BudgetSetRequest
	call := understood(t, "budget set --provider claude --limit 500 --unit credits --reset-at +5h")
	require.NoError(t, json.Unmarshal(call.Mutation.Body, &body))
	require.Equal(t, monday.Add(5*time.Hour), body.ResetAt)
	require.Equal(t, call, understood(t, "budget set --provider claude --limit 500 --unit credits --reset-at +5h"), "the same bytes each time")
}

func TestADispatchCarriesEverythingThatWasAsked(t *testing.T) {
	t.Parallel()
	call := understood(t, `dispatch coder "Fix it" --model Opus --exact --estimate "10 credits" --deadline +2h --priority 7 --project web --mission m1 --class hotfix --dry-run`)
	require.Equal(t, "POST", call.Mutation.Method)
	require.JSONEq(t, `{"role":"coder","brief":"Fix it","model":"opus","exact":true,"estimate":[{"unit":"credits","micros":10000000}],
		"deadline":"2026-11-23T11:00:00Z","priority":7,"project":"web","mission":"m1","brief_class":"hotfix","dry_run":true,
		"origin":{"transport":"matrix","room":"!room","event":"$event"}}`, string(call.Mutation.Body))
}

func TestAnEstimateIsReadWithOrWithoutItsUnit(t *testing.T) {
	t.Parallel()
	for estimate, want := range map[string]register.EstimateAmount{
		"10":                {Micros: 10_000_000},
		"10credits":         {Micros: 10_000_000, Unit: register.UnitCredits},
		`"10 credits"`:      {Micros: 10_000_000, Unit: register.UnitCredits},
		"10 credits":        {Micros: 10_000_000, Unit: register.UnitCredits},
		"40ktokens":         {Micros: 40_000_000_000, Unit: register.UnitTokens},
		"40k tokens":        {Micros: 40_000_000_000, Unit: register.UnitTokens},
		"5messages":         {Micros: 5_000_000, Unit: register.UnitMessages},
		"5Messages":         {Micros: 5_000_000, Unit: register.UnitMessages},
		"2Mtokens":          {Micros: 2_000_000_000_000, Unit: register.UnitTokens},
		"12.5%":             {Micros: 12_500_000, Unit: register.UnitPercent},
		"90compute–minutes": {Micros: 90_000_000, Unit: register.UnitComputeMinutes},
	} {
		var body register.DispatchRequest
		call := understood(t, "dispatch coder --estimate "+estimate+" Fix it")
		require.NoError(t, json.Unmarshal(call.Mutation.Body, &body))
		require.Equal(t, []register.EstimateAmount{want}, body.Estimate, estimate)
		require.Equal(t, "Fix it", body.Brief, estimate)
	}
}

func TestHelpIsAskedForInAnyOfItsWays(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string]string{
		"": `[]`, "help": `[]`, "?": `[]`, "Help": `[]`, "help budget set": `["budget","set"]`, "budget set --help": `["budget","set"]`,
		"budget help": `["budget"]`, "help help": `[]`, "vote —help": `["vote"]`,
	} {
		call := understood(t, asked)
		require.Equal(t, "help", call.Command, asked)
		require.JSONEq(t, want, string(call.Arguments), asked)
	}
	call, err := Prepare(Asked{Words: []string{}, At: monday})
	require.NoError(t, err)
	require.Equal(t, "help", call.Command)
}

func TestAGroupAloneShowsItsState(t *testing.T) {
	t.Parallel()
	require.Equal(t, "budget status", understood(t, "Budget").Command)
	require.Equal(t, "board list", understood(t, "board").Command)
}

func TestAUsageLineThatFillsAPhoneGivesWayToWhereItIsShown(t *testing.T) {
	t.Parallel()
	long := misunderstood(t, "dispatch")
	require.Contains(t, long.Error(), "Usage: dispatch ROLE", "a terminal has the room")
	require.Equal(t, "The role and the brief are missing.\nHow it is written: !mosaic help dispatch\nExample: !mosaic "+long.Example, Plain(long.Markdown()))
	short := misunderstood(t, "show")
	require.Contains(t, Plain(short.Markdown()), "Usage: !mosaic show D-12")
}
