package bot

import (
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
)

func TestAfterARestartTheVeryFirstSyncGoesOnFromTheStoredToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	terminate(t, b.ready(t))
	var token string
	require.NoError(t, b.bots(t).QueryRow(t.Context(), `SELECT sync_token FROM account`).Scan(&token))
	require.NotEmpty(t, token)
	var mutex sync.Mutex
	var asked []string
	b.homeserver.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/sync") {
			mutex.Lock()
			asked = append(asked, r.URL.Query().Get("since"))
			mutex.Unlock()
		}
		return false
	})
	b.process(t)
	require.Eventually(t, func() bool {
		mutex.Lock()
		defer mutex.Unlock()
		return len(asked) > 0
	}, patience, tick)
	mutex.Lock()
	defer mutex.Unlock()
	require.Equal(t, token, asked[0])
}

func TestTheBotIsPureGoAndItsKeysStandInASchemaOfItsOwn(t *testing.T) {
	t.Parallel()
	command := exec.Command("go", "list", "-deps", "-tags", "goolm", "./bot")
	command.Dir = ".."
	listed, err := command.CombinedOutput()
	require.NoError(t, err, string(listed))
	needed := strings.Fields(string(listed))
	require.Contains(t, needed, "maunium.net/go/mautrix/crypto/goolm")
	require.NotContains(t, needed, "maunium.net/go/mautrix/crypto/libolm", "it takes C")
	require.NotContains(t, needed, "github.com/mattn/go-sqlite3", "it takes C")

	q := newQueue(t)
	rows, err := q.database.Query(t.Context(), `SELECT DISTINCT schemaname FROM pg_tables WHERE tablename ~ '^(crypto|mx)_' OR tablename IN ('journal', 'outbox')`)
	schemas, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[string], err).AsList()
	require.NoError(t, err)
	require.Equal(t, []string{"bot"}, schemas)
	for _, table := range []string{"crypto_olm_session", "crypto_megolm_inbound_session", "mx_room_state", "outbox"} {
		var there bool
		require.NoError(t, q.database.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'bot' AND tablename = $1)`, table).Scan(&there))
		require.True(t, there, table)
	}
}
