package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// statuses is the HTTP status of each code. A 4xx but 401, 408, 425 and 429 ends a command.
var statuses = map[register.ProblemCode]int{
	register.ProblemCodeInvalid:             http.StatusBadRequest,
	register.ProblemCodeUnauthorized:        http.StatusUnauthorized,
	register.ProblemCodeForbidden:           http.StatusForbidden,
	register.ProblemCodeActorUnknown:        http.StatusForbidden,
	register.ProblemCodeActorLooksAlike:     http.StatusForbidden,
	register.ProblemCodeNotSeated:           http.StatusForbidden,
	register.ProblemCodeNotFound:            http.StatusNotFound,
	register.ProblemCodeIdempotencyMismatch: http.StatusConflict,
	register.ProblemCodeWindowLapsed:        http.StatusConflict,
	register.ProblemCodeNotOpen:             http.StatusConflict,
	register.ProblemCodeNotReset:            http.StatusConflict,
	register.ProblemCodeNotRefused:          http.StatusConflict,
	register.ProblemCodeClaimLost:           http.StatusConflict,
	register.ProblemCodeCapReached:          http.StatusConflict,
	register.ProblemCodeNotRetryable:        http.StatusConflict,
	register.ProblemCodeAlreadyRetried:      http.StatusConflict,
	register.ProblemCodeTokenEnded:          http.StatusConflict,
	register.ProblemCodePreconditionFailed:  http.StatusPreconditionFailed,
	register.ProblemCodeAgentRetired:        http.StatusConflict,
	register.ProblemCodeProviderLimit:       http.StatusConflict,
	register.ProblemCodeGone:                http.StatusGone,
	register.ProblemCodeUnitMismatch:        http.StatusUnprocessableEntity,
	register.ProblemCodeResetInPast:         http.StatusUnprocessableEntity,
	register.ProblemCodeLimitNotPositive:    http.StatusUnprocessableEntity,
	register.ProblemCodeActualMissing:       http.StatusUnprocessableEntity,
	register.ProblemCodeContextCap:          http.StatusUnprocessableEntity,
	register.ProblemCodeRateLimited:         http.StatusTooManyRequests,
	register.ProblemCodeUnavailable:         http.StatusServiceUnavailable,
	register.ProblemCodeInternal:            http.StatusInternalServerError,
}

// problem is an answer that is not a result; Status 0 takes that of the code.
type problem register.Problem

func (p *problem) Error() string { return p.Detail }

// problemOf turns any error into what the caller may know about it.
func problemOf(err error) *problem {
	var known *problem
	var refusal *fleet.Error
	var gone *fleet.Gone
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refusal):
		return &problem{
			Code: register.ProblemCode(refusal.Code), Detail: refusal.Detail, Field: refusal.Field,
			Example: refusal.Example, NextStep: refusal.NextStep, Current: current(refusal),
		}
	case errors.As(err, &gone):
		return goneProblem(gone)
	case fleet.Unavailable(err), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &problem{
			Code: register.ProblemCodeUnavailable, Detail: "The gateway cannot reach its database right now.",
			NextStep: "Send the same request with the same key again.",
		}
	}
	return &problem{
		Code: register.ProblemCodeInternal, Detail: "The gateway failed at this request; its log says more under the request ID.",
		NextStep: "Send the same request with the same key again.",
	}
}

// current is what stands there now, where a refusal shows it.
func current(refusal *fleet.Error) json.RawMessage {
	if refusal.Current == nil {
		return nil
	}
	body, _ := json.Marshal(refusal.Current) // the register's own types
	return body
}

// answer writes an error as problem details, and logs it if it is ours.
func answer(w http.ResponseWriter, r *http.Request, err error) {
	p := *problemOf(err)
	if p.Status == 0 {
		p.Status = statuses[p.Code]
	}
	if p.NextStep == "" {
		p.NextStep = "Correct the request and send it with a new key."
	}
	p.Type, p.Title = "/problems/"+string(p.Code), http.StatusText(p.Status)
	p.RequestID = w.Header().Get(requestIDHeader)
	if p.Status >= http.StatusInternalServerError && r.Context().Err() == nil {
		zerolog.Ctx(r.Context()).Error().Err(err).Str("code", string(p.Code)).Msg("A request failed")
	}
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusTooManyRequests:
		var many *limited
		if errors.As(err, &many) {
			w.Header().Set("Retry-After", strconv.Itoa(many.retryAfter))
		}
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
