package gateway

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

func TestATokenThatAsksTooMuchIsToldWhenToComeBackAndLosesNoCommand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Gateway = b.start(t, "limited", b.log, func(g *Gateway) { g.limits = newLimits(1, 2) })
	olga := b.api("olga")
	create := register.CreateDispatch(ask(1))
	by := register.By{Key: "$once"}
	var first register.Dispatch
	require.NoError(t, olga.Send(t.Context(), by, create, &first))
	var refused *register.Error
	require.Eventually(t, func() bool {
		err := olga.Send(t.Context(), register.By{Key: "$limited"}, create, nil)
		return errors.As(err, &refused)
	}, time.Minute, time.Millisecond)
	require.Equal(t, register.ProblemCodeRateLimited, refused.Code)
	require.Equal(t, http.StatusTooManyRequests, refused.Status)
	require.Equal(t, time.Second, refused.RetryAfter)
	require.Equal(t, "The token of olga makes more than 1 requests a second.", refused.Detail)
	require.True(t, refused.Retry(), "it does not consume the command")
	_, err := b.api("vera").WhoAmI(t.Context(), register.By{})
	require.NoError(t, err, "another token is not held back")
	var again register.Dispatch
	require.Eventually(t, func() bool { return olga.Send(t.Context(), by, create, &again) == nil }, time.Minute, 50*time.Millisecond)
	require.Equal(t, first, again)
}

func TestAnEmptyBucketFillsWithTimeAndAFullOneIsForgotten(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)
	l := newLimits(2, 3)
	for range 3 {
		require.Zero(t, l.take(1, now))
	}
	require.Equal(t, 500*time.Millisecond, l.take(1, now))
	require.Equal(t, 500*time.Millisecond, l.take(1, now), "a refused request takes nothing")
	require.Zero(t, l.take(1, now.Add(500*time.Millisecond)))
	for token := range fleet.TokenID(forgottenAbove) {
		l.take(token+2, now.Add(time.Second))
	}
	l.take(-1, now.Add(time.Hour))
	require.Len(t, l.buckets, 1)
	for range 1000 {
		require.Zero(t, newLimits(0, 0).take(1, now), "no rate is no limit")
	}
}
