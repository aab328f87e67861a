package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// FuzzNoRequestBreaksTheGateway sends altered requests of every operation of the contract to a gateway on a real register and
// looks for an answer that blames the gateway or that the contract does not know. The seed alters the operation's example; raw
// bytes, if there are any, are its body as they are. `make fuzz` does it for a minute, `go test` for the seeds below.
func FuzzNoRequestBreaksTheGateway(f *testing.F) {
	target := newTarget(f)
	for operation := range target.operations {
		for seed := range uint64(5) {
			f.Add(uint8(operation), seed, []byte(nil))
		}
	}
	for _, body := range []string{
		"{", "null", "[]", `"text"`, "0", `{"a":1}{"b":2}`, strings.Repeat("[", 20_000), strings.Repeat(`{"a":`, 5_000) + "1" + strings.Repeat("}", 5_000),
		"{\"brief\":\"\xff\xfe\"}", `{"brief":"\ud800"}`, `{"brief":"\u0000"}`, `{"role":"coder","role":"x","brief":"twice"}`, `{"priority":1e999}`, "\ufeff{}",
	} {
		for operation := range target.operations {
			if operation%7 == len(body)%7 {
				f.Add(uint8(operation), uint64(len(body)), []byte(body))
			}
		}
	}
	f.Fuzz(func(t *testing.T, operation uint8, seed uint64, raw []byte) {
		target.shoot(t, &target.operations[int(operation)%len(target.operations)], seed, raw)
	})
}

// target is a gateway with something of everything, and the requests that are altered.
type target struct {
	database, url string
	contract      *contract
	document      *openapi3.T
	operations    []shot
	tokens        atomic.Pointer[[]string] // the first is an admin's
	known         []string                 // what exists, by its names
	keys          atomic.Int64
}

// shot is an operation as the contract has it.
type shot struct {
	method, path string
	parameters   openapi3.Parameters
	*openapi3.Operation
}

func newTarget(f *testing.F) *target {
	f.Helper()
	out := &target{database: localtest.Database(f).Gateway, document: readContract(f)}
	var err error
	out.contract, err = loadContract()
	require.NoError(f, err)
	gateway, err := New(f.Context(), Options{Listen: "127.0.0.1:0", DatabaseURL: out.database, Tenant: tenant, Host: "alpha", Log: zerolog.Nop()})
	require.NoError(f, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- gateway.Run(ctx) }()
	f.Cleanup(func() {
		stop()
		require.NoError(f, <-ended)
	})
	out.url = gateway.URL()
	each(out.document, func(method, path string, item *openapi3.PathItem, operation *openapi3.Operation) {
		out.operations = append(out.operations, shot{method, path, append(slices.Clone(item.Parameters), operation.Parameters...), operation})
	})
	slices.SortFunc(out.operations, func(a, b shot) int { return strings.Compare(a.OperationID, b.OperationID) })
	out.arm(f)
	out.fill(f)
	return out
}

// arm issues the tokens anew, whatever became of those before.
func (x *target) arm(t testing.TB) {
	t.Helper()
	tokens := make([]string, 0, 3)
	number := x.keys.Add(1)
	for _, who := range []struct {
		role, scope string
	}{{"admin", "admin"}, {"operator", "operate"}, {"worker", "worker"}} {
		name := fmt.Sprintf("%s-%d", who.role, number)
		require.NoError(t, EnsureIdentity(t.Context(), x.database, tenant, name, "human", []string{who.role}))
		token, err := IssueToken(t.Context(), x.database, tenant, name, []string{who.scope}, time.Hour)
		require.NoError(t, err)
		tokens = append(tokens, token)
	}
	x.tokens.Store(&tokens)
}

// fill puts something of everything into the register.
func (x *target) fill(t testing.TB) {
	t.Helper()
	admin := register.NewAPI(x.url, (*x.tokens.Load())[0])
	send := func(mutation register.Mutation, answer any) {
		require.NoError(t, admin.Send(t.Context(), register.By{Key: fmt.Sprint("fill-", x.keys.Add(1))}, mutation, answer))
	}
	send(register.PutIdentity("ada", register.IdentityRequest{Kind: "human", MatrixID: "@ada:localhost", Roles: []register.FleetRole{"board", "operator"}}), nil)
	send(register.PutSeat("cto", register.SeatRequest{Lens: "feasibility", Identity: "ada"}), nil)
	send(register.BindRoom(register.RoomBinding{Room: "!fleet:example.org", Purposes: []register.RoomPurpose{"fleet"}}), nil)
	send(register.SetBudget(register.BudgetSetRequest{Provider: "claude", Unit: "credits", LimitMicros: 500_000_000, ResetAt: time.Now().Add(time.Hour)}), nil)
	send(register.DeclareAgent("coder-1", register.AgentDeclaration{Subscriptions: []string{"claude"}}), nil)
	for range 12 {
		var dispatch register.Dispatch
		send(register.CreateDispatch(ask(1)), &dispatch)
		x.known = append(x.known, dispatch.ID)
	}
	for range 7 {
		var proposal register.Proposal
		send(register.OpenProposal(register.ProposalRequest{Title: "Standing"}), &proposal)
		x.known = append(x.known, proposal.ID)
	}
	for range 3 {
		var claim register.Claim
		send(register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}), &claim)
		x.known = append(x.known, claim.ID)
	}
	for range 3 {
		var issued register.IssuedToken
		send(register.IssueTokenTo(register.TokenRequest{Identity: "ada", Scopes: []register.TokenScope{"read"}}), &issued)
		x.known = append(x.known, issued.Token.ID)
	}
	x.known = append(x.known, "cto", "ada", "claude", "main", "coder", "coder-1", "!fleet:example.org", "@ada:localhost", "credits", `"1"`, "*")
}

// shoot sends one altered request and looks at its answer.
func (x *target) shoot(t *testing.T, at *shot, seed uint64, raw []byte) {
	random := rand.New(rand.NewPCG(seed, 1))
	request, err := x.alter(t.Context(), at, random, raw)
	if err != nil {
		return // what no client can send
	}
	status, header, answer, err := exchange(request)
	require.NotErrorIs(t, err, context.DeadlineExceeded, "%s %s is answered in time", request.Method, request.URL)
	if err != nil {
		return // the same, found by the client
	}
	require.Less(t, status, http.StatusInternalServerError, "%s %s\n%.2000s", request.Method, request.URL, answer)
	if status == http.StatusUnauthorized {
		x.arm(t)
	}
	x.keepsTo(t, at, request, status, header, answer)
}

// exchange sends a request. A stream has no end, so only the beginning of its answer is read.
func exchange(request *http.Request) (int, http.Header, []byte, error) {
	ctx, cancel := context.WithTimeout(request.Context(), 20*time.Second)
	defer cancel()
	response, err := http.DefaultClient.Do(request.WithContext(ctx))
	if err != nil {
		return 0, nil, nil, err
	}
	defer response.Body.Close()
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return response.StatusCode, response.Header, nil, nil
	}
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, answer, err
}

// keepsTo checks an answer against the contract.
func (x *target) keepsTo(t *testing.T, at *shot, request *http.Request, status int, header http.Header, answer []byte) {
	t.Helper()
	if status >= 400 && at.OperationID != "ready" {
		require.Equal(t, "application/problem+json", header.Get("Content-Type"), "%s %s answered %d %.300s", request.Method, request.URL, status, answer)
		p := problemIn(t, answer)
		require.NotEmpty(t, p.NextStep, "%s", answer)
		require.NotEmpty(t, p.RequestID, "%s", answer)
	}
	route, path, err := x.contract.find(request)
	if err != nil || strings.HasPrefix(header.Get("Content-Type"), "text/event-stream") {
		return
	}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: path, Route: route},
		Status:                 status, Header: header, Body: io.NopCloser(bytes.NewReader(answer)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	require.NoError(t, err, "%s %s answered %d %.2000s", request.Method, request.URL, status, answer)
}

// alter makes a request of an operation's example and changes some of it.
func (x *target) alter(ctx context.Context, at *shot, random *rand.Rand, raw []byte) (*http.Request, error) {
	path, query, headers := at.path, url.Values{}, http.Header{}
	tokens := *x.tokens.Load()
	headers.Set("Authorization", "Bearer "+tokens[min(random.IntN(8), len(tokens)-1)%len(tokens)])
	if random.IntN(3) > 0 {
		headers.Set("Authorization", "Bearer "+tokens[0])
	}
	for _, parameter := range at.parameters {
		value, send := x.value(parameter.Value, random)
		switch {
		case parameter.Value.In == openapi3.ParameterInPath:
			path = strings.ReplaceAll(path, "{"+parameter.Value.Name+"}", url.PathEscape(value))
		case parameter.Value.Name == "Idempotency-Key" && random.IntN(10) > 0:
			headers.Set(parameter.Value.Name, fmt.Sprintf("%s-%d", at.OperationID, x.keys.Add(1)))
		case !send:
		case parameter.Value.In == openapi3.ParameterInQuery:
			query.Add(parameter.Value.Name, value)
		default:
			headers.Set(parameter.Value.Name, value)
		}
	}
	if random.IntN(20) == 0 {
		query.Set(oddText(random), oddText(random))
	}
	body := raw
	if len(raw) == 0 && at.RequestBody != nil {
		body = x.alterBody(today(exampleOf(at.RequestBody.Value.Content.Get("application/json"))), random)
	}
	address := x.url + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, at.method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = headers
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	for name, values := range headers {
		if strings.ContainsAny(values[0], "\r\n\x00") {
			return nil, errors.New("no header: " + name)
		}
	}
	return request, nil
}

// value is a parameter's example, something that exists, or something odd; send is false where it is left out.
func (x *target) value(parameter *openapi3.Parameter, random *rand.Rand) (value string, send bool) {
	example := fmt.Sprint(parameter.Example)
	if list, isList := parameter.Example.([]any); isList {
		example = fmt.Sprint(list[0])
	}
	switch random.IntN(8) {
	case 0:
		return oddText(random), true
	case 1, 2:
		return x.known[random.IntN(len(x.known))], true
	case 3:
		return fmt.Sprint(oddities[random.IntN(len(oddities))]), true
	}
	return example, parameter.In == openapi3.ParameterInPath || random.IntN(3) == 0
}

// oddities are values that programs have broken at.
var oddities = []any{
	nil, true, false, 0, -1, 1, 1.5, math.Copysign(0, -1), 1e300, json.Number("1e999"), json.Number("9223372036854775807"), json.Number("9223372036854775808"),
	json.Number("-9223372036854775808"), json.Number("1000000000000000001"), json.Number("0.1e1"), json.Number("99999999999999999999999999999999999999"),
	"", " ", "\t\n", "\u0000", "a\u0000b", "\ufeff", "\u202e🙂\u2066", "ÿ\u0300\u0301", "D-0", "D-1", "D-99999999999999999999", "d-007", "P-1", "T-1", "-1", "0",
	"2147483648", "9223372036854775808", "NaN", "Infinity", "null", "true", "{}", "[]", "'; DROP TABLE fleet.dispatches; --", "%00", "%s%n", "../../etc/passwd",
	"0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2016-12-31T23:59:60Z", "2026-02-30T00:00:00Z", "1969-12-31T23:59:59.999999999Z", "infinity", "now",
	strings.Repeat("long", 20_000), strings.Repeat("é", 65_536), strings.Repeat("\"", 500), "open", "credits", "claude", "admin", "coder-1",
	[]any{},
	[]any{nil},
	[]any{[]any{[]any{}}},
	map[string]any{},
	map[string]any{"": ""},
	map[string]any{"unit": "credits", "micros": -1},
}

func oddText(random *rand.Rand) string {
	runes := make([]rune, random.IntN(12))
	for i := range runes {
		runes[i] = []rune{rune(random.IntN(128)), rune(random.IntN(0x10ffff)), 0, '/', '%', '?', '#', '"', '\\', '\u202e', '𝔘', '.'}[random.IntN(12)]
	}
	text := string(runes)
	if random.IntN(10) == 0 {
		text += "\xff\xc0\xaf"
	}
	return text
}

// alterBody changes up to three values of a JSON text, and sometimes the text itself.
func (x *target) alterBody(example string, random *rand.Rand) []byte {
	var value any
	_ = json.Unmarshal([]byte(example), &value)
	for range random.IntN(4) {
		value = x.alterValue(value, random)
	}
	body, err := json.Marshal(value)
	if err != nil {
		return []byte(example)
	}
	switch random.IntN(30) {
	case 0:
		return body[:random.IntN(len(body)+1)]
	case 1:
		return append(body, body...)
	case 2:
		at := random.IntN(len(body) + 1)
		return slices.Concat(body[:at], []byte{byte(random.IntN(256))}, body[at:])
	case 3:
		return bytes.ReplaceAll(body, []byte(`":`), []byte(`": `+strings.Repeat("[", random.IntN(3000))))
	}
	return body
}

// alterValue changes one value somewhere in a JSON value.
func (x *target) alterValue(value any, random *rand.Rand) any {
	switch node := value.(type) {
	case map[string]any:
		if len(node) == 0 || random.IntN(6) == 0 {
			break
		}
		names := sortedKeys(node)
		name := names[random.IntN(len(names))]
		switch random.IntN(10) {
		case 0:
			delete(node, name)
		case 1:
			node[oddText(random)] = node[name]
		default:
			node[name] = x.alterValue(node[name], random)
		}
		return node
	case []any:
		if len(node) == 0 || random.IntN(6) == 0 {
			break
		}
		if random.IntN(6) == 0 {
			return slices.Repeat(node, 1+random.IntN(60))
		}
		at := random.IntN(len(node))
		node[at] = x.alterValue(node[at], random)
		return node
	}
	switch random.IntN(4) {
	case 0:
		return x.known[random.IntN(len(x.known))]
	case 1:
		return oddText(random)
	}
	return oddities[random.IntN(len(oddities))]
}
