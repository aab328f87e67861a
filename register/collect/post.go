package collect

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

const (
	micro = 1_000_000
	// usesAtOnce bounds one report.
	usesAtOnce = 100
	// restated is how often a window's state is posted though it has not changed, so that it does not go stale.
	restated = time.Minute
	// tooOld is from when a reading would not be believed anyway.
	tooOld = 15 * time.Minute
)

// queue turns what was found into requests that are posted until they are answered.
func (c *Collector) queue(found found) {
	now := time.Now()
	c.state.forget(now)
	for uses := range slices.Chunk(c.uses(found), usesAtOnce) {
		c.state.put(register.ReportUsage(register.UsageRequest{
			Provider: c.Provider, Subscription: c.Subscription, Reporter: c.Tool.Name, Uses: uses,
		}))
	}
	for _, window := range slices.Sorted(maps.Keys(found.limits)) {
		if limit := found.limits[window]; c.state.news(limit, now) {
			c.state.put(register.RecordReading(limit.reading(c.Provider, c.Subscription, c.Tool.Name)))
		}
	}
}

// uses are the runs' totals and what came on top of everything else.
func (c *Collector) uses(found found) []register.Use {
	keys := slices.SortedFunc(maps.Keys(found.uses), func(a, b useKey) int {
		return cmp.Or(cmp.Compare(a.run.claim, b.run.claim), cmp.Compare(a.model, b.model))
	})
	out := make([]register.Use, 0, len(keys))
	for _, key := range keys {
		use := found.uses[key]
		reported := register.Use{Model: key.model, Unit: register.UnitTokens, Micros: tokens(use.tokens), Until: use.until.UTC()}
		if key.run != (run{}) {
			reported.Run = &register.UsageRun{Dispatch: key.run.dispatch, Attempt: key.run.attempt, Claim: key.run.claim}
			reported.Micros = tokens(c.state.total(key, use))
		}
		out = append(out, reported)
	}
	return out
}

// total adds use to what its run has used so far, of every model.
func (s *state) total(key useKey, use *use) int64 {
	run, known := s.Runs[key.run.claim]
	if !known {
		run.Tokens = make(map[string]int64)
	}
	run.Tokens[key.model] += use.tokens
	run.At = use.until
	s.Runs[key.run.claim] = run
	var sum int64
	for _, tokens := range run.Tokens {
		sum += tokens
	}
	return sum
}

func tokens(count int64) int64 { return min(count, 1_000_000_000_000) * micro }

// news says whether a window's state is worth posting, and remembers it if so.
func (s *state) news(limit limit, now time.Time) bool {
	if !s.isNews(limit, now) {
		return false
	}
	s.Limits[limit.window] = posted{limit.percent, limit.reset, limit.takenAt}
	return true
}

func (s *state) isNews(limit limit, now time.Time) bool {
	last := s.Limits[limit.window]
	same := last.Percent == limit.percent && last.Reset.Sub(limit.reset).Abs() < time.Minute
	lapsed := !limit.reset.IsZero() && !limit.reset.After(now)
	return !lapsed && now.Sub(limit.takenAt) <= tooOld && limit.takenAt.After(last.At) && !(same && limit.takenAt.Sub(last.At) < restated)
}

func (l limit) reading(provider, subscription, reporter string) register.ReadingRequest {
	return register.ReadingRequest{
		Provider: provider, Subscription: subscription, Window: l.window, Unit: register.UnitPercent,
		UsedMicros: int64(math.Round(max(0, l.percent) * micro)), LimitMicros: 100 * micro, ResetAt: l.reset.UTC(),
		EverySeconds: int64(l.length.Seconds()), TakenAt: l.takenAt.UTC(), Source: register.ReadingSourceProviderDetected, Reporter: reporter,
	}
}

func (s *state) put(mutation register.Mutation) {
	text, _ := json.Marshal(mutation) // it has only strings and JSON
	s.Pending = append(s.Pending, pending{Key: uuid.NewString(), Mutation: text})
}

// post sends what is pending, in its order. What the gateway will never take is told and let go; a token it does not accept ends
// the collector, and nothing is lost.
func (c *Collector) post(ctx context.Context) error {
	for len(c.state.Pending) > 0 {
		next := c.state.Pending[0]
		var mutation register.Mutation
		if err := json.Unmarshal(next.Mutation, &mutation); err != nil {
			return fmt.Errorf("reading what is still to be posted: %w", err)
		}
		err := c.send(ctx, next.Key, mutation)
		var failure *register.Error
		switch {
		case err != nil && register.Retryable(err) && !notOurs(err, http.StatusUnauthorized):
			return err
		case notOurs(err, http.StatusUnauthorized, http.StatusForbidden):
			return fmt.Errorf("%w: %w", errRefused, err)
		case errors.As(err, &failure):
			zerolog.Ctx(ctx).Error().Err(err).RawJSON("request", next.Mutation).Msg("the gateway does not take this report; it is let go")
		case err != nil:
			return err
		}
		c.state.Pending = c.state.Pending[1:]
		if err := c.state.save(); err != nil {
			return err
		}
	}
	return nil
}

func notOurs(err error, statuses ...int) bool {
	var failure *register.Error
	return errors.As(err, &failure) && slices.Contains(statuses, failure.Status)
}

func (c *Collector) send(ctx context.Context, key string, mutation register.Mutation) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return c.API.Send(ctx, register.By{Key: key}, mutation, nil)
}
