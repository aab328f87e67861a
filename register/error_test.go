package register_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// answering is a gateway that always answers the same, which is the fault under test.
func answering(t *testing.T, status int, header http.Header, body string) *register.API {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for name := range header {
			w.Header().Set(name, header.Get(name))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return register.NewAPI(server.URL, "a-token")
}

func refusal(t *testing.T, api *register.API) *register.Error {
	t.Helper()
	err := api.Send(t.Context(), register.By{Key: "k"}, register.CancelDispatch("D-1", ""), nil)
	var failure *register.Error
	require.ErrorAs(t, err, &failure)
	return failure
}

func TestAProblemBecomesOneSentenceWithItsExample(t *testing.T) {
	t.Parallel()
	failure := refusal(t, answering(t, 422, nil, `{"type":"/problems/reset_in_past","title":"t","status":422,"code":"reset_in_past",
		"detail":"The reset lies in the past.","field":"reset_at","example":"+5h"}`))
	require.Equal(t, register.ProblemCodeResetInPast, failure.Code)
	require.Equal(t, "The reset lies in the past. Example: +5h", failure.Error())
	require.False(t, failure.Retry())
}

func TestANestJSErrorStillGivesOneClearSentence(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"one message":   `{"statusCode":400,"message":"role must be a string","error":"Bad Request"}`,
		"many messages": `{"statusCode":400,"message":["role must be a string"],"error":"Bad Request"}`,
	} {
		failure := refusal(t, answering(t, 400, nil, body))
		require.Equal(t, "Role must be a string.", failure.Error(), name)
	}
	for body, want := range map[string]string{
		`{"statusCode":404,"message":"Cannot GET /api/fleet/dispatches","error":"Not Found"}`:                       "Cannot GET /api/fleet/dispatches.",
		`{"statusCode":400,"message":["role should not be empty","brief must be a string."],"error":"Bad Request"}`: "Role should not be empty; brief must be a string.",
		`{"message":{"statusCode":400,"message":["limit must be positive"]},"statusCode":400}`:                      "Limit must be positive.",
		`{"statusCode":422,"message":[{"property":"estimate","constraints":{},"children":[{"property":"0",
			"constraints":{"min":"micros must not be less than 0","isInt":"micros must be an integer number"}}]}],"error":"Unprocessable Entity"}`: "Micros must be an integer number; micros must not be less than 0.",
		`{"statusCode":403,"message":""}`: "The gateway answered 400 Bad Request.",
		`{"statusCode":400,"message":[]}`: "The gateway answered 400 Bad Request.",
		`[]`:                              "The gateway answered 400 Bad Request.", `null`: "The gateway answered 400 Bad Request.", ``: "The gateway answered 400 Bad Request.",
	} {
		require.Equal(t, want, refusal(t, answering(t, 400, nil, body)).Error(), body)
	}
	require.Equal(t, "Forbidden resource.", refusal(t, answering(t, 403, nil, `{"statusCode":403,"error":"Forbidden resource"}`)).Error())
	require.Equal(t, "The gateway answered 502 Bad Gateway.", refusal(t, answering(t, 502, nil, `<html>bad gateway</html>`)).Error())
}

func TestOnlyAnAnswerAboutTheCommandConsumesIt(t *testing.T) {
	t.Parallel()
	for status, retry := range map[int]bool{
		400: false, 403: false, 404: false, 409: false, 410: false, 422: false,
		401: true, 408: true, 425: true, 429: true, 500: true, 502: true, 503: true, 504: true,
	} {
		require.Equal(t, retry, refusal(t, answering(t, status, nil, "")).Retry(), "status %d", status)
	}
}

func TestAnUnreachableGatewayLeavesTheCommandUnconsumed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	failure := refusal(t, register.NewAPI(server.URL, "a-token"))
	require.True(t, failure.Retry())
	require.Equal(t, "The gateway cannot be reached.", failure.Error())
}

func TestACancelledCallIsNotAGatewayFailure(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := answering(t, 200, nil, "{}").Send(ctx, register.By{Key: "k"}, register.CancelDispatch("D-1", ""), nil)
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, register.Retryable(err))
}

func TestRetryAfterIsRead(t *testing.T) {
	t.Parallel()
	failure := refusal(t, answering(t, 429, http.Header{"Retry-After": {"7"}}, ""))
	require.Equal(t, 7*time.Second, failure.RetryAfter)
	require.Equal(t, register.ProblemCodeRateLimited, failure.Code)
}
