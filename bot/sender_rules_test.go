package bot

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAQuotaLetsThroughWhatAMinuteAllowsAndTellsOnce(t *testing.T) {
	t.Parallel()
	var p quotas
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for range 6 {
		wait, _ := p.take("@a:x", now, 6)
		require.Zero(t, wait)
	}
	wait, first := p.take("@a:x", now, 6)
	require.Equal(t, 10*time.Second, wait)
	require.True(t, first)
	_, first = p.take("@a:x", now.Add(time.Second), 6)
	require.False(t, first, "told once in a stretch")
	wait, _ = p.take("@b:x", now, 6)
	require.Zero(t, wait, "each sender has a quota of their own")
	wait, _ = p.take("@a:x", now.Add(10*time.Second), 6)
	require.Zero(t, wait)
	_, first = p.take("@a:x", now.Add(11*time.Second), 6)
	require.True(t, first, "a new stretch is told anew")
	for i := range 6 {
		wait, _ = p.take("@a:x", now.Add(time.Hour+time.Duration(i)*time.Millisecond), 6)
		require.Zero(t, wait, "silence fills it up, and no further")
	}
	wait, _ = p.take("@a:x", now.Add(time.Hour), 6)
	require.NotZero(t, wait)
}

func TestASenderWhoFloodsIsToldOnceAndOthersAreHeard(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.options.CommandsPerMinute = 3
	var clock clock
	b.options.Now = clock.now
	b.start(t)
	ben := b.talkOfThree(t)
	for range 3 {
		b.answered(t, b.say(t, `!mosaic dispatch coder "work"`), "D-")
	}
	var flood []id.EventID
	for i := range 5 {
		flood = append(flood, b.say(t, fmt.Sprintf(`!mosaic dispatch coder "flood %d"`, i)))
	}
	b.answered(t, flood[0], "your command number 4 within a minute")
	asked, err := ben.Say(t.Context(), b.room, "!mosaic status")
	require.NoError(t, err)
	b.answered(t, asked, "")
	b.quiet(t)
	for _, event := range flood[1:] {
		require.Empty(t, b.replies(event))
		require.Empty(t, b.signs(event))
	}
	require.Len(t, b.fleet.listDispatches(t), 3)
	clock.moveOn(time.Minute)
	b.answered(t, b.say(t, `!mosaic dispatch coder "calm"`), "D-4")
}

func TestALookAlikeIsShownNothingAndTheFleetIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	mallory := localtest.Person(t, "Mallory")
	b.meets(t, mallory)
	b.bindFleetRoom(t)
	// To the register mallory is nobody, but her ID looks like that of someone it knows.
	b.fleet.identify(t, "mal", strings.Replace(mallory.UserID.String(), "o", "0", 1), register.FleetRoleOperator)

	strange, err := mallory.Say(t.Context(), b.room, `!mosaic dispatch coder "mine gold"`)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM journal WHERE event_id = $1 AND state = 'dropped' AND reason LIKE '%looks like%'`, strange) == 1
	}, patience, tick)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM alert WHERE key LIKE 'look-alike:%'`))
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	require.Empty(t, b.replies(strange))
	require.Empty(t, b.signs(strange))
	require.Empty(t, b.fleet.listDispatches(t))
}

func TestAKnownPersonOfAnotherHomeserverIsHeardOnlyIfItIsAllowed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	require.True(t, running.allowedServer(b.ada.UserID))
	require.False(t, running.allowedServer("@ada:elsewhere.org"))
	require.False(t, running.allowedServer("@ada:localhost.elsewhere.org"))
	running.options.Servers = []string{"elsewhere.org"}
	require.True(t, running.allowedServer("@ada:elsewhere.org"))
	require.False(t, running.allowedServer("@ada:not-elsewhere.org"))
	running.options.Servers = nil
	b.fleet.identify(t, "eve", "@eve:elsewhere.org", register.FleetRoleOperator)
	_, _, err := running.authorise(t.Context(), "@eve:elsewhere.org")
	require.ErrorContains(t, err, "homeserver that is not allowed")
	_, _, err = running.authorise(t.Context(), "@nobody:elsewhere.org")
	require.ErrorContains(t, err, "homeserver that is not allowed")
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM alert WHERE key LIKE 'foreign:%'`), "told of those the register knows only")
}

func TestWhereRoomPowerIsRequiredARoleAloneIsNotEnough(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.options.RoomPower = 50
	b.start(t)
	ben := b.talkOfThree(t)
	refused, err := ben.Say(t.Context(), b.room, `!mosaic dispatch coder "work"`)
	require.NoError(t, err)
	b.answered(t, refused, "takes a power level of 50")
	reading, err := ben.Say(t.Context(), b.room, "!mosaic status")
	require.NoError(t, err)
	b.answered(t, reading, "Fleet")
	b.answered(t, b.say(t, `!mosaic dispatch coder "work"`), "D-1")
	levels := &event.PowerLevelsEventContent{}
	require.NoError(t, b.ada.Matrix.StateEvent(t.Context(), b.room, event.StatePowerLevels, "", levels))
	levels.SetUserLevel(ben.UserID, 50)
	_, err = b.ada.Matrix.SendStateEvent(t.Context(), b.room, event.StatePowerLevels, "", levels)
	require.NoError(t, err)
	_, err = ben.WaitFor(soon(t), client.In(b.room), func(s client.Seen) bool { return s.Type == event.StatePowerLevels.Type && s.Sender == b.ada.UserID })
	require.NoError(t, err)
	again, err := ben.Say(t.Context(), b.room, `!mosaic dispatch coder "work"`)
	require.NoError(t, err)
	b.answered(t, again, "D-2")
}
