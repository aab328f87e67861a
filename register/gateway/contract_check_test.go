package gateway

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// keepsToTheContract checks every answer a test's gateway gives, whatever the test is about, against openapi.yaml.
func keepsToTheContract(t testing.TB, next http.Handler) http.Handler {
	t.Helper()
	contract, err := loadContract()
	require.NoError(t, err)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route, path, err := contract.find(r)
		if err != nil {
			next.ServeHTTP(w, r)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/events") {
			next.ServeHTTP(&streaming{ResponseWriter: w, t: t, request: r, allowed: codesOf(route.Operation)}, r)
			return
		}
		allowed := codesOf(route.Operation)
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		checked := openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: path, Route: route},
			Status:                 answer.Code, Header: answer.Header(),
			Body:    io.NopCloser(bytes.NewReader(answer.Body.Bytes())),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		})
		assert.NoError(t, checked, "%s %s answered %d %s", r.Method, r.URL.Path, answer.Code, answer.Body)
		checkProblem(t, r, allowed, answer)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// checkProblem looks at what every problem has, whichever test meets it: a code the operation may answer with, and what to do next.
func checkProblem(t testing.TB, r *http.Request, allowed []register.ProblemCode, answer *httptest.ResponseRecorder) {
	t.Helper()
	if answer.Header().Get("Content-Type") != "application/problem+json" {
		assert.True(t, answer.Code < 400 || answer.Code == http.StatusServiceUnavailable && r.URL.Path == "/readyz", "%s %s answered %d %s", r.Method, r.URL.Path, answer.Code, answer.Body)
		return
	}
	var p register.Problem
	if !assert.NoError(t, json.Unmarshal(answer.Body.Bytes(), &p)) {
		return
	}
	assert.NotEmpty(t, p.NextStep, "%s %s: %s", r.Method, r.URL.Path, answer.Body)
	assert.Equal(t, answer.Code, p.Status)
	assert.Equal(t, answer.Header().Get(requestIDHeader), p.RequestID)
	assert.Contains(t, allowed, p.Code, "%s %s: the contract does not say that it may answer so: %s", r.Method, r.URL.Path, answer.Body)
	produced.Store(p.Code, true)
}

// produced is every code that some test of this package was answered with.
var produced sync.Map

// TestMain fails if the tests all pass and yet no one of them has met one of the contract's codes.
func TestMain(m *testing.M) {
	failed := m.Run()
	whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""
	if failed == 0 && whole && flag.Lookup("test.fuzz").Value.String() == "" && flag.Lookup("test.list").Value.String() == "" {
		for code := range statuses {
			if _, met := produced.Load(code); !met {
				fmt.Printf("no test was answered with the code %s\n", code)
				failed = 1
			}
		}
	}
	os.Exit(failed)
}

// streaming hands a stream on as it comes, and looks at a problem that is answered instead of one.
type streaming struct {
	http.ResponseWriter
	t       testing.TB
	request *http.Request
	allowed []register.ProblemCode
	status  int
}

func (s *streaming) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (s *streaming) Write(body []byte) (int, error) {
	if s.status >= 400 {
		answer := httptest.NewRecorder()
		maps.Copy(answer.Header(), s.Header())
		answer.Code, answer.Body = s.status, bytes.NewBuffer(body)
		checkProblem(s.t, s.request, s.allowed, answer)
	}
	return s.ResponseWriter.Write(body)
}

// Unwrap lets http.ResponseController reach the connection.
func (s *streaming) Unwrap() http.ResponseWriter { return s.ResponseWriter }
