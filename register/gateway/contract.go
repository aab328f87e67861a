package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// bodyLimit bounds a request's body, completionLimit that of a completion, whose output may be escaped in JSON.
const (
	bodyLimit       = 1 << 20
	completionLimit = 8 << 20
)

func limitOf(operation string) int64 {
	if operation == "completeDispatch" {
		return completionLimit
	}
	return bodyLimit
}

// contract is openapi.yaml at work: it finds the operation of a request and checks the request against it.
type contract struct {
	document []byte // as JSON
	page     []byte // as HTML
	router   routers.Router
}

// loadContract reads it once for all gateways of a process, which takes most of a gateway's start.
var loadContract = sync.OnceValues(newContract)

func newContract() (*contract, error) {
	document, err := openapi3.NewLoader().LoadFromData(register.Contract)
	if err != nil {
		return nil, fmt.Errorf("reading the contract: %w", err)
	}
	describeCodes(document)
	page, err := docs(document)
	if err != nil {
		return nil, err
	}
	served, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("writing the contract as JSON: %w", err)
	}
	document.Servers = nil // it is served wherever the gateway is reached
	router, err := legacy.NewRouter(document)
	if err != nil {
		return nil, fmt.Errorf("routing by the contract: %w", err)
	}
	document.OpenAPI = quickVersion
	return &contract{document: served, page: page, router: router}, nil
}

// quickVersion is what the contract is taken for when values are checked. As 3.1 each value would have its schema compiled anew,
// which takes a hundred times as long, for keywords that the contract does not use.
const quickVersion = "3.0.3"

// find is the operation a request asks for.
func (c *contract) find(r *http.Request) (*routers.Route, map[string]string, error) {
	if path.Clean(r.URL.EscapedPath()) != r.URL.EscapedPath() {
		return nil, nil, nothingHere(r)
	}
	if route, values, err := c.router.FindRoute(r); err == nil {
		return route, values, nil
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, _, err := c.router.FindRoute(other); err == nil {
			return nil, nil, &problem{
				Code: register.ProblemCodeInvalid, Status: http.StatusMethodNotAllowed,
				Detail:   fmt.Sprintf("%s does not go with this address; %s does.", r.Method, method),
				NextStep: "See /api/fleet/ for what there is.",
			}
		}
	}
	return nil, nil, nothingHere(r)
}

// nothingHere is the answer where the contract has no address; a stray slash is pointed out.
func nothingHere(r *http.Request) error {
	p := &problem{
		Code: register.ProblemCodeNotFound, Detail: "There is nothing at this address.", NextStep: "See /api/fleet/ for what there is.",
	}
	if tidy := path.Clean(r.URL.EscapedPath()); tidy != r.URL.EscapedPath() {
		p.Example, p.NextStep = tidy, "Leave out the slashes and dots that lead nowhere, or see /api/fleet/ for what there is."
	}
	return p
}

// check reads the body, checks the request against the contract and adds the key and the hash to the call.
func (c *contract) check(r *http.Request, route *routers.Route, values map[string]string, asked *call) error {
	body, err := readBody(r, limitOf(route.Operation.OperationID))
	if err != nil {
		return err
	}
	if err := onlyKnown(r.URL, route); err != nil {
		return err
	}
	err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: values, Route: route,
		Options: &openapi3filter.Options{
			SkipSettingDefaults: true, // decoding them through float64 would round amounts
			AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc,
		},
	})
	if err != nil {
		return explain(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	asked.key, asked.match = r.Header.Get("Idempotency-Key"), r.Header.Get("If-Match")
	asked.hash = requestHash(r, body, asked.actor.Name)
	return nil
}

// onlyKnown refuses a parameter that would be ignored.
func onlyKnown(address *url.URL, route *routers.Route) error {
	known := []string{}
	for _, parameter := range append(slices.Clone(route.PathItem.Parameters), route.Operation.Parameters...) {
		if parameter.Value.In == openapi3.ParameterInQuery {
			known = append(known, parameter.Value.Name)
		}
	}
	slices.Sort(known)
	for _, name := range slices.Sorted(maps.Keys(address.Query())) {
		if slices.Contains(known, name) {
			continue
		}
		p := &problem{
			Code: register.ProblemCodeInvalid, Field: name, Example: address.Path, NextStep: "Leave it out, or see /api/fleet/ for what there is.",
			Detail: fmt.Sprintf("%s is no parameter of this address, which has none.", name),
		}
		if len(known) > 0 {
			p.Detail = fmt.Sprintf("%s is no parameter of this address; there are %s.", name, listing(known))
			p.Example += "?" + known[0] + "="
		}
		return p
	}
	return nil
}

// listing joins names as a sentence does: a, b and c.
func listing(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func readBody(r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, limit))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, &problem{
			Code: register.ProblemCodeInvalid, Status: http.StatusRequestEntityTooLarge,
			Detail: fmt.Sprintf("The body is larger than %d bytes.", limit), NextStep: "Send less; a long brief can be a reference.",
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", errors.Join(err, context.Canceled))
	}
	if len(body) > 0 && !json.Valid(body) {
		return nil, &problem{Code: register.ProblemCodeInvalid, Detail: "The body is not valid JSON."}
	}
	if zeroByte(body) {
		return nil, illegible("The body")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

// legible refuses what the database could not hold as text.
func legible(r *http.Request) error {
	address, err := url.PathUnescape(r.URL.EscapedPath())
	if err != nil || !isText(address) {
		return illegible("The address")
	}
	for name, values := range r.URL.Query() {
		for _, value := range values {
			if !isText(name) || !isText(value) {
				return illegible("The query")
			}
		}
	}
	for _, name := range []string{"Idempotency-Key", "Mosaic-Actor", "Last-Event-ID", "If-Match"} {
		if !isText(r.Header.Get(name)) {
			return illegible(name)
		}
	}
	return nil
}

func isText(text string) bool { return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 }

func illegible(what string) error {
	return &problem{
		Code: register.ProblemCodeInvalid, Detail: what + " holds bytes that are no text.",
		NextStep: "Send UTF-8 without zero bytes.",
	}
}

// zeroByte finds a NUL, raw or escaped, which the database cannot hold. An escaped backslash before u0000 is no escape.
func zeroByte(body []byte) bool {
	if bytes.IndexByte(body, 0) >= 0 {
		return true
	}
	for rest := body; ; {
		at := bytes.Index(rest, []byte(`\u0000`))
		if at < 0 {
			return false
		}
		slashes := len(rest[:at+1]) - len(bytes.TrimRight(rest[:at+1], `\`))
		if slashes%2 == 1 {
			return true
		}
		rest = rest[at+1:]
	}
}

// requestHash is what makes two requests the same: method, path, body and actor, and what must stand there before.
func requestHash(r *http.Request, body []byte, actor string) []byte {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s %s\n%s\n%d\n", r.Method, r.URL.RequestURI(), actor, len(body))
	hash.Write(body)
	if match := r.Header.Get("If-Match"); match != "" {
		fmt.Fprintf(hash, "\n%s", match)
	}
	return hash.Sum(nil)
}
