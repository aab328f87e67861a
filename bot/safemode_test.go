package bot

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// lived is a bot that ran whole with a room for admins, and was stopped.
func lived(t *testing.T) (b *bench, admins id.RoomID) {
	t.Helper()
	b = setup(t)
	process := b.process(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	admins = b.adminRoom(t)
	require.Eventually(t, func() bool { return b.count(t, `SELECT count(*) FROM binding`) == 1 }, patience, tick)
	require.NoError(t, process.Process.Kill())
	_, _ = process.Process.Wait()
	return b, admins
}

// startAnyhow runs Start until the test ends or stop is called.
func (b *bench) startAnyhow(t *testing.T) (stop func()) {
	t.Helper()
	options := b.options
	options.API, options.Log = register.NewAPI(b.gateway.url, b.fleet.bot), testLog("bot")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Start(ctx, options) }()
	stop = func() {
		cancel()
		select {
		case <-ended:
			ended <- nil
		case <-time.After(patience):
			t.Error("the bot did not end")
		}
	}
	t.Cleanup(stop)
	return stop
}

func TestABotWhoseKeysCannotBeOpenedSaysSoAndCarriesOutNothing(t *testing.T) {
	t.Parallel()
	b, admins := lived(t)
	right := b.options.PickleKey
	b.options.PickleKey, b.options.Listen = "another", localtest.FreeAddress(t)
	b.gateway.set(unavailable) // where to say it, the database tells
	stop := b.startAnyhow(t)

	said, err := b.ada.WaitFor(soon(t), b.fromBot(), client.In(admins), client.Contains("safe mode"), client.Contains("MOSAIC_BOT_PICKLE_KEY"))
	require.NoError(t, err)
	require.True(t, said.WasEncrypted)
	require.GreaterOrEqual(t, said.Trust, id.TrustStateCrossSignedTOFU, "the device in safe mode shows as verified")
	response, err := http.Get("http://" + b.options.Listen + "/readyz")
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	b.gateway.set(nil)
	asked := b.say(t, "!mosaic dispatch coder \"after safe mode\"")
	b.quiet(t)
	require.Empty(t, b.replies(asked))
	stop()

	b.options.PickleKey, b.options.Listen = right, ""
	b.startAnyhow(t)
	b.answered(t, asked, "D-1")
	require.Len(t, b.fleet.listDispatches(t), 1)
}

func TestABotInSafeModeBecomesWholeByItself(t *testing.T) {
	t.Parallel()
	b, admins := lived(t)
	var version int
	require.NoError(t, b.bots(t).QueryRow(t.Context(), `SELECT version FROM bot_version`).Scan(&version))
	_, err := b.bots(t).Exec(t.Context(), `UPDATE bot_version SET version = 999, compat = 999`)
	require.NoError(t, err)
	b.startAnyhow(t)
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.In(admins), client.Contains("safe mode"), client.Contains("newer program"))
	require.NoError(t, err)
	asked := b.say(t, "!mosaic dispatch coder \"meanwhile\"")

	_, err = b.bots(t).Exec(t.Context(), `UPDATE bot_version SET version = $1, compat = $1`, version)
	require.NoError(t, err)
	_, err = b.ada.WaitFor(soon(t), b.fromBot(), client.In(admins), client.Contains("whole again"))
	require.NoError(t, err)
	b.answered(t, asked, "D-1")
}

func TestABotThatCannotLogInAtAllEndsWithTheReason(t *testing.T) {
	t.Parallel()
	b := setup(t)
	options := b.options
	options.Password, options.API = "wrong", register.NewAPI(b.gateway.url, b.fleet.bot)
	require.ErrorContains(t, Start(t.Context(), options), "logging in as "+options.UserID)
}
