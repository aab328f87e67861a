package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func readContract(t testing.TB) *openapi3.T {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(register.Contract)
	require.NoError(t, err)
	return document
}

// each calls do for every operation of the contract.
func each(document *openapi3.T, do func(method, path string, item *openapi3.PathItem, operation *openapi3.Operation)) {
	for _, path := range document.Paths.InMatchingOrder() {
		item := document.Paths.Value(path)
		for method, operation := range item.Operations() {
			do(method, path, item, operation)
		}
	}
}

func TestTheContractLeavesNothingOut(t *testing.T) {
	t.Parallel()
	document := readContract(t)
	require.NoError(t, document.Validate(t.Context(), openapi3.EnableExamplesValidation(), openapi3.AllowExtensionsWithRef()), "every example keeps to its schema")
	named := map[string]bool{}
	each(document, func(method, path string, item *openapi3.PathItem, operation *openapi3.Operation) {
		name := operation.OperationID
		assert.NotEmpty(t, name, "%s %s", method, path)
		assert.False(t, named[name], name)
		named[name] = true
		assert.True(t, strings.HasSuffix(operation.Summary, "."), "%s: the summary is a sentence: %q", name, operation.Summary)
		assert.Len(t, operation.Tags, 1, name)
		_, lists := operation.Extensions["x-problem-codes"]
		assert.True(t, lists || open(operation), "%s says which problems are its own, if only that there are none", name)
		for _, code := range codesOf(operation) {
			assert.Contains(t, statuses, code, name)
		}
		for _, parameter := range append(slices.Clone(item.Parameters), operation.Parameters...) {
			assert.NotNil(t, parameter.Value.Example, "%s: the parameter %s has an example", name, parameter.Value.Name)
			assert.True(t, parameter.Value.Description != "" || parameter.Value.In == openapi3.ParameterInPath, "%s: the parameter %s is described", name, parameter.Value.Name)
		}
		if operation.RequestBody != nil {
			media := operation.RequestBody.Value.Content.Get("application/json")
			assert.NotEmpty(t, exampleOf(media), "%s: the request has an example", name)
		}
		for status, response := range operation.Responses.Map() {
			assert.NotEmpty(t, *response.Value.Description, "%s %s", name, status)
			for media, content := range response.Value.Content {
				assert.NotEmpty(t, exampleOf(content), "%s: the answer %s as %s has an example", name, status, media)
			}
		}
		if !open(operation) {
			assert.NotNil(t, operation.Responses.Default(), "%s may fail", name)
		}
	})
	described := document.Components.Schemas["ProblemCode"].Value.Description
	for code, status := range statuses {
		assert.Contains(t, described, fmt.Sprintf("| `%s` | %d |", code, status))
	}
}

func TestEveryListHasOneKindOfPages(t *testing.T) {
	t.Parallel()
	document := readContract(t)
	each(document, func(_, path string, _ *openapi3.PathItem, operation *openapi3.Operation) {
		if !strings.HasPrefix(operation.OperationID, "list") || operation.OperationID == "listBudgets" {
			return // every window there is, at one instant
		}
		answer := operation.Responses.Status(http.StatusOK).Value.Content.Get("application/json").Schema.Value
		require.Contains(t, answer.Properties, "next", path)
		require.NotNil(t, operation.Parameters.GetByInAndName("query", "limit"), path)
		if strings.Contains(path, "/audit/") {
			return // a log is read from a position that can be checked
		}
		require.NotNil(t, operation.Parameters.GetByInAndName("query", "cursor"), path)
	})
}

// written is when the contract's examples take place.
var written = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

var instantIn = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`)

// today moves an example's instants to now.
func today(example string) string {
	moved := time.Since(written)
	return instantIn.ReplaceAllStringFunc(example, func(text string) string {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return text
		}
		return at.Add(moved).Format(time.RFC3339)
	})
}

// example is a request of the contract as it would be sent, with some of its words replaced.
type example struct {
	method, path, body string
}

func exampleRequest(t testing.TB, document *openapi3.T, name string, replace ...string) example {
	t.Helper()
	var out example
	each(document, func(method, path string, item *openapi3.PathItem, operation *openapi3.Operation) {
		if operation.OperationID != name {
			return
		}
		out.method = method
		var query []string
		for _, parameter := range append(slices.Clone(item.Parameters), operation.Parameters...) {
			value := parameter.Value.Example
			switch parameter.Value.In {
			case openapi3.ParameterInPath:
				path = strings.ReplaceAll(path, "{"+parameter.Value.Name+"}", url.PathEscape(value.(string)))
			case openapi3.ParameterInQuery:
				if list, isList := value.([]any); isList {
					words := make([]string, len(list))
					for i, word := range list {
						words[i] = fmt.Sprint(word)
					}
					value = strings.Join(words, ",")
				}
				if parameter.Value.Name != "cursor" { // each is good for one list
					query = append(query, parameter.Value.Name+"="+url.QueryEscape(fmt.Sprint(value)))
				}
			}
		}
		if out.path = path; len(query) > 0 {
			out.path += "?" + strings.Join(query, "&")
		}
		if operation.RequestBody != nil {
			out.body = today(exampleOf(operation.RequestBody.Value.Content.Get("application/json")))
		}
	})
	require.NotEmpty(t, out.method, "%s is not in the contract", name)
	with := strings.NewReplacer(replace...)
	return example{out.method, with.Replace(out.path), with.Replace(out.body)}
}

func TestTheGatewayAcceptsEveryExampleOfTheContract(t *testing.T) {
	t.Parallel()
	b := setup(t)
	document := readContract(t)
	sent := map[string]bool{}
	send := func(name, actor string, replace ...string) map[string]any {
		t.Helper()
		sent[name] = true
		request := exampleRequest(t, document, name, replace...)
		status, _, body := b.raw(t, request.method, request.path, b.tokens["root"], request.body, "Idempotency-Key", name+strings.Join(replace, ""), "Mosaic-Actor", actor)
		require.Equal(t, 2, status/100, "%s %s %s: %s", request.method, request.path, request.body, body)
		var answer map[string]any
		require.NoError(t, json.Unmarshal(body, &answer), "%s: %s", name, body)
		return answer
	}
	for _, name := range []string{
		"health", "ready", "putLadder", "getLadder", "setBudget", "resetBudget", "getBudget", "getBudgetForecast", "getBudgetHistory", "listBudgets", "putIdentity", "getIdentity", "listIdentities",
		"putSeat", "getSeat", "listSeats", "putBoard", "getBoard", "bindRoom", "getRoom", "listRooms", "getPause", "whoAmI", "getAgent", "listAgents",
	} {
		send(name, "root")
	}
	for _, name := range []string{"changeIdentity", "reportReset", "trustReset", "setRoomEncryption"} {
		send(name, "root")
	}
	send("declareAgent", "coder-1")
	override := send("grantOverride", "root")["override"].(map[string]any)["id"].(string)
	send("listOverrides", "root")
	send("setPolicy", "root")
	send("getPolicy", "root")
	send("listEstimates", "root")
	send("revokeOverride", "root", "O-3", override)
	// The life of a dispatch.
	running := send("createDispatch", "root")["id"].(string)
	claim := send("claimDispatch", "coder-1")["id"].(string)
	for _, name := range []string{"getDispatch", "heartbeatDispatch", "extendDispatch", "completeDispatch", "getOutput"} {
		send(name, "coder-1", "D-12", running, exampleClaim(t, document, name), claim)
	}
	var second register.Dispatch
	b.send(t, b.olga, register.CreateDispatch(ask(1)), &second)
	send("cancelDispatch", "root", "D-12", second.ID)
	send("retryDispatch", "root", "D-12", second.ID)
	send("listDispatches", "root")
	// The board.
	late := ask(100)
	late.Model, late.Exact, late.Deadline = "haiku", true, time.Now().Add(time.Minute)
	refused := b.dispatch(t, late)
	require.Equal(t, register.DispatchStateRefused, refused.State, refused.Reason)
	b.send(t, b.admin, register.PutSeat("ceo", register.SeatRequest{Lens: "mission", Identity: "olga"}), nil)
	proposal := send("openProposal", "root", "D-5", refused.ID)["id"].(string)
	send("castVote", "ada", "P-7", proposal)
	send("withdrawVote", "ada", "P-7", proposal)
	conditional := register.VoteRequest{Verdict: register.VerdictConditional, Reason: "by night"}
	require.NoError(t, b.admin.Send(t.Context(), register.By{Actor: "ada", Key: "conditional"}, register.CastVote(proposal, "cto", conditional), nil))
	for _, name := range []string{"acceptConditions", "readRoom", "closeProposal", "withdrawProposal"} {
		send(name, "root", "P-7", proposal)
	}
	send("getProposal", "root", "P-7", proposal)
	send("listProposals", "root")
	send("removeSeat", "root")
	// Tokens.
	issued := send("issueToken", "root")["token"].(map[string]any)["id"].(string)
	rotated := send("rotateToken", "root", "T-3", issued)["token"].(map[string]any)["id"].(string)
	send("revokeToken", "root", "T-3", rotated)
	b.send(t, b.olga, full("full"), nil)
	for _, name := range []string{"recordReading", "listReadings", "reportUsage", "getRings", "ackRings", "setRoomVerbosity", "listTokens", "listAuditEntries", "listAuditSeals", "getAuditHead", "retireAgent", "setPause"} {
		send(name, "root")
	}
	// The stream does not end, so only its beginning is read.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL()+"/api/fleet/events", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+b.tokens["vera"])
	request.Header.Set("Last-Event-ID", "0")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	sent["streamEvents"] = true

	each(document, func(_, _ string, _ *openapi3.PathItem, operation *openapi3.Operation) {
		assert.True(t, sent[operation.OperationID], "no test sends the example of %s", operation.OperationID)
	})
}

// exampleClaim is the claim in an operation's example.
func exampleClaim(t *testing.T, document *openapi3.T, name string) string {
	t.Helper()
	var body struct{ Claim string }
	if text := exampleRequest(t, document, name).body; text != "" {
		require.NoError(t, json.Unmarshal([]byte(text), &body))
	}
	if body.Claim == "" {
		return "no claim"
	}
	return body.Claim
}

func TestTheContractIsAPageThatNeedsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	document := readContract(t)
	for _, path := range []string{"/api/fleet/", "/api/fleet/docs"} {
		status, header, body := b.raw(t, http.MethodGet, path, "", "")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "text/html; charset=utf-8", header.Get("Content-Type"))
		require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
		page := string(body)
		require.NotRegexp(t, `(?i)<script|<link|<img|<iframe|@import|url\(|src=`, page)
		require.Contains(t, page, "prefers-color-scheme: dark")
		require.Contains(t, page, "width=device-width")
		each(document, func(method, path string, _ *openapi3.PathItem, operation *openapi3.Operation) {
			require.Contains(t, page, `<details id="`+operation.OperationID+`"`, "%s %s", method, path)
		})
		for code := range statuses {
			require.Contains(t, page, "<code>"+string(code)+"</code>")
		}
		for _, link := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
			require.Contains(t, page, `id="`+link[1]+`"`, "a link leads somewhere")
		}
	}
}
