package gateway

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// strange is what is put where something else belongs.
var strange = []string{
	"", " ", "0", "-1", "1e309", "9223372036854775808", "null", "true", "D-1", "D-0", "P-1", "T-1", "claude", "main", "coder-1", "olga", "\x00", "\xff\xfe", "\ufeff",
	"🙂\u202e", "%00", "..", "../../etc", "'; DROP TABLE fleet.dispatches; --", "{}", "[]", strings.Repeat("[", 3000), strings.Repeat("x", 9000), "2016-12-31T23:59:60Z", "\"1\"", "*", "W/\"1\"",
}

// TestFuzzingEveryOperationFindsNo500 sends altered requests to every operation of the contract: parameters, headers and bodies. It
// goes on for three seconds, or for as long as FUZZ says (`make fuzz`: a minute).
func TestFuzzingEveryOperationFindsNo500(t *testing.T) {
	t.Parallel()
	long := 3 * time.Second
	if asked := os.Getenv("FUZZ"); asked != "" {
		var err error
		long, err = time.ParseDuration(asked)
		require.NoError(t, err, "FUZZ is how long to go on, such as 60s")
	}
	b := setup(t)
	b.budget(t)
	b.seated(t)
	b.dispatch(t, ask(1))
	document, err := openapi3.NewLoader().LoadFromData(register.Contract)
	require.NoError(t, err)
	f := fuzzer{luck: rand.New(rand.NewPCG(rand.Uint64(), 0)), document: document}
	paths := document.Paths.InMatchingOrder()
	sent, answered := 0, make(map[string]map[int]bool)
	for until := time.Now().Add(long); time.Now().Before(until); sent++ {
		path := paths[f.luck.IntN(len(paths))]
		item := document.Paths.Value(path)
		for method, operation := range item.Operations() {
			if operation.OperationID == "streamEvents" || operation.OperationID == "revokeToken" || operation.OperationID == "rotateToken" {
				continue // one does not end, and the others would end the tokens this is asked with
			}
			address, headers := f.address(path, append(slices.Clone(item.Parameters), operation.Parameters...))
			token := b.tokens[[]string{"root", "root", "olga", "coder-1", "vera", "mosaic-bot"}[f.luck.IntN(6)]]
			body := f.body(operation)
			status, _, answer := b.raw(t, method, address, token, body, headers...)
			require.Less(t, status, http.StatusInternalServerError, "%s %s %q\n%.400q\n%s", method, address, headers, body, answer)
			if answered[operation.OperationID] == nil {
				answered[operation.OperationID] = make(map[int]bool)
			}
			answered[operation.OperationID][status/100] = true
		}
	}
	t.Logf("%d rounds: %d operations answered", sent, len(answered))
	if long >= time.Minute {
		delete(answered, "health") // these two have nothing that could be wrong
		delete(answered, "ready")
		for operation, statuses := range answered {
			require.True(t, statuses[4], "nothing that was sent to %s was wrong", operation)
		}
	}
}

// fuzzer alters requests.
type fuzzer struct {
	luck     *rand.Rand
	document *openapi3.T
}

func (f fuzzer) oneOf(texts []string) string { return texts[f.luck.IntN(len(texts))] }

// address fills a path and its query, and picks headers, mostly with what the contract's examples have.
func (f fuzzer) address(path string, parameters openapi3.Parameters) (string, []string) {
	query, headers := url.Values{}, []string{"Idempotency-Key", f.oneOf([]string{"k-" + strconv.FormatUint(f.luck.Uint64(), 36), "same", ""})}
	for _, reference := range parameters {
		parameter := reference.Value
		value, _ := parameter.Example.(string)
		if value == "" || f.luck.IntN(3) == 0 {
			value = f.oneOf(strange)
		}
		switch parameter.In {
		case "path":
			path = strings.ReplaceAll(path, "{"+parameter.Name+"}", url.PathEscape(value))
		case "query":
			if f.luck.IntN(2) == 0 {
				query.Set(parameter.Name, value)
			}
		case "header":
			if legal := strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) < 0; legal && parameter.Name != "Idempotency-Key" && f.luck.IntN(4) == 0 {
				headers = append(headers, parameter.Name, value)
			}
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path, headers
}

// body is the operation's example with a few fields altered, or something else altogether.
func (f fuzzer) body(operation *openapi3.Operation) string {
	if operation.RequestBody == nil || f.luck.IntN(8) == 0 {
		return f.oneOf([]string{"", f.oneOf(strange)})
	}
	media := operation.RequestBody.Value.Content.Get("application/json")
	example := media.Example
	for _, named := range media.Examples {
		example = named.Value.Value
	}
	text, err := json.Marshal(f.altered(example))
	if err != nil {
		return "{"
	}
	return string(text)
}

// altered puts something strange into a value, here and there, at any depth.
func (f fuzzer) altered(value any) any {
	if f.luck.IntN(6) == 0 {
		return []any{nil, true, -1, 1.5, 1e300, int64(1) << 62, f.oneOf(strange), []any{}, map[string]any{}, []any{nil, []any{f.oneOf(strange)}}}[f.luck.IntN(10)]
	}
	switch value := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(value))
		for name, inner := range value {
			switch f.luck.IntN(12) {
			case 0:
			case 1:
				out[name+f.oneOf(strange)] = inner
			default:
				out[name] = f.altered(inner)
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(value))
		for _, inner := range value {
			out = append(out, f.altered(inner))
		}
		return out
	}
	return value
}
