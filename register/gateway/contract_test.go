package gateway

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestABadRequestIsAnsweredWithOneClearSentence(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const dispatches, budgets = "/api/fleet/dispatches", "/api/fleet/budgets"
	for _, wrong := range []struct {
		method, path, body   string
		status               int
		field, detail, wants string
	}{
		{"POST", dispatches, `{"role": "coder"}`, 400, "brief", "brief is missing.", ""},
		{"POST", dispatches, `{"brief": "x"}`, 400, "role", "role is missing.", "coder-1"},
		{"POST", dispatches, `{"role": "coder", "brief": ""}`, 400, "brief", "brief is empty.", ""},
		{"POST", dispatches, `{"role": "co der", "brief": "x"}`, 400, "role", `role is "co der"; accepted are letters, digits, dots, dashes and underscores, at most 64.`, "coder-1"},
		{"POST", dispatches, `{"role": "coder", "brief": "x", "brief_class": "urgent"}`, 400, "brief_class", `brief_class is "urgent"; it must be one of strategic, technical, hotfix.`, "strategic"},
		{"POST", dispatches, `{"role": "coder", "brief": "x", "priority": 12}`, 400, "priority", "priority is 12; the most is 9.", "9"},
		{"POST", dispatches, `{"role": "coder", "brief": "x", "estimate": [{"micros": -1}]}`, 400, "estimate.0.micros", "estimate.0.micros is -1; the least is 0.", "0"},
		{"POST", dispatches, `{"role": "coder", "brief": "x", "estimate": [{"unit": "credits", "micros": 1}, {"unit": "credits", "micros": 2}]}`, 400, "estimate", `estimate names the unit "credits" twice.`, ""},
		{"POST", dispatches, `{"role": "coder", "brief": "x", "deadline": "friday"}`, 400, "deadline", `deadline is "friday"; it must be an instant with its offset.`, "2026-11-30T09:00:00Z"},
		{"POST", dispatches, `{"role": "coder", "brief": "x", "deadline": "2026-02-30T09:00:00Z"}`, 400, "deadline", `deadline is "2026-02-30T09:00:00Z"; it must be an instant with its offset.`, "2026-11-30T09:00:00Z"},
		{"POST", dispatches, `{"role": "coder", "brief": "x", "model": "opsu"}`, 400, "model", `The model "opsu" is not in the ladder; known are opus, sonnet, haiku, gpt-5.5.`, "opus"},
		{"POST", dispatches, `{"role": "coder", "brief": "a\u0000b"}`, 400, "", "The body holds bytes that are no text.", ""},
		{"POST", dispatches, `{"role": "coder", `, 400, "", "The body is not valid JSON.", ""},
		{"POST", dispatches, `[]`, 400, "", "The body is not accepted: value must be an object.", ""},
		{"POST", dispatches, ``, 400, "", "The body is missing.", ""},
		{"POST", dispatches, `{"role": "coder", "brief": "x"} {}`, 400, "", "The body is not valid JSON.", ""},
		{"POST", budgets, `{"provider": "claude", "unit": "credits", "limit_micros": 1.5, "reset_at": "2030-01-01T00:00:00Z"}`, 400, "limit_micros", "limit_micros is not accepted: value must be an integer.", ""},
		{"POST", budgets, `{"provider": "claude", "unit": "credits", "limit_micros": 123456789012345678901, "reset_at": "2030-01-01T00:00:00Z"}`, 400, "limit_micros", "limit_micros does not fit in 64 bits.", ""},
		{"POST", budgets, `{"provider": "claude", "unit": "credits", "limit_micros": 1000000000000000000, "reset_at": "2199-01-01T00:00:00Z", "since": "1970-01-02T00:00:00Z"}`, 200, "", "", ""},
		{"POST", budgets, `{"provider": "claude", "unit": "credits", "limit_micros": 2000000000000000000, "reset_at": "2030-01-01T00:00:00Z"}`, 400, "limit_micros", "limit_micros is 2000000000000000000; the most is 1000000000000000000.", "1000000000000000000"},
		{"POST", budgets, `{"provider": "claude", "unit": "credits", "limit_micros": 5, "reset_at": "2020-01-01T00:00:00Z"}`, 422, "reset_at", "The reset 2020-01-01T00:00:00Z is in the past; it is now ", "T"},
		{"POST", budgets, `{"provider": "claude", "unit": "coins", "limit_micros": 5, "reset_at": "2030-01-01T00:00:00Z"}`, 400, "unit", `unit is "coins"; it must be one of messages, tokens, dollars, credits, compute-minutes, percent.`, "messages"},
		{"POST", dispatches, `{"role": "coder", "brief": "x", "deadline": "9999-12-31T23:59:59-10:00"}`, 400, "deadline", "deadline is in the year 10000; it must lie between 1970 and 2200.", "2026-11-30T09:00:00Z"},
		{"POST", budgets, `{"provider": "claude", "unit": "credits", "limit_micros": 5, "reset_at": "2900-01-01T00:00:00Z"}`, 400, "reset_at", "reset_at is in the year 2900; it must lie between 1970 and 2200.", "2026-11-30T09:00:00Z"},
		{"GET", budgets + "?provider=%00", ``, 400, "", "The query holds bytes that are no text.", ""},
		{"GET", budgets + "?provider=%ff", ``, 400, "", "The query holds bytes that are no text.", ""},
		{"GET", dispatches + "?limit=900", ``, 400, "limit", "limit is 900; the most is 200.", "200"},
		{"GET", dispatches + "?limit=many", ``, 400, "limit", "limit is missing or cannot be read.", ""},
		{"GET", dispatches + "?state=ready,lost", ``, 400, "state.1", `state.1 is "lost"; it must be one of queued, ready, running, done, failed, cancelled, refused.`, "queued"},
		{"GET", dispatches + "?cursor=12", ``, 400, "cursor", "cursor is not one that the list of dispatches gave.", "/api/fleet/dispatches"},
		{"GET", dispatches + "?before=D-12", ``, 400, "before", "before is no parameter of this address; there are cursor, limit and state.", "/api/fleet/dispatches?cursor="},
		{"GET", dispatches + "/12", ``, 400, "dispatch", `dispatch is "12"; accepted are D- and a number.`, "D-12"},
		{"GET", dispatches + "/D-99", ``, 404, "", "There is no dispatch D-99.", ""},
		{"GET", dispatches + "/D-999999999999999999", ``, 404, "", "There is no dispatch D-999999999999999999.", ""},
		{"GET", "/api/fleet/proposals/P-9", ``, 404, "", "There is no proposal P-9.", ""},
		{"GET", "/api/fleet/events", ``, 400, "Last-Event-ID", "The log ends at event ", "0"},
		{"GET", "/api/fleet/nothing", ``, 404, "", "There is nothing at this address.", ""},
		{"DELETE", dispatches, ``, 405, "", "DELETE does not go with this address; GET does.", ""},
		{"PUT", dispatches + "/D-1", ``, 405, "", "PUT does not go with this address; GET does.", ""},
	} {
		header := []string{"Idempotency-Key", wrong.method + wrong.path + wrong.body[:min(len(wrong.body), 200)]}
		if strings.HasSuffix(wrong.path, "/events") {
			header = append(header, "Last-Event-ID", "999999")
		}
		status, _, body := b.raw(t, wrong.method, wrong.path, b.tokens["olga"], wrong.body, header...)
		require.Equal(t, wrong.status, status, "%s %s: %s", wrong.path, wrong.body, body)
		if status == http.StatusOK {
			continue
		}
		p := problemIn(t, body)
		require.Equal(t, wrong.field, p.Field, p.Detail)
		require.Contains(t, p.Detail, wrong.detail)
		require.Contains(t, p.Example, wrong.wants)
		require.NotEmpty(t, p.RequestID)
	}
}

func TestAChangeNeedsAKeyAndJSON(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const body = `{"role": "coder", "brief": "x"}`
	status, _, answer := b.raw(t, "POST", "/api/fleet/dispatches", b.tokens["olga"], body)
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "Idempotency-Key", problemIn(t, answer).Field)
	status, _, answer = b.raw(t, "POST", "/api/fleet/dispatches", b.tokens["olga"], body, "Idempotency-Key", strings.Repeat("k", 256))
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "Idempotency-Key", problemIn(t, answer).Field)
	status, _, answer = b.raw(t, "POST", "/api/fleet/dispatches", b.tokens["olga"], body, "Idempotency-Key", "k", "Content-Type", "text/plain")
	require.Equal(t, http.StatusUnsupportedMediaType, status)
	require.Equal(t, "Content-Type", problemIn(t, answer).Field)
	status, _, answer = b.raw(t, "POST", "/api/fleet/dispatches", b.tokens["olga"], strings.Repeat(" ", bodyLimit+1), "Idempotency-Key", "k")
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.Contains(t, problemIn(t, answer).Detail, "larger than 1048576 bytes")
}

func TestTextThatOnlyLooksLikeAZeroByteIsText(t *testing.T) {
	t.Parallel()
	require.True(t, zeroByte([]byte(`"a\u0000"`)))
	require.True(t, zeroByte([]byte(`"a\\\u0000"`)))
	require.True(t, zeroByte([]byte("\x00")))
	require.False(t, zeroByte([]byte(`"a\\u0000"`)))
	require.False(t, zeroByte([]byte(`"a\u0001"`)))
}

func TestTheContractIsServed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status, header, body := b.raw(t, "GET", "/api/fleet/openapi.json", "", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "application/json", header.Get("Content-Type"))
	document, err := openapi3.NewLoader().LoadFromData(body)
	require.NoError(t, err)
	require.NotNil(t, document.Paths.Find("/api/fleet/dispatches"))
}

var patternInTheContract = regexp.MustCompile(`"pattern":\s*("(?:[^"\\]|\\.)*")`)

func TestEveryPatternOfTheContractIsSaidInWordsWithAnExample(t *testing.T) {
	t.Parallel()
	document, err := openapi3.NewLoader().LoadFromData(register.Contract)
	require.NoError(t, err)
	raw, err := document.MarshalJSON()
	require.NoError(t, err)
	found := map[string]bool{}
	for _, match := range patternInTheContract.FindAllSubmatch(raw, -1) {
		var pattern string
		require.NoError(t, json.Unmarshal(match[1], &pattern))
		require.NotEmpty(t, patterns[pattern].words, pattern)
		require.Regexp(t, pattern, patterns[pattern].example)
		found[pattern] = true
	}
	require.Len(t, found, len(patterns))
}

func TestEveryCodeHasAStatusThatSaysWhetherToRetry(t *testing.T) {
	t.Parallel()
	for code, status := range statuses {
		require.True(t, code.Valid(), code)
		require.GreaterOrEqual(t, status, 400)
	}
	document, err := openapi3.NewLoader().LoadFromData(register.Contract)
	require.NoError(t, err)
	for _, code := range document.Components.Schemas["ProblemCode"].Value.Enum {
		require.Contains(t, statuses, register.ProblemCode(code.(string)))
	}
}

func TestAnAddressThatLeadsNowhereIsAProblemLikeAnyOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for address, tidy := range map[string]string{
		"/api/fleet/agents/": "/api/fleet/agents", "/api/fleet//pause": "/api/fleet/pause", "/api/fleet/seats/": "/api/fleet/seats",
		"/api/fleet/./pause": "/api/fleet/pause", "/nowhere": "", "/api/fleet/dispatches/D-1/else": "",
	} {
		status, header, body := b.raw(t, http.MethodGet, address, b.tokens["vera"], "")
		require.Equal(t, http.StatusNotFound, status, address)
		require.Equal(t, "application/problem+json", header.Get("Content-Type"), address)
		p := problemIn(t, body)
		require.Equal(t, register.ProblemCodeNotFound, p.Code)
		require.Equal(t, tidy, p.Example, address)
		require.Contains(t, p.NextStep, "/api/fleet/")
	}
	status, _, body := b.raw(t, http.MethodGet, "/healthz?%FF", "", "")
	require.Equal(t, http.StatusOK, status, "a probe is answered whatever is added to it: %s", body)
}

// TestTheContractUsesNoKeywordThatTheQuickCheckPassesOver looks for what JSON Schema 2020-12 has and the check as 3.0 does not see.
func TestTheContractUsesNoKeywordThatTheQuickCheckPassesOver(t *testing.T) {
	t.Parallel()
	schemas := 0
	require.NoError(t, readContract(t).WalkSchemas(func(where string, schema *openapi3.SchemaRef) error {
		schemas++
		text, err := json.Marshal(schema.Value)
		require.NoError(t, err)
		var keywords map[string]any
		require.NoError(t, json.Unmarshal(text, &keywords))
		for _, passedOver := range []string{
			"const", "prefixItems", "contains", "minContains", "maxContains", "patternProperties", "dependentSchemas", "dependentRequired",
			"propertyNames", "unevaluatedItems", "unevaluatedProperties", "if", "then", "else", "$defs", "contentSchema",
			"exclusiveMinimum", "exclusiveMaximum",
		} {
			require.NotContains(t, keywords, passedOver, where)
		}
		require.False(t, schema.Value.Type.IsMultiple(), "%s has several types", where)
		return nil
	}))
	require.Greater(t, schemas, 500)
}
