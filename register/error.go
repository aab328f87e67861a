package register

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Error is what the gateway answered instead of a result, or that it could not be reached (Status 0).
type Error struct {
	Status     int
	Code       ProblemCode
	Detail     string // one sentence a person can act on
	Field      string
	Example    string
	NextStep   string
	RequestID  string
	RetryAfter time.Duration
	// Resync says how a reader goes on whose position in the event log is gone; nil for any other error.
	Resync *Resync

	retry bool
	cause error
}

// Error is the sentence, the example and the next step, and for a failure of the gateway the request its log tells more about.
func (e *Error) Error() string {
	text := e.Detail
	if e.Example != "" {
		text += " Example: " + e.Example
	}
	if e.NextStep != "" {
		text += " " + e.NextStep
	}
	if e.Status >= http.StatusInternalServerError && e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

func (e *Error) Unwrap() error { return e.cause }

// Retry says whether the command was not consumed: send the same bytes with the same key again.
func (e *Error) Retry() bool { return e.retry }

// Retryable says whether err left the command unconsumed, so that the same request is sent again later.
func Retryable(err error) bool {
	var failure *Error
	return errors.As(err, &failure) && failure.Retry()
}

// CodeOf is the stable code of a gateway error, or empty.
func CodeOf(err error) ProblemCode {
	var failure *Error
	if errors.As(err, &failure) {
		return failure.Code
	}
	return ""
}

// ResyncOf is how a reader goes on whose position in the event log is gone, if err says so.
func ResyncOf(err error) (Resync, bool) {
	var failure *Error
	if errors.As(err, &failure) && failure.Resync != nil {
		return *failure.Resync, true
	}
	return Resync{}, false
}

// consumes lists the answers that end a command; every other failure is retried with the same key.
func consumes(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status < 500
}

// nestProblem is the error shape of Mosaic's NestJS gateway; message is a string or a list of them.
type nestProblem struct {
	StatusCode int             `json:"statusCode"`
	Message    json.RawMessage `json:"message"`
	Error      string          `json:"error"`
}

// problem reads an RFC 9457 body, a NestJS body, or neither, into one clear sentence.
func problem(response *http.Response, body []byte) *Error {
	failure := &Error{
		Status:     response.StatusCode,
		RetryAfter: retryAfter(response.Header),
		RequestID:  response.Header.Get("X-Request-ID"),
		retry:      !consumes(response.StatusCode),
	}
	var details Problem
	if json.Unmarshal(body, &details) == nil && details.Code != "" {
		failure.Code, failure.Detail, failure.Field = details.Code, details.Detail, details.Field
		failure.Example, failure.NextStep = details.Example, details.NextStep
		if details.Code == ProblemCodeGone && details.Resync.After > 0 {
			failure.Resync = &details.Resync
		}
		return failure
	}
	failure.Code = codeOf(response.StatusCode)
	failure.Detail = sentence(nestMessage(body, response.StatusCode))
	return failure
}

func nestMessage(body []byte, status int) string {
	var nest nestProblem
	if json.Unmarshal(body, &nest) == nil {
		if many := nestMessages(nest.Message); len(many) > 0 {
			return strings.Join(many, "; ")
		}
		if nest.Error != "" {
			return nest.Error
		}
	}
	return fmt.Sprintf("The gateway answered %d %s", status, http.StatusText(status))
}

// nestMessages reads what its validation reports: sentences, or a property with its broken constraints, which may be nested.
func nestMessages(message json.RawMessage) []string {
	var list []json.RawMessage
	if json.Unmarshal(message, &list) != nil {
		list = []json.RawMessage{message}
	}
	var messages []string
	for _, entry := range list {
		var text string
		var broken struct {
			Message     json.RawMessage   `json:"message"`
			Constraints map[string]string `json:"constraints"`
			Children    json.RawMessage   `json:"children"`
		}
		switch {
		case json.Unmarshal(entry, &text) == nil:
			if text = strings.TrimRight(strings.TrimSpace(text), ".;"); text != "" {
				messages = append(messages, text)
			}
		case json.Unmarshal(entry, &broken) == nil:
			for _, name := range slices.Sorted(maps.Keys(broken.Constraints)) {
				messages = append(messages, broken.Constraints[name])
			}
			for _, inner := range []json.RawMessage{broken.Message, broken.Children} {
				if len(inner) > 0 {
					messages = append(messages, nestMessages(inner)...)
				}
			}
		}
	}
	return messages
}

func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return "The gateway gave no reason."
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.ContainsAny(text[len(text)-1:], ".!?") {
		text += "."
	}
	return text
}

func codeOf(status int) ProblemCode {
	switch status {
	case http.StatusUnauthorized:
		return ProblemCodeUnauthorized
	case http.StatusForbidden:
		return ProblemCodeForbidden
	case http.StatusNotFound:
		return ProblemCodeNotFound
	case http.StatusGone:
		return ProblemCodeGone
	case http.StatusTooManyRequests:
		return ProblemCodeRateLimited
	}
	if status >= 500 {
		return ProblemCodeUnavailable
	}
	return ProblemCodeInvalid
}
