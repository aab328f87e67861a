package conformance

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func rates() []promise {
	return []promise{
		{"rates", "a token that asks too often: 429 rate_limited with Retry-After; others are not held back, and it goes on in time", tooOften},
	}
}

// askers is how many ask at once to come beyond a limit.
const askers = 32

// longestWait is the longest Retry-After that is waited for.
const longestWait = time.Minute

// tooOften asks with a token of its own, so that the rest of the run is not held back.
func tooOften(ctx context.Context, t *trial) error {
	if t.options.RateProbe <= 0 {
		return notTried("it takes --rate-probe, how many requests to send at once")
	}
	var issued register.IssuedToken
	request := register.IssueTokenTo(register.TokenRequest{Identity: viewer, Scopes: []register.TokenScope{register.TokenScopeRead}})
	if err := t.change(ctx, "", request, &issued); err != nil {
		return err
	}
	defer func() {
		_ = t.change(context.WithoutCancel(ctx), "", register.RevokeToken(issued.Token.ID), nil)
	}()
	who := asking{method: http.MethodGet, path: "/api/fleet/whoami", token: issued.Secret}
	refused, err := t.hammer(ctx, who)
	if err != nil {
		return err
	}
	if refused == nil {
		return notTried("no limit was met within " + strconv.Itoa(t.options.RateProbe) + " requests")
	}
	return t.heldBack(ctx, who, refused)
}

// heldBack looks at the answer to a request too many, and at what comes after it.
func (t *trial) heldBack(ctx context.Context, who asking, refused *answer) error {
	if err := refused.is(http.StatusTooManyRequests, register.ProblemCodeRateLimited); err != nil {
		return seen("asked too often it answered %w", err)
	}
	seconds, err := strconv.Atoi(refused.header.Get("Retry-After"))
	if err != nil || seconds < 1 || time.Duration(seconds)*time.Second > longestWait {
		return seen("asked too often it answered %s with Retry-After %q, which is no number of seconds up to a minute", refused, refused.header.Get("Retry-After"))
	}
	other, err := t.ask(ctx, asking{method: who.method, path: who.path})
	if err != nil {
		return err
	}
	if other.status != http.StatusOK {
		return seen("while one token is held back, another is answered %s", other)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(seconds) * time.Second):
	}
	again, err := t.ask(ctx, who)
	if err != nil {
		return err
	}
	if again.status != http.StatusOK {
		return seen("after a Retry-After of %d s it answered %s", seconds, again)
	}
	return nil
}

// hammer asks until it is refused or has asked often enough, and answers the first refusal; nil is none.
func (t *trial) hammer(ctx context.Context, who asking) (*answer, error) {
	var left atomic.Int64
	left.Store(int64(t.options.RateProbe))
	var once sync.Once
	var refused *answer
	var failure error
	var wait sync.WaitGroup
	for range askers {
		wait.Go(func() {
			for left.Add(-1) >= 0 {
				got, err := t.ask(ctx, who)
				if err == nil && got.status == http.StatusOK {
					continue
				}
				once.Do(func() {
					refused, failure = &got, err
					left.Store(0)
				})
				return
			}
		})
	}
	wait.Wait()
	if failure != nil {
		return nil, failure
	}
	return refused, nil
}
