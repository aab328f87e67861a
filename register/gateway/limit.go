package gateway

import (
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// limits is a token bucket for each bearer token, so that one caller out of hand does not take the register from the others.
// Each gateway counts for itself.
type limits struct {
	rate  rate.Limit // requests a second
	burst int

	mutex   sync.Mutex
	buckets map[fleet.TokenID]*rate.Limiter
}

// newLimits allows each token perSecond requests a second and burst at once; 0 perSecond allows all.
func newLimits(perSecond float64, burst int) *limits {
	if perSecond <= 0 {
		return &limits{rate: rate.Inf}
	}
	return &limits{rate: rate.Limit(perSecond), burst: max(burst, 1), buckets: make(map[fleet.TokenID]*rate.Limiter)}
}

// forgottenAbove is how many buckets there may be before the full ones, which are as good as new, are dropped.
const forgottenAbove = 1024

// take answers how long the token has to wait; 0 lets the request through.
func (l *limits) take(token fleet.TokenID, now time.Time) time.Duration {
	if l.rate == rate.Inf {
		return 0
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	bucket, known := l.buckets[token]
	if !known {
		l.forget(now)
		bucket = rate.NewLimiter(l.rate, l.burst)
		l.buckets[token] = bucket
	}
	asked := bucket.ReserveN(now, 1)
	wait := asked.DelayFrom(now)
	if wait > 0 {
		asked.CancelAt(now)
	}
	return wait
}

func (l *limits) forget(now time.Time) {
	if len(l.buckets) < forgottenAbove {
		return
	}
	for token, bucket := range l.buckets {
		if bucket.TokensAt(now) >= float64(l.burst) {
			delete(l.buckets, token)
		}
	}
}

// limited is the answer to a request too many. Nothing was done and no key used.
type limited struct {
	problem
	retryAfter int // seconds
}

func (l *limited) Unwrap() error { return &l.problem }

// limit refuses a request of a token that has made too many.
func (g *Gateway) limit(c call) error {
	wait := g.limits.take(c.caller.Token, g.options.Now())
	if wait <= 0 {
		return nil
	}
	seconds := int(math.Ceil(wait.Seconds()))
	return &limited{retryAfter: seconds, problem: problem{
		Code:     register.ProblemCodeRateLimited,
		Detail:   fmt.Sprintf("The token of %s makes more than %v requests a second.", c.caller.Identity.Name, float64(g.limits.rate)),
		NextStep: fmt.Sprintf("Send the same request with the same key again in %d s.", seconds),
	}}
}
