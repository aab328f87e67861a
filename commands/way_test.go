package commands

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// problemCodes are the codes of the contract.
func problemCodes(t *testing.T) []register.ProblemCode {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(register.Contract)
	require.NoError(t, err)
	var codes []register.ProblemCode
	for _, code := range document.Components.Schemas["ProblemCode"].Value.Enum {
		codes = append(codes, register.ProblemCode(code.(string)))
	}
	require.NotEmpty(t, codes)
	return codes
}

// answering is a gateway that answers everything with one problem.
func answering(t *testing.T, status int, problem any) *register.API {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("X-Request-ID", "r-1")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(problem)
	}))
	t.Cleanup(server.Close)
	return register.NewAPI(server.URL, "token")
}

// refusals is how every code of the contract reads, for the command it is most likely to meet.
var refusals = []struct {
	typed   string
	status  int
	problem register.Problem
	reads   string
}{
	{
		`dispatch coder "Fix it" --model gpt-99 --estimate 4`, 400,
		register.Problem{Code: "invalid", Field: "model", Detail: `The model "gpt-99" is not in the ladder; known are opus, sonnet.`, Example: "opus"},
		`Not done. The model "gpt-99" is not in the ladder; known are opus, sonnet.
Example: !mosaic dispatch coder "Fix it" --model opus --estimate 4`,
	},
	{
		`board propose "Move it" --quorum 9 --closes fri 17:00`, 400,
		register.Problem{Code: "invalid", Field: "quorum", Detail: "A quorum of 9 is larger than the board, which has 3 seats.", Example: "3", NextStep: "Give a quorum from 1 to 3."},
		`Not done. A quorum of 9 is larger than the board, which has 3 seats.
Give a quorum from 1 to 3.
Example: !mosaic board propose "Move it" --quorum 3 --closes "fri 17:00"`,
	},
	{
		`board propose "Move it" --closes 2020-01-01 09:00`, 400,
		register.Problem{Code: "invalid", Field: "closes_at", Detail: "The closing time is in the past.", Example: "2026-11-24T09:00:00Z"},
		`Not done. The closing time is in the past.
Example: !mosaic board propose "Move it" --closes 2026-11-24T10:00+01:00`,
	},
	{
		`dispatch coder "Fix it" --mission ` + strings.Repeat("m", 100), 400,
		register.Problem{Code: "invalid", Field: "mission", Detail: "mission is too long; it may have at most 64 characters."},
		`Not done. mission is too long; it may have at most 64 characters.
Example: !mosaic dispatch coder "Fix it"`,
	},
	{
		`board propose "Move it"`, 400,
		register.Problem{Code: "invalid", Detail: "The board has no seats, so nobody could vote.", NextStep: "An admin seats the board first."},
		`Not done. The board has no seats, so nobody could vote.
An admin seats the board first.
Example: !mosaic help board propose`,
	},
	{
		"pause", 403,
		register.Problem{Code: "forbidden", Detail: "vera may not pause or resume the fleet; that takes the role operator or admin.", NextStep: "Ask an admin for the role."},
		`Not done. vera may not pause or resume the fleet; that takes the role operator or admin.
Ask an admin for the role.
Example: !mosaic help`,
	},
	{
		"status", 403,
		register.Problem{Code: "actor_unknown", Field: "Mosaic-Actor", Detail: "The register does not know @eve:localhost."},
		`Not done. The register does not know @eve:localhost.
Example: !mosaic help`,
	},
	{
		"status", 403,
		register.Problem{Code: "actor_looks_alike", Field: "Mosaic-Actor", Detail: "@оlga:localhost is not known, and looks like @olga:localhost, who is."},
		`Not done. @оlga:localhost is not known, and looks like @olga:localhost, who is.
Example: !mosaic help`,
	},
	{
		"show D-999", 404,
		register.Problem{Code: "not_found", Detail: "There is no dispatch D-999.", NextStep: "List the dispatches to see their numbers."},
		`Not done. There is no dispatch D-999.
List the dispatches to see their numbers.
Example: !mosaic list`,
	},
	{
		`dispatch coder "Fix it" --after D-999`, 404,
		register.Problem{Code: "not_found", Field: "depends_on", Detail: "There is no dispatch D-999 to wait for."},
		`Not done. There is no dispatch D-999 to wait for.
Example: !mosaic list`,
	},
	{
		`board propose "Run it" --for D-999`, 404,
		register.Problem{Code: "not_found", Detail: "There is no dispatch D-999."},
		`Not done. There is no dispatch D-999.
Example: !mosaic list`,
	},
	{
		"vote P-9 approve", 404,
		register.Problem{Code: "not_found", Detail: "There is no proposal P-9."},
		`Not done. There is no proposal P-9.
Example: !mosaic board list`,
	},
	{
		"budget reset --provider claude --reset-at +5h", 404,
		register.Problem{Code: "not_found", Detail: "There is no budget window main of claude.", NextStep: "Set it first with: budget set"},
		`Not done. There is no budget window main of claude.
Set it first with: budget set
Example: !mosaic help budget set`,
	},
	{
		"cancel D-3 “no use”", 409,
		register.Problem{Code: "idempotency_mismatch", Field: "Idempotency-Key", Detail: "This Idempotency-Key was used for another request."},
		`Not done. This Idempotency-Key was used for another request.
Example: !mosaic cancel D-3 "no use"`,
	},
	{
		"budget set --provider claude --limit 2M --unit tokens --reset-at +5h", 422,
		register.Problem{Code: "unit_mismatch", Field: "unit", Detail: "The window main counts credits, not tokens.", Example: "credits", NextStep: "Keep the unit, or give the new window another name."},
		`Not done. The window main counts credits, not tokens.
Keep the unit, or give the new window another name.
Example: !mosaic budget set --provider claude --limit 2M --unit credits --reset-at +5h`,
	},
	{
		"budget reading --provider claude --used 42%", 422,
		register.Problem{Code: "unit_mismatch", Field: "unit", Detail: "The window main counts credits, not percent.", Example: "credits", NextStep: "Give the reading in the window's unit, or name another window."},
		`Not done. The window main counts credits, not percent.
Give the reading in the window's unit, or name another window.
Example: !mosaic budget reading --provider claude --used 42 --unit credits`,
	},
	{
		`dispatch coder "Fix it" --estimate 4ktokens`, 422,
		register.Problem{Code: "unit_mismatch", Field: "estimate", Detail: "The window counts credits.", Example: `[{"unit": "credits", "micros": 4000000}]`},
		`Not done. The window counts credits.
Example: !mosaic dispatch coder "Fix it" --estimate 4credits`,
	},
	{
		"budget set --provider claude --limit 500 --unit credits --reset-at 2020-01-01T00:00Z", 422,
		register.Problem{Code: "reset_in_past", Field: "reset_at", Detail: "The reset 2020-01-01T00:00:00Z is in the past.", Example: "2026-11-23T14:00:00Z", NextStep: "Give a reset in the future."},
		`Not done. The reset Wed 1 Jan 2020 01:00 CET is in the past.
Give a reset in the future.
Example: !mosaic budget set --provider claude --limit 500 --unit credits --reset-at 2026-11-23T15:00+01:00`,
	},
	{
		"budget reset --provider claude --reset-at +5h", 409,
		register.Problem{Code: "window_lapsed", Field: "zero", Detail: "The window main lapsed.", Example: "true", NextStep: "Set it again, or reset it with --zero."},
		`Not done. The window main lapsed.
Set it again, or reset it with --zero.
Example: !mosaic budget reset --provider claude --reset-at +5h --zero`,
	},
	{
		"budget set --provider claude --limit 0 --unit credits --reset-at +5h", 422,
		register.Problem{Code: "limit_not_positive", Field: "limit_micros", Detail: "The limit 0 credits is not above zero.", Example: "500000000"},
		`Not done. The limit 0 credits is not above zero.
Example: !mosaic budget set --provider claude --limit 500 --unit credits --reset-at +5h`,
	},
	{
		"cancel D-3", 409,
		register.Problem{Code: "not_open", Detail: "D-3 is already done and cannot be cancelled.", NextStep: "How it ended stands in its record."},
		`Not done. D-3 is already done and cannot be cancelled.
How it ended stands in its record.
Example: !mosaic show D-3`,
	},
	{
		"vote P-7 approve --seat cto", 409,
		register.Problem{Code: "not_open", Detail: "P-7 is passed; votes no longer change it."},
		`Not done. P-7 is passed; votes no longer change it.
Example: !mosaic board show P-7`,
	},
	{
		"vote P-7 approve --seat cto", 403,
		register.Problem{Code: "not_seated", Detail: "olga did not hold the seat cto when P-7 was opened.", NextStep: "Only the seat's holder votes for it."},
		`Not done. olga did not hold the seat cto when P-7 was opened.
Only the seat's holder votes for it.
Example: !mosaic board seats`,
	},
	{
		`board propose "Run it" --for D-3`, 409,
		register.Problem{Code: "not_refused", Field: "action.dispatch", Detail: "D-3 is done, not refused; there is nothing to override."},
		`Not done. D-3 is done, not refused; there is nothing to override.
Example: !mosaic show D-3`,
	},
	{
		"show D-3", 409,
		register.Problem{Code: "claim_lost", Detail: "This claim on D-3 is no longer valid; the dispatch is done.", NextStep: "Stop the run and claim other work."},
		`Not done. This claim on D-3 is no longer valid; the dispatch is done.
Stop the run and claim other work.
Example: !mosaic show D-3`,
	},
	{
		"list", 422,
		register.Problem{Code: "actual_missing", Field: "actuals", Detail: "A run cannot be completed without what it spent.", Example: `{"actuals": []}`},
		`Not done. A run cannot be completed without what it spent.
Example: !mosaic status`,
	},
	{
		"board list", 409,
		register.Problem{Code: "token_ended", Detail: "T-3 has expired or was revoked.", NextStep: "Issue a new token to olga."},
		`Not done. T-3 has expired or was revoked.
Issue a new token to olga.
Example: !mosaic board list`,
	},
	{
		"pause the provider is down", 412,
		register.Problem{Code: "precondition_failed", Detail: "The pause was changed by root.", NextStep: "Read it again and send the change with its new ETag."},
		`Not done. The pause was changed by root.
Read it again and send the change with its new ETag.
Example: !mosaic pause "the provider is down"`,
	},
	{
		`dispatch coder "Rewrite everything" --context 250k`, 422,
		register.Problem{
			Code: "context_cap", Field: "context_tokens", Detail: "One session would need 250k tokens of context, and at most 200k tokens fit: a session that does not fit its context loses the thread.",
			Example: "150000", NextStep: "Split the work into dispatches that each fit, and let one wait for the other.",
		},
		`Not done. One session would need 250k tokens of context, and at most 200k tokens fit: a session that does not fit its context loses the thread.
Split the work into dispatches that each fit, and let one wait for the other.
Example: !mosaic dispatch coder "Rewrite everything" --context 150k`,
	},
	{
		"retry D-3", 409,
		register.Problem{Code: "not_retryable", Detail: "D-3 is running; only what failed, was cancelled or refused can be retried.", NextStep: "Cancel it first, or wait until it has ended."},
		`Not done. D-3 is running; only what failed, was cancelled or refused can be retried.
Cancel it first, or wait until it has ended.
Example: !mosaic show D-3`,
	},
	{
		"retry D-3", 409,
		register.Problem{Code: "already_retried", Detail: "D-3 was retried already, as D-7.", NextStep: "Retry D-7 if that did not do either."},
		`Not done. D-3 was retried already, as D-7.
Retry D-7 if that did not do either.
Example: !mosaic show D-3`,
	},
	{
		"agents retire coder-1", 409,
		register.Problem{Code: "agent_retired", Field: "name", Detail: "coder-1 was retired at 2026-11-23 09:00:00 UTC and gets no more work.", NextStep: "Start the worker under another number."},
		`Not done. coder-1 was retired at Mon 23 Nov 10:00 CET and gets no more work.
Start the worker under another number.
Example: !mosaic agents`,
	},
	{
		"ack R-9", 404,
		register.Problem{Code: "not_found", Detail: "There is no ring R-9.", NextStep: "The message that rang names it; naming none acknowledges all that ring."},
		`Not done. There is no ring R-9.
The message that rang names it; naming none acknowledges all that ring.
Example: !mosaic budget status`,
	},
	{
		`budget override claude 40 --lifts limit --reason "the audit"`, 409,
		register.Problem{
			Code: "provider_limit", Field: "lifts", Example: "pace", NextStep: "Ask for one of those.",
			Detail: "The limit 500 credits of the window main is the provider's: no override lifts it. Lift its pace or its floor, or use another subscription.",
		},
		`Not done. The limit 500 credits of the window main is the provider's: no override lifts it. Lift its pace or its floor, or use another subscription.
Ask for one of those.
Example: !mosaic budget override claude 40 --lifts pace --reason "the audit"`,
	},
	{
		"status", 409,
		register.Problem{Code: "not_reset", Detail: "The keys of olga are those first seen; there is nothing to accept.", NextStep: "Nothing needs to be done."},
		`Not done. The keys of olga are those first seen; there is nothing to accept.
Nothing needs to be done.
Example: !mosaic status`,
	},
}

func TestEveryRefusalReadsWellAndEndsWithACommandThatWorks(t *testing.T) {
	t.Parallel()
	tried := map[register.ProblemCode]bool{}
	for _, one := range refusals {
		tried[one.problem.Code] = true
		call := understood(t, one.typed)
		stored, err := json.Marshal(call)
		require.NoError(t, err)
		var read Call
		require.NoError(t, json.Unmarshal(stored, &read))
		s := &session{api: answering(t, one.status, one.problem), by: register.By{Key: "k"}, now: func() time.Time { return monday }}
		reply, err := run(t.Context(), s, read)
		require.NoError(t, err, one.typed)
		require.Equal(t, MoodRefused, reply.Mood)
		require.Equal(t, one.reads, Plain(reply.Markdown), one.typed)
		parses(t, reply.Markdown)
	}
	for _, code := range problemCodes(t) {
		switch code {
		case "cap_reached", "gone":
			require.False(t, tried[code], "%s meets a worker or a reader of the log, never a command", code)
		case "unauthorized", "rate_limited", "unavailable", "internal":
			require.False(t, tried[code], "%s leaves the command unconsumed, so it is no refusal", code)
		default:
			require.True(t, tried[code], "no refusal shows how %s reads", code)
		}
	}
}

// parses says that the command at the end of a reply is understood, in a room, under another prefix and in a shell.
func parses(t *testing.T, markdown string) {
	t.Helper()
	for prefix, cut := range map[string]string{"!mosaic": "!mosaic", "!fleet": "!fleet", "mosaic-matrix exec": "mosaic-matrix exec"} {
		lines := strings.Split(Plain(WithPrefix(markdown, prefix)), "\n")
		line, found := strings.CutPrefix(lines[len(lines)-1], "Example: "+cut+" ")
		require.True(t, found, "ends with %q", lines[len(lines)-1])
		_, err := Prepare(typed(t, line))
		require.NoError(t, err, line)
	}
}

func TestAnUnconsumedCommandSaysWhatToDoAndTheRequestID(t *testing.T) {
	t.Parallel()
	for code, status := range map[register.ProblemCode]int{"unauthorized": 401, "rate_limited": 429, "unavailable": 503, "internal": 500} {
		_, err := Run(t.Context(), answering(t, status, register.Problem{Code: code, Detail: "It failed.", NextStep: "Send it again."}), register.By{Key: "k"}, understood(t, "status"))
		require.True(t, register.Retryable(err), code)
		require.Equal(t, status >= 500, strings.HasSuffix(err.Error(), "It failed. Send it again. (request r-1)"), err.Error())
	}
}

func TestATextThatAShellOrARoomWouldTakeApartIsLeftOutOfAnExample(t *testing.T) {
	t.Parallel()
	for _, brief := range []string{"costs $HOME", "say `hi`", "two\nlines", `a "quoted" word`, "-- no flag", strings.Repeat("long ", 60), "wow!"} {
		call, err := Prepare(Asked{Words: []string{"dispatch", "coder", "--model", "gpt-99", "--", brief}, At: monday, Zone: berlin(t)})
		require.NoError(t, err)
		s := &session{api: answering(t, 400, register.Problem{Code: "invalid", Field: "model", Detail: "No such model.", Example: "opus"}), by: register.By{Key: "k"}, now: func() time.Time { return monday }}
		reply, err := run(t.Context(), s, call)
		require.NoError(t, err)
		require.Equal(t, "Not done. No such model.\nExample: !mosaic dispatch coder \"…\" --model opus", Plain(reply.Markdown))
	}
}

func TestANestJSRefusalAlsoEndsWithACommand(t *testing.T) {
	t.Parallel()
	body := map[string]any{"statusCode": 400, "message": []string{"brief must be longer than or equal to 1 characters", "role should not be empty"}, "error": "Bad Request"}
	s := &session{api: answering(t, 400, body), by: register.By{Key: "k"}, now: func() time.Time { return monday }}
	reply, err := run(t.Context(), s, understood(t, `dispatch coder "Fix it"`))
	require.NoError(t, err)
	require.Equal(t, "Not done. Brief must be longer than or equal to 1 characters; role should not be empty.\nExample: !mosaic help dispatch", Plain(reply.Markdown))
	parses(t, reply.Markdown)
}

func TestACommandStoredByAnEarlierVersionIsStillRefusedWithAnExample(t *testing.T) {
	t.Parallel()
	call := understood(t, `dispatch coder "Fix it" --model gpt-99`)
	call.Said = nil
	s := &session{api: answering(t, 400, register.Problem{Code: "invalid", Field: "model", Detail: "No such model.", Example: "opus"}), by: register.By{Key: "k"}, now: func() time.Time { return monday }}
	reply, err := run(t.Context(), s, call)
	require.NoError(t, err)
	parses(t, reply.Markdown)
}
