package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// contract is openapi.yaml as a measure: of an answer, and of an event.
type contract struct {
	document *openapi3.T
	router   routers.Router
}

func readContract() (*contract, error) {
	document, err := openapi3.NewLoader().LoadFromData(register.Contract)
	if err != nil {
		return nil, fmt.Errorf("reading the contract: %w", err)
	}
	document.Servers = nil // it is held against whatever address is tried
	router, err := legacy.NewRouter(document)
	if err != nil {
		return nil, fmt.Errorf("routing by the contract: %w", err)
	}
	document.OpenAPI = "3.0.3" // as 3.1 every answer would have its schema compiled anew, for keywords that the contract does not use
	return &contract{document, router}, nil
}

// operations lists what the contract has.
func (c *contract) operations() []string {
	var names []string
	for _, item := range c.document.Paths.Map() {
		for _, operation := range item.Operations() {
			names = append(names, operation.OperationID)
		}
	}
	slices.Sort(names)
	return names
}

// check holds an answer against the operation that was asked for; an address the contract does not have has no operation.
func (c *contract) check(request *http.Request, got answer) (operation string, err error) {
	route, path, missing := c.router.FindRoute(request)
	if missing == nil {
		operation = route.Operation.OperationID
	}
	if got.status >= http.StatusBadRequest {
		if err := c.checkProblem(got); err != nil && operation != "ready" {
			return operation, err
		}
	}
	if missing != nil {
		return "", nil
	}
	err = openapi3filter.ValidateResponse(request.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: path, Route: route},
		Status:                 got.status, Header: got.header, Body: io.NopCloser(bytes.NewReader(got.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
	if err != nil {
		return operation, seen("answered %s, in which %s", got, breach(err))
	}
	return operation, nil
}

// checkProblem holds an error against RFC 9457 and against what the contract says of its members beyond their types.
func (c *contract) checkProblem(got answer) error {
	if sentence := nestOf(got.body); sentence != "" {
		return seen("answered a NestJS error {statusCode, message, error} (“%s”) instead of problem details with a stable code", sentence)
	}
	var value any
	if err := json.Unmarshal(got.body, &value); err != nil {
		return seen("answered %s instead of problem details", got)
	}
	if err := c.document.Components.Schemas["Problem"].Value.VisitJSON(value); err != nil {
		return seen("answered %s, in which %s", got, breach(err))
	}
	var problem register.Problem
	_ = json.Unmarshal(got.body, &problem) // the schema holds
	detail := strings.TrimSpace(problem.Detail)
	switch {
	case !strings.HasPrefix(got.header.Get("Content-Type"), "application/problem+json"):
		return seen("answered %s as %q, not as application/problem+json", got, got.header.Get("Content-Type"))
	case problem.Status != got.status:
		return seen("answered %s whose member status says %d", got, problem.Status)
	case problem.Type != "/problems/"+string(problem.Code):
		return seen("answered %s of the type %q, not /problems/%s", got, problem.Type, problem.Code)
	case problem.Title == "":
		return seen("answered %s without a title", got)
	case detail == "" || strings.Contains(detail, "\n") || !strings.ContainsAny(detail[len(detail)-1:], ".!?"):
		return seen("answered %s, whose detail is not one sentence", got)
	}
	return nil
}

// checkEvent holds the data of an event against its schema.
func (c *contract) checkEvent(data []byte) error {
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return seen("told %s, which is not JSON", oneLine(string(data)))
	}
	if err := c.document.Components.Schemas["Event"].Value.VisitJSON(value); err != nil {
		return seen("told an event in which %s: %s", breach(err), oneLine(string(data)))
	}
	return nil
}

// breach is the one thing that is wrong, without the schema that says so.
func breach(err error) string {
	var schema *openapi3.SchemaError
	if errors.As(err, &schema) {
		where := strings.Join(schema.JSONPointer(), ".")
		if where == "" {
			where = "the whole"
		}
		return where + " is wrong: " + schema.Reason
	}
	var response *openapi3filter.ResponseError
	if errors.As(err, &response) {
		return response.Reason
	}
	return err.Error()
}

// shapes is what was seen of each operation's answers: whether it was asked, and the first that was wrong.
type shapes struct {
	mutex sync.Mutex
	asked map[string]bool
	wrong map[string]error
}

func newShapes() *shapes { return &shapes{asked: make(map[string]bool), wrong: make(map[string]error)} }

func (s *shapes) note(operation string, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.asked[operation] = true
	if err != nil && s.wrong[operation] == nil {
		s.wrong[operation] = err
	}
}

// shapeResults is one promise an operation, kept by every answer it gave to whatever else was tried. If only some areas are,
// what they do not ask for is no promise of theirs.
func (t *trial) shapeResults() []Result {
	t.shapes.mutex.Lock()
	defer t.shapes.mutex.Unlock()
	var results []Result
	for _, operation := range append(t.contract.operations(), "") {
		result := Result{Area: "shapes", Promise: shapePromise(operation)}
		switch {
		case t.shapes.wrong[operation] != nil:
			result.Seen = t.shapes.wrong[operation].Error()
		case !t.shapes.asked[operation] && len(t.options.Only) > 0:
			continue
		case !t.shapes.asked[operation]:
			result.NotTried = "nothing that was tried asked for it"
		}
		results = append(results, result)
	}
	return results
}

func shapePromise(operation string) string {
	if operation == "" {
		return "what does not exist answers problem details"
	}
	return operation + " answers in the contract's shape"
}
