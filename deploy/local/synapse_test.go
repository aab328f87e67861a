package local_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
)

func startSynapse(t *testing.T, dir string, options local.HomeserverOptions) *local.Synapse {
	t.Helper()
	options.Binaries, options.Volatile = sharedBinaries(t), true
	homeserver, err := local.StartSynapse(t.Context(), dir, options)
	require.NoError(t, err)
	t.Cleanup(homeserver.Stop)
	return homeserver
}

// Stock limits let a user say ten things at once and then one in five seconds.
func TestSynapseKeepsItsUsersAndLimitsAllButTheExempt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "homeserver")
	options := local.HomeserverOptions{RateLimits: true, Exempt: []string{"@mosaic:localhost"}}
	started := time.Now()
	first := startSynapse(t, dir, options)
	t.Logf("start: %s", time.Since(started))
	bot := local.User{Name: "mosaic", Password: "correct horse", DisplayName: "Mosaic"}
	_, err := local.RegisterUser(t.Context(), first.URL(), first.SharedSecret(), bot)
	require.NoError(t, err)
	first.Stop()

	second := startSynapse(t, dir, options)
	require.Equal(t, first.URL(), second.URL())
	made, err := local.RegisterUser(t.Context(), second.URL(), second.SharedSecret(), bot)
	require.NoError(t, err)
	require.Equal(t, "@mosaic:localhost", made)

	person, err := client.Connect(t.Context(), client.Options{Homeserver: second.URL(), Username: bot.Name, Password: bot.Password})
	require.NoError(t, err)
	defer person.Close()
	room, err := person.CreateRoom(t.Context(), client.Room{Name: "Busy"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		started := time.Now()
		for range 15 {
			if _, err := person.Say(t.Context(), room, "again"); err != nil {
				return false
			}
		}
		return time.Since(started) < 5*time.Second
	}, time.Minute, 500*time.Millisecond, "the exempt user need not wait between messages")
}
