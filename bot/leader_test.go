package bot

import (
	"fmt"
	"net/http"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

// takeover is how soon a standby must be at work.
const takeover = 10 * time.Second

// inTime asks again of a machine that something else keeps busy.
func inTime(t *testing.T, takesOver func(t *testing.T) time.Duration) {
	t.Helper()
	took := takeover
	for range 3 {
		if took = takesOver(t); took < takeover {
			return
		}
	}
	require.Less(t, took, takeover)
}

func TestAStandbyTakesOverFromAKilledBotWithinTenSeconds(t *testing.T) {
	t.Parallel()
	inTime(t, takesOverFromKilled)
}

func takesOverFromKilled(t *testing.T) time.Duration {
	t.Helper()
	b := setup(t)
	active := b.process(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.options.Listen = localtest.FreeAddress(t)
	b.process(t)
	require.Eventually(t, func() bool { return b.health() == http.StatusServiceUnavailable }, patience, tick, "a standby is alive and not ready")

	var asked []id.EventID
	for i := range 3 {
		asked = append(asked, b.say(t, fmt.Sprintf("!mosaic dispatch coder \"work %d\"", i)))
	}
	require.NoError(t, active.Process.Kill())
	killed := time.Now()
	require.Eventually(t, func() bool { return b.health() == http.StatusOK }, patience, tick)
	took := time.Since(killed)
	b.requireEachOnce(t, asked)
	return took
}

func TestAFrozenBotIsReplacedAndExitsWithoutWritingWhenItWakes(t *testing.T) {
	t.Parallel()
	inTime(t, takesOverFromFrozen)
}

func takesOverFromFrozen(t *testing.T) time.Duration {
	t.Helper()
	b := setup(t)
	active := b.process(t)
	ended := make(chan error, 1)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.options.Listen = localtest.FreeAddress(t)
	b.process(t)
	require.Eventually(t, func() bool { return b.health() == http.StatusServiceUnavailable }, patience, tick)

	var asked []id.EventID
	for i := range 6 {
		asked = append(asked, b.say(t, fmt.Sprintf("!mosaic dispatch coder \"work %d\"", i)))
	}
	b.signed(t, asked[0], "✅") // it is in the middle of the rest
	require.NoError(t, active.Process.Signal(syscall.SIGSTOP))
	frozen := time.Now()
	require.Eventually(t, func() bool { return b.health() == http.StatusOK }, patience, tick)
	took := time.Since(frozen)
	b.requireEachOnce(t, asked)

	time.Sleep(time.Until(frozen.Add(30 * time.Second)))
	before := b.epoch(t)
	require.NoError(t, active.Process.Signal(syscall.SIGCONT))
	go func() { ended <- active.Wait() }()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "it says by its exit code that it was deposed")
	case <-time.After(patience):
		require.FailNow(t, "the woken bot does not exit")
	}
	asked = append(asked, b.say(t, "!mosaic dispatch coder \"after it woke\""))
	b.requireEachOnce(t, asked)
	require.Equal(t, before, b.epoch(t))
	return took
}

func TestAWriteOfAnEarlierEpochFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	terminate(t, b.ready(t))
	var epoch atomic.Int64
	epoch.Store(b.epoch(t) - 1)
	stale, err := openDatabase(t.Context(), b.options.DatabaseURL, &epoch, zerolog.Nop())
	require.NoError(t, err)
	defer stale.Close()
	for _, write := range []string{
		`UPDATE account SET sync_token = ''`, `DELETE FROM journal`, `UPDATE outbox SET state = 'dropped'`, `DELETE FROM crypto_account`,
		`UPDATE crypto_megolm_outbound_session SET message_count = 0`, `DELETE FROM crypto_olm_session`, `DELETE FROM mx_room_state`,
	} {
		_, err := stale.Exec(t.Context(), write)
		require.ErrorContains(t, err, "no longer leads", write)
	}
	epoch.Add(1)
	enterEpoch(stale.RawDB)
	_, err = stale.Exec(t.Context(), `DELETE FROM mx_room_state`)
	require.NoError(t, err, "a write of the epoch does not")
}

func TestConnectionsMadeAtOnceAreAllOfTheEpoch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	terminate(t, b.ready(t))
	var epoch atomic.Int64
	epoch.Store(b.epoch(t))
	database, err := openDatabase(t.Context(), b.options.DatabaseURL, &epoch, zerolog.Nop())
	require.NoError(t, err)
	defer database.Close()
	begin, said := make(chan struct{}), make(chan string, 16)
	for range cap(said) {
		go func() {
			<-begin
			var of string
			session, err := database.RawDB.Conn(t.Context())
			if err == nil {
				defer session.Close()
				err = session.QueryRowContext(t.Context(), `SHOW mosaic.epoch`).Scan(&of)
			}
			if err != nil {
				of = err.Error()
			}
			said <- of
		}()
	}
	close(begin)
	for range cap(said) {
		require.Equal(t, fmt.Sprint(epoch.Load()), <-said)
	}
}

func (b *bench) health() int {
	response, err := http.Get("http://" + b.options.Listen + "/readyz")
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func (b *bench) epoch(t *testing.T) int64 {
	t.Helper()
	var epoch int64
	require.NoError(t, b.bots(t).QueryRow(t.Context(), `SELECT epoch FROM leader`).Scan(&epoch))
	return epoch
}

// requireEachOnce waits until every command is answered: each has one effect, one reply and one sign, and no key was used twice.
func (b *bench) requireEachOnce(t *testing.T, asked []id.EventID) {
	t.Helper()
	for _, event := range asked {
		b.answered(t, event, "D-")
		b.signed(t, event, "✅")
	}
	b.quiet(t)
	for _, event := range asked {
		require.Len(t, b.replies(event), 1)
		require.Equal(t, []string{"✅"}, b.signs(event))
	}
	require.Len(t, b.fleet.listDispatches(t), len(asked))
	b.requireNoIndexTwice(t)
}
