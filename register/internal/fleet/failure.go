package fleet

import (
	"errors"
	"fmt"
	"strings"
)

// Error is a refusal by a rule of the register: nothing was changed. Its codes are those of the gateway API.
type Error struct {
	Code     string
	Detail   string // one sentence
	Field    string
	Example  string
	NextStep string
	Current  any // what stands there now, with CodePreconditionFailed
}

func (e *Error) Error() string { return e.Detail }

// The codes of the errors the register itself returns.
const (
	CodeInvalid             = "invalid"
	CodeForbidden           = "forbidden"
	CodeActorUnknown        = "actor_unknown"
	CodeActorLooksAlike     = "actor_looks_alike"
	CodeUnauthorized        = "unauthorized"
	CodeNotFound            = "not_found"
	CodeIdempotencyMismatch = "idempotency_mismatch"
	CodeUnitMismatch        = "unit_mismatch"
	CodeResetInPast         = "reset_in_past"
	CodeWindowLapsed        = "window_lapsed"
	CodeLimitNotPositive    = "limit_not_positive"
	CodeNotOpen             = "not_open"
	CodeNotReset            = "not_reset"
	CodeNotSeated           = "not_seated"
	CodeNotRefused          = "not_refused"
	CodeClaimLost           = "claim_lost"
	CodeActualMissing       = "actual_missing"
	CodeContextCap          = "context_cap"
	CodeCapReached          = "cap_reached"
	CodeNotRetryable        = "not_retryable"
	CodeAlreadyRetried      = "already_retried"
	CodeTokenEnded          = "token_ended"
	CodePreconditionFailed  = "precondition_failed"
	CodeAgentRetired        = "agent_retired"
	CodeProviderLimit       = "provider_limit"
)

func notFound(what string, next string) error {
	return &Error{Code: CodeNotFound, Detail: fmt.Sprintf("There is no %s.", what), NextStep: next}
}

// sentence is a rule's error as a person reads it.
func sentence(err error) string {
	text := err.Error()
	return stopped(strings.ToUpper(text[:1]) + text[1:])
}

// refusal is the rule's refusal in an error, or nil.
func refusal(err error) *Error {
	var refused *Error
	if errors.As(err, &refused) {
		return refused
	}
	return nil
}
