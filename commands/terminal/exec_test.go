package terminal_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/terminal"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestTheExitCodeSaysWhatBecameOfACommand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, out, said := b.exec(t, "dispatch", "coder", "Add a health check")
	require.Equal(t, terminal.Done, code)
	require.Contains(t, out, "D-1")
	require.Empty(t, said)

	code, out, said = b.exec(t, "show", "D-99")
	require.Equal(t, terminal.Refused, code)
	require.Equal(t, "Not done. There is no dispatch D-99.\nList the dispatches to see their numbers.\nExample: mosaic-matrix exec list\n", out)
	require.Empty(t, said)

	code, out, said = b.exec(t, "dispatch", "coder", "Add another", "--model", "abacus")
	require.Equal(t, terminal.Refused, code, said)
	require.Contains(t, out, "Not done.")
	require.True(t, strings.HasSuffix(out, "Example: mosaic-matrix exec dispatch coder \"Add another\" --model opus\n"), out)

	code, out, said = b.exec(t, "budget", "stauts")
	require.Equal(t, terminal.Misread, code)
	require.Empty(t, out)
	require.Contains(t, said, "Did you mean")
	require.Contains(t, said, "Example: mosaic-matrix exec budget status")
	require.Equal(t, 1, b.dispatches(t))
}

func TestTheExitCodesAreWhatScriptsRelyOn(t *testing.T) {
	t.Parallel()
	require.Equal(t, []int{0, 1, 2, 4}, []int{terminal.Done, terminal.Refused, terminal.Misread, terminal.Unanswered})
}

func TestJSONPrintsTheTypedResult(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.JSON = true
	code, out, _ := b.exec(t, "dispatch", "coder", "Add a health check", "--estimate", "4")
	require.Equal(t, terminal.Done, code)
	var dispatch register.Dispatch
	require.NoError(t, json.Unmarshal([]byte(out), &dispatch), out)
	require.Equal(t, "D-1", dispatch.ID)
	require.Equal(t, "Add a health check", dispatch.Brief)
	require.Equal(t, register.OriginTransportTty, dispatch.Origin.Transport)

	code, out, _ = b.exec(t, "show", "D-99")
	require.Equal(t, terminal.Refused, code)
	var refusal struct{ Code, Detail string }
	require.NoError(t, json.Unmarshal([]byte(out), &refusal), out)
	require.Equal(t, string(register.ProblemCodeNotFound), refusal.Code)
	require.NotEmpty(t, refusal.Detail)
}

func TestAGatewayThatComesBackInTimeIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	attempts := make(chan string, 10)
	b.Break(func(w http.ResponseWriter, r *http.Request, forward http.HandlerFunc) {
		attempts <- r.Header.Get("Idempotency-Key")
		if len(attempts) > 2 {
			b.Mend()
		}
		losing(w, r, forward)
	})
	code, out, said := b.exec(t, "dispatch", "coder", "Add a health check")
	require.Equal(t, terminal.Done, code, said)
	require.Contains(t, out, "D-1")
	require.Equal(t, "No answer from the gateway at "+b.URL+"; asking again for 1m0s.\n", said, "it is told once")
	require.Equal(t, <-attempts, <-attempts, "the same command each time")
	require.Equal(t, 1, b.dispatches(t))
}

var toldKey = regexp.MustCompile("`exec --key (\\S+) …`")

func TestWithoutAnAnswerTheKeyRepeatsACommandThatWasCarriedOutAlready(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// The request would be another one each time, were "in 2 h" read anew.
	for _, words := range [][]string{
		{"dispatch", "coder", "Add a health check", "--deadline", "+2h"},
		{"budget", "set", "--provider", "claude", "--limit", "500", "--unit", "credits", "--reset-at", "+2h"},
	} {
		b.Break(losing)
		b.Patience = 700 * time.Millisecond
		asked := time.Now()
		code, out, said := b.exec(t, words...)
		require.GreaterOrEqual(t, time.Since(asked), 500*time.Millisecond)
		require.Equal(t, terminal.Unanswered, code)
		require.Empty(t, out)
		require.Contains(t, said, "It is not known whether it was carried out.")
		require.NotContains(t, said, "Nothing was changed")
		key := toldKey.FindStringSubmatch(said)
		require.Len(t, key, 2, said)

		b.Mend()
		b.Patience, b.Key = time.Minute, key[1]
		for range 2 {
			code, out, said = b.exec(t, words...)
			require.Equal(t, terminal.Done, code, out+said)
		}
		b.Key = ""
	}
	require.Equal(t, 1, b.dispatches(t))
}

func TestAKeyRepeatsACommandThatWasNotCarriedOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Break(func(http.ResponseWriter, *http.Request, http.HandlerFunc) { panic(http.ErrAbortHandler) })
	b.Patience = 50 * time.Millisecond
	code, _, said := b.exec(t, "dispatch", "coder", "Add a health check")
	require.Equal(t, terminal.Unanswered, code)
	require.Zero(t, b.dispatches(t))
	b.Mend()
	b.Patience, b.Key = time.Minute, toldKey.FindStringSubmatch(said)[1]
	code, out, _ := b.exec(t, "dispatch", "coder", "Add a health check")
	require.Equal(t, terminal.Done, code)
	require.Contains(t, out, "D-1")
	require.Equal(t, 1, b.dispatches(t))
}

func TestAKeyOfOnesOwnRunsACommandOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Key = "nightly-2026-11-23"
	for range 3 {
		code, out, said := b.exec(t, "dispatch", "coder", "Add a health check")
		require.Equal(t, terminal.Done, code, said)
		require.Contains(t, out, "D-1")
	}
	require.Equal(t, 1, b.dispatches(t))
	code, out, _ := b.exec(t, "dispatch", "coder", "Something else")
	require.Equal(t, terminal.Refused, code)
	require.Contains(t, out, "used for another request")
}

func TestACommandThatReadsSaysThatNothingWasChanged(t *testing.T) {
	t.Parallel()
	// Nobody listens here any more.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	b := &bundle{out: nil, said: new(serial)}
	b.Options = terminal.Options{
		API: register.NewAPI("http://"+listener.Addr().String(), "token"), Out: b.said, Err: b.said, Patience: 50 * time.Millisecond,
	}
	code := terminal.Exec(t.Context(), b.Options, []string{"budget", "status"})
	require.Equal(t, terminal.Unanswered, code)
	require.Contains(t, b.said.String(), "Nothing was changed: this command only reads.")
	require.NotContains(t, b.said.String(), "--key")
}

func TestAGatewayThatHangsIsNotWaitedForLonger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Break(func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) { hang(r) })
	b.Patience = 300 * time.Millisecond
	asked := time.Now()
	code, _, said := b.exec(t, "dispatch", "coder", "Add a health check")
	require.Equal(t, terminal.Unanswered, code)
	require.Contains(t, said, "It is not known")
	require.Less(t, time.Since(asked), time.Minute)
}

func TestAnInterruptedCommandIsNotCalledUndone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, interrupt := context.WithCancel(t.Context())
	b.Break(func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		interrupt()
		hang(r)
	})
	code := terminal.Exec(ctx, b.Options, []string{"dispatch", "coder", "Add a health check"})
	require.Equal(t, terminal.Unanswered, code)
	require.Regexp(t, "^Interrupted before the gateway answered.\nIt is not known whether it was carried out. Repeat it with `exec --key ", b.said.String())
}

func TestATokenTheGatewayDoesNotKnowIsToldAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.API = register.NewAPI(b.URL, "mosaic_wrong")
	asked := time.Now()
	code, _, said := b.exec(t, "dispatch", "coder", "Add a health check")
	require.Equal(t, terminal.Refused, code)
	require.Contains(t, said, "Nothing was changed. Set MOSAIC_GATEWAY_TOKEN")
	require.NotContains(t, said, "asking again")
	require.Less(t, time.Since(asked), b.Patience)
}

func TestARateLimitedCommandWasNotCarriedOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Break(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.WriteHeader(http.StatusTooManyRequests)
	})
	b.Patience = 50 * time.Millisecond
	code, _, said := b.exec(t, "dispatch", "coder", "Add a health check")
	require.Equal(t, terminal.Refused, code)
	require.Contains(t, said, "\nNothing was changed.\n")
}
