package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

const requestIDHeader = "X-Request-ID"

var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// handler is the way of every request: it gets an ID and a line in the log, the contract says what it asks for, the token who asks,
// the rules whether they may, the contract whether it is whole; then the operation runs.
func (g *Gateway) handler() (http.Handler, error) {
	contract, err := loadContract()
	if err != nil {
		return nil, err
	}
	calls := http.NewServeMux()
	HandlerFromMux(NewStrictHandlerWithOptions(&operations{g}, nil, StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  undecodable,
		ResponseErrorHandlerFunc: answer,
	}), calls)
	pages := map[string]http.Handler{
		"/metrics": g.metrics.handler(), "/api/fleet/openapi.json": serve("application/json", contract.document),
		"/api/fleet/": servePage(contract.page), "/api/fleet/docs": servePage(contract.page),
	}
	return g.log(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page := pages[r.URL.Path]; page != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			page.ServeHTTP(w, r)
			return
		}
		if err := g.admit(contract, &r); err != nil {
			answer(w, r, err)
			return
		}
		calls.ServeHTTP(w, r)
	})), nil
}

func serve(kind string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(body)
	}
}

// admit lets a request through to its operation, with the call it makes in its context.
func (g *Gateway) admit(contract *contract, r **http.Request) error {
	route, path, err := contract.find(*r)
	if err == nil {
		observed((*r).Context(), route.Operation.OperationID)
		if open(route.Operation) {
			return nil
		}
	}
	if err := errors.Join(legible(*r), err); err != nil {
		return err
	}
	asked, err := g.authenticate(*r)
	if err != nil {
		return err
	}
	asked.note((*r).Context())
	if err := g.limit(asked); err != nil {
		return err
	}
	if err := authorize(asked, route.Operation.OperationID); err != nil {
		return err
	}
	if err := contract.check(*r, route, path, &asked); err != nil {
		return err
	}
	*r = (*r).WithContext(context.WithValue((*r).Context(), callKey{}, asked))
	return nil
}

// seen is what the log and the metrics learn about a request on its way.
type seen struct {
	operation string
	status    int
	http.ResponseWriter
}

func (s *seen) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *seen) Write(body []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	return s.ResponseWriter.Write(body)
}

// Unwrap lets http.ResponseController reach the connection.
func (s *seen) Unwrap() http.ResponseWriter { return s.ResponseWriter }

type seenKey struct{}

func observed(ctx context.Context, operation string) {
	if s, ok := ctx.Value(seenKey{}).(*seen); ok {
		s.operation = operation
	}
}

// log gives every request an ID and writes one line about it: never its token, its body or a brief.
func (g *Gateway) log(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		id := r.Header.Get(requestIDHeader)
		if !requestID.MatchString(id) {
			id = uuid.NewString()
		}
		w.Header().Set(requestIDHeader, id)
		s := &seen{operation: "none", ResponseWriter: w}
		log := g.options.Log.With().Str("request_id", id).Logger()
		ctx := log.WithContext(context.WithValue(r.Context(), seenKey{}, s))
		r = r.WithContext(ctx)
		defer func() {
			if panicked := recover(); panicked != nil {
				answer(s, r, fmt.Errorf("panic: %v\n%s", panicked, debug.Stack()))
			}
			took := time.Since(began)
			g.metrics.observe(s.operation, s.status, took)
			zerolog.Ctx(ctx).Info().Str("method", r.Method).Str("path", r.URL.Path).Str("operation", s.operation).
				Int("status", s.status).Dur("took", took).Msg("Answered a request")
		}()
		next.ServeHTTP(s, r)
	})
}
