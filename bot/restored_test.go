package bot

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// The whole database goes back to an older state while rooms, devices and one-time keys go on.
func TestARestoredDatabaseRepeatsNothingAndUsesNoKeyTwice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	back := b.worksAndIsBackedUp(t)

	running := b.process(t)
	var lost []id.EventID
	for _, brief := range []string{"one", "two"} {
		asked := b.say(t, "!mosaic dispatch coder \""+brief+" after the backup\"")
		b.answered(t, asked, "D-")
		b.signed(t, asked, "✅")
		lost = append(lost, asked)
	}
	// A new member's device makes the bot take further steps with its sessions.
	ben := localtest.Person(t, "Ben")
	require.NoError(t, b.ada.Invite(t.Context(), b.room, ben.UserID))
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, ben.UserID))
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	terminate(t, running)
	old := b.device(t)
	said := b.saidByBot()

	back(t)
	unreadable := b.say(t, "!mosaic dispatch coder \"its key went to the database that is gone\"")
	running = b.process(t)
	warned, err := b.ada.WaitFor(soon(t), b.fromBot(), client.Contains("it was restored"))
	require.NoError(t, err)
	require.Contains(t, warned.Body, "3 commands that I had answered")
	require.GreaterOrEqual(t, warned.Trust, id.TrustStateCrossSignedTOFU, "the new device must show as verified")
	b.answered(t, b.say(t, "!mosaic dispatch coder \"after the restore\""), "D-2")
	require.Eventually(t, func() bool { return b.saidByBot() == said+4 }, patience, tick, "a reply, its sign, the warning, the missing key, and nothing else")
	require.NotEqual(t, old, b.device(t), "the old device is retired")
	require.Equal(t, []string{"🔑"}, b.signed(t, unreadable, "🔑"), "who asked is shown that it cannot be read")

	for _, asked := range lost {
		require.Len(t, b.replies(asked), 1, "what was answered is not answered again")
		require.Equal(t, []string{"✅"}, b.signs(asked))
	}
	require.Len(t, b.fleet.listDispatches(t), 2, "what was answered is not carried out again")
	b.requireNoIndexTwice(t)

	terminate(t, running)
	device := b.device(t)
	b.process(t)
	asked := b.say(t, "!mosaic status")
	b.answered(t, asked, "")
	b.signed(t, asked, "✅")
	require.Equal(t, device, b.device(t), "it begins anew once")
	require.Equal(t, said+6, b.saidByBot(), "it warns once")
	for _, seen := range b.ada.Seen() {
		require.False(t, seen.Sender == id.UserID(b.options.UserID) && seen.Undecrypted, "%s: %s", seen.EventID, seen.WhyUndecrypted)
	}
}

// What the rooms do not show, the homeserver's count of the device's steps does.
func TestADatabaseBehindItsOwnSessionsIsNoticed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	terminate(t, b.ready(t))
	old := b.device(t)
	_, err := b.bots(t).Exec(t.Context(), `UPDATE account SET generation = generation - 1`)
	require.NoError(t, err)
	running := b.process(t)
	b.talk(t)
	require.True(t, b.answered(t, b.say(t, "!mosaic status"), "").WasEncrypted)
	require.NotEqual(t, old, b.device(t))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM alert WHERE markdown LIKE '%sessions%'`))
	terminate(t, running)
}

func TestWithoutAPasswordARestoredDatabaseIsNotUsed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	terminate(t, b.ready(t))
	_, err := b.bots(t).Exec(t.Context(), `UPDATE account SET generation = generation - 1`)
	require.NoError(t, err)
	options := b.options
	options.API = register.NewAPI(b.gateway.url, b.fleet.bot)
	options.Password = ""
	require.NoError(t, b.bots(t).QueryRow(t.Context(), `SELECT access_token FROM account`).Scan(&options.AccessToken))
	_, err = New(t.Context(), options)
	require.ErrorContains(t, err, "the access token of a new login")
}

// The answer may have left without the database: killed between the new device and the run, the room is asked.
func TestADoubtedCommandIsLookedUpInItsRoom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.process(t)
	b.talk(t)
	asked := b.say(t, "!mosaic dispatch coder \"once\"")
	b.answered(t, asked, "D-1")
	b.signed(t, asked, "✅")
	b.quiet(t)
	terminate(t, running)
	for _, statement := range []string{
		`DELETE FROM outbox`,
		`UPDATE journal SET state = 'new', doubted = true, call = NULL, ended_at = NULL, attempts = 0 WHERE ended_at IS NOT NULL`,
	} {
		_, err := b.bots(t).Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	b.process(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM journal WHERE event_id = $1 AND reason = $2`, asked, answeredBefore))
	require.Len(t, b.replies(asked), 1)
}

func (b *bench) bindFleetRoom(t *testing.T) {
	t.Helper()
	b.fleet.send(t, b.fleet.admin, register.BindRoom(register.RoomBinding{Room: b.room.String(), Purposes: []register.RoomPurpose{register.RoomPurposeFleet}}), nil)
}

// worksAndIsBackedUp lets the bot do something, stops it, and makes a backup that restore goes back to.
func (b *bench) worksAndIsBackedUp(t *testing.T) (restore func(t *testing.T)) {
	t.Helper()
	running := b.process(t)
	b.talk(t)
	b.bindFleetRoom(t)
	b.answered(t, b.say(t, "!mosaic dispatch coder \"before the backup\""), "D-1")
	b.quiet(t)
	terminate(t, running)
	return b.backUp(t)
}

// backUp copies the database as it is and returns what puts the copy in its place, under a gateway started anew.
func (b *bench) backUp(t *testing.T) (restore func(t *testing.T)) {
	t.Helper()
	copied := b.db.Name + "_backup"
	b.alone(t, func(run func(statement string)) {
		run(`CREATE DATABASE ` + copied + ` TEMPLATE ` + b.db.Name)
	})
	return func(t *testing.T) {
		t.Helper()
		b.fleet.Stop()
		b.alone(t, func(run func(statement string)) {
			run(`DROP DATABASE ` + b.db.Name)
			run(`ALTER DATABASE ` + copied + ` RENAME TO ` + b.db.Name)
		})
		_, err := local.PrepareDatabase(t.Context(), b.db.Superuser, b.db.Name, local.Passwords{Gateway: password(t, b.db.Gateway), Bot: password(t, b.db.Bot)})
		require.NoError(t, err)
		listen, err := url.Parse(b.fleet.URL)
		require.NoError(t, err)
		b.fleet.restart(t, listen.Host)
	}
}

// alone runs statements while nobody is connected to the test's database.
func (b *bench) alone(t *testing.T, do func(run func(statement string))) {
	t.Helper()
	cluster, err := url.Parse(b.db.Superuser)
	require.NoError(t, err)
	cluster.Path = "/postgres"
	connection, err := pgx.Connect(t.Context(), cluster.String())
	require.NoError(t, err)
	defer func() { require.NoError(t, connection.Close(t.Context())) }()
	run := func(statement string) {
		_, err := connection.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	run(`ALTER DATABASE ` + b.db.Name + ` ALLOW_CONNECTIONS false`)
	run(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '` + b.db.Name + `'`)
	do(run)
	run(`ALTER DATABASE ` + b.db.Name + ` ALLOW_CONNECTIONS true`)
}

func password(t *testing.T, database string) string {
	t.Helper()
	parsed, err := url.Parse(database)
	require.NoError(t, err)
	secret, _ := parsed.User.Password()
	return secret
}

func (b *bench) saidByBot() int {
	said := 0
	for _, seen := range b.ada.Seen() {
		if seen.Sender == id.UserID(b.options.UserID) && seen.StateKey == nil {
			said++
		}
	}
	return said
}

// requireNoIndexTwice reads every ciphertext the bot sent to the room from the homeserver: no session may have said two
// things at one index.
func (b *bench) requireNoIndexTwice(t *testing.T) {
	t.Helper()
	used := map[string]id.EventID{}
	for from := ""; ; {
		page, err := b.ada.Matrix.Messages(t.Context(), b.room, from, "", mautrix.DirectionBackward, nil, 100)
		require.NoError(t, err)
		for _, evt := range page.Chunk {
			ciphertext, _ := evt.Content.Raw["ciphertext"].(string)
			if evt.Sender != id.UserID(b.options.UserID) || ciphertext == "" {
				continue
			}
			raw, err := base64.RawStdEncoding.DecodeString(ciphertext)
			require.NoError(t, err)
			require.Equal(t, []byte{3, 8}, raw[:2], "a Megolm message: its version, then the tag of its index")
			index, _ := binary.Uvarint(raw[2:])
			key := fmt.Sprint(evt.Content.Raw["session_id"], "/", index)
			require.Empty(t, used[key], "index used twice: %s", key)
			used[key] = evt.ID
		}
		if page.End == "" || len(page.Chunk) == 0 {
			break
		}
		from = page.End
	}
	require.NotEmpty(t, used)
}
