package bot

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// asService makes the bot of a bench an application service.
func asService(t *testing.T, b *bench) *Registration {
	t.Helper()
	b.registrationFile = localtest.Appservice(t)
	registration, err := ReadRegistration(b.registrationFile)
	require.NoError(t, err)
	b.options.Registration, b.options.Password = registration, ""
	b.options.UserID = id.NewUserID(strings.TrimSuffix(registration.Sender, "_appservice"), localtest.Homeserver(t).ServerName).String()
	return registration
}

func setupService(t *testing.T) *bench {
	t.Helper()
	localtest.Homeserver(t)
	b := setup(t)
	asService(t, b)
	return b
}

// pushedAlone lets no sync of the bot through, so that all it hears is pushed.
func (b *bench) pushedAlone(t *testing.T) {
	t.Helper()
	b.homeserver.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || filepath.Base(r.URL.Path) != "sync" {
			return false
		}
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
}

func TestAnApplicationServiceAnswersACommandInAnEncryptedRoomFromWhatIsPushedAlone(t *testing.T) {
	t.Parallel()
	b := setupService(t)
	b.start(t)
	b.talk(t)
	first := b.say(t, "!mosaic status")
	require.True(t, b.answered(t, first, "").WasEncrypted)
	b.pushedAlone(t)
	asked := b.say(t, `!mosaic dispatch coder "pushed"`)
	require.True(t, b.answered(t, asked, "D-1").WasEncrypted)
	b.signed(t, asked, "✅")
	require.NotZero(t, b.count(t, `SELECT count(*) FROM homeserver_transaction`))
}

func TestAnApplicationServiceKilledBetweenItsJournalAndItsAnswerDoesACommandOnce(t *testing.T) {
	t.Parallel()
	setupService(t).survives(t, "sync.decrypted", "sync.journalled")
}

// push sends a transaction as the homeserver would.
func push(t *testing.T, registration *Registration, token, name, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, registration.URL+"/_matrix/app/v1/transactions/"+name, bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, response.Body)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

func TestARepeatedTransactionIsTakenOnceAndOneThatCannotBeCommittedIsRefusedUntilItCan(t *testing.T) {
	t.Parallel()
	b := setupService(t)
	registration := b.options.Registration
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	event := func(name string) string {
		return fmt.Sprintf(`{"events":[{"type":"m.room.message","event_id":"$%s","room_id":%q,"sender":%q,"origin_server_ts":1,"content":{"msgtype":"m.text","body":"hello"}}]}`,
			name, b.room, b.ada.UserID)
	}
	taken := func(name string) int {
		return b.count(t, `SELECT count(*) FROM journal WHERE event_id = $1`, "$"+name)
	}
	require.Equal(t, http.StatusOK, push(t, registration, registration.ServerToken, "again", event("once")))
	seq := b.count(t, `SELECT seq FROM journal WHERE event_id = '$once'`)
	require.Equal(t, http.StatusOK, push(t, registration, registration.ServerToken, "again", event("once")))
	require.Equal(t, seq, b.count(t, `SELECT seq FROM journal WHERE event_id = '$once'`))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM homeserver_transaction WHERE txn_id = 'again'`))

	require.Equal(t, http.StatusOK, push(t, registration, registration.ServerToken, "again", event("other")), "a homeserver set up anew counts from the start")
	require.Equal(t, 1, taken("other"))

	_, err := b.bots(t).Exec(t.Context(), `ALTER TABLE homeserver_transaction ADD CONSTRAINT cut CHECK (txn_id <> 'cut')`)
	require.NoError(t, err)
	require.Equal(t, http.StatusInternalServerError, push(t, registration, registration.ServerToken, "cut", event("cut")))
	require.Zero(t, taken("cut"), "nothing of a transaction that was refused is kept")
	_, err = b.bots(t).Exec(t.Context(), `ALTER TABLE homeserver_transaction DROP CONSTRAINT cut`)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, push(t, registration, registration.ServerToken, "cut", event("cut")))
	require.Equal(t, 1, taken("cut"))
}

func TestOnlyTheHomeserverMayPush(t *testing.T) {
	t.Parallel()
	b := setupService(t)
	b.start(t)
	require.Equal(t, http.StatusForbidden, push(t, b.options.Registration, b.options.Registration.Token, "1", `{"events":[]}`))
	require.Equal(t, http.StatusUnauthorized, push(t, b.options.Registration, "", "1", `{"events":[]}`))
}

// Synapse keeps the events of what it could not push and lets go of the keys that belong to them.
func TestWhatTheHomeserverLetGoOfWhileItCouldNotReachTheBotIsAskedFor(t *testing.T) {
	t.Parallel()
	b := setupService(t)
	b.leaves(t)
	first := b.say(t, `!mosaic dispatch coder "first while away"`)
	bob := localtest.Person(t, "Bob") // who comes in: from then on ada says things under another key
	require.NoError(t, b.ada.Invite(t.Context(), b.room, bob.UserID))
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, bob.UserID))
	second := b.say(t, `!mosaic dispatch coder "second while away"`)
	b.homeserver.set(func(w http.ResponseWriter, r *http.Request) bool { // ada's client, asked for a key, would give it
		if !strings.Contains(r.URL.Path, "/sendToDevice/m.room_key_request/") {
			return false
		}
		_, _ = w.Write([]byte(`{}`))
		return true
	})
	b.process(t)
	b.answered(t, first, "D-")
	b.answered(t, second, "D-")
	b.quiet(t)
	require.Len(t, b.fleet.listDispatches(t), 2)
}

func TestAnApplicationServiceOnARestoredDatabaseRepeatsNothingAndUsesNoKeyTwice(t *testing.T) {
	t.Parallel()
	b := setupService(t)
	back := b.worksAndIsBackedUp(t)

	running := b.process(t)
	asked := b.say(t, "!mosaic dispatch coder \"after the backup\"")
	b.answered(t, asked, "D-2")
	b.signed(t, asked, "✅")
	b.quiet(t)
	terminate(t, running)
	old := b.device(t)

	back(t)
	running = b.process(t)
	warned, err := b.ada.WaitFor(soon(t), b.fromBot(), client.Contains("it was restored"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, warned.Trust, id.TrustStateCrossSignedTOFU, "the new device must show as verified")
	require.NotEqual(t, old, b.device(t), "the old device is retired")
	b.answered(t, b.say(t, "!mosaic dispatch coder \"after the restore\""), "D-2")
	b.quiet(t)
	require.Len(t, b.replies(asked), 1, "what was answered is not answered again")
	require.Equal(t, []string{"✅"}, b.signs(asked))
	require.Len(t, b.fleet.listDispatches(t), 2, "nor carried out again")
	b.requireNoIndexTwice(t)

	said, device := b.saidByBot(), b.device(t)
	terminate(t, running)
	b.process(t)
	again := b.say(t, "!mosaic status")
	b.answered(t, again, "")
	b.signed(t, again, "✅")
	b.quiet(t)
	require.Equal(t, device, b.device(t), "it begins anew once")
	require.Equal(t, said+2, b.saidByBot(), "and warns once")
}

func TestWhatWasVotedWhileAnApplicationServiceWasStoppedCountsAfterTheDeadline(t *testing.T) {
	t.Parallel()
	setupBoard(t, func(b *bench) { asService(t, b) }).requireVotesWhileStoppedCount(t)
}

func TestABotThatStandsByRefusesWhatIsPushed(t *testing.T) {
	t.Parallel()
	b := setupService(t)
	b.start(t)
	b.talk(t)
	other := &bench{db: b.db, fleet: b.fleet, homeserver: b.homeserver, gateway: b.gateway, options: b.options}
	registration := *b.options.Registration
	registration.URL = "http://" + localtest.FreeAddress(t)
	file := filepath.Join(t.TempDir(), "registration.yaml")
	require.NoError(t, registration.Write(file))
	other.registrationFile = file
	other.process(t)
	require.Eventually(t, func() bool {
		response, err := http.Get(registration.URL)
		if err != nil {
			return false
		}
		return response.Body.Close() == nil
	}, patience, tick)
	require.Equal(t, http.StatusServiceUnavailable, push(t, &registration, registration.ServerToken, "1", `{"events":[]}`))
}

func TestARegistrationFileIsNeverOverwrittenAndOneThatLacksSomethingIsNamed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "registration.yaml")
	made, err := NewRegistration("@mosaic:example.org", "http://127.0.0.1:29330/", AgentPrefix)
	require.NoError(t, err)
	require.NoError(t, made.Write(file))
	require.ErrorContains(t, made.Write(file), "there already")
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	read, err := ReadRegistration(file)
	require.NoError(t, err)
	require.Equal(t, made, read)
	require.Equal(t, AgentPrefix, read.prefix())
	require.Equal(t, `@fleet_.*:example\.org`, read.Namespaces.Users[1].Regex)
	require.True(t, read.reserves("@mosaic:example.org"))
	require.True(t, read.reserves("@fleet_coder-1:example.org"))
	require.False(t, read.reserves("@mosaic2:example.org"))

	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, bytes.ReplaceAll(raw, []byte("io.element.msc4190: true"), nil), 0o600))
	_, err = ReadRegistration(file)
	require.ErrorContains(t, err, "io.element.msc4190: true")

	_, err = NewRegistration("mosaic", "http://127.0.0.1:1", AgentPrefix)
	require.ErrorContains(t, err, "an example is @mosaic:example.org")
	_, err = NewRegistration("@mosaic:example.org", "127.0.0.1:29330", AgentPrefix)
	require.ErrorContains(t, err, "an example is http://127.0.0.1:29330")
	_, err = NewRegistration("@mosaic:example.org", "http://127.0.0.1:1", "Fleet")
	require.ErrorContains(t, err, "such as fleet_")
}

func TestTheDoctorSaysWhetherTheHomeserverKnowsAndReachesAnApplicationService(t *testing.T) {
	t.Parallel()
	b := setupService(t)
	options := b.options
	options.API = register.NewAPI(b.gateway.url, b.fleet.bot)
	p := &patient{bench: b, options: options}
	running := b.process(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.bind(t, b.room, register.RoomPurposeFleet, register.RoomPurposeBudget, register.RoomPurposeBoard)
	require.Eventually(t, func() bool {
		for _, finding := range Examine(t.Context(), options) {
			if finding.State != PartWell {
				return false
			}
		}
		return true
	}, patience, tick)
	terminate(t, running)
	p.finds(t, "pushing", "does not reach the bot", "Start the bot")
	p.with(func(o *Options) {
		registration := *o.Registration
		registration.Token = "not-known"
		o.Registration = &registration
	}).finds(t, "token", "does not know this application service", "app_service_config_files")
	p.with(func(o *Options) { o.UserID = "@other:localhost" }).finds(t, "token", "reserves no user", "Correct MATRIX_USER_ID")
}

func TestAnApplicationServiceWhoseDeviceWasDeletedGoesOnWithANewOne(t *testing.T) {
	t.Parallel()
	b := setupService(t)
	b.leaves(t)
	service, err := mautrix.NewClient(b.options.Homeserver, id.UserID(b.options.UserID), b.options.Registration.Token)
	require.NoError(t, err)
	service.SetAppServiceUserID = true
	var device id.DeviceID
	require.NoError(t, b.bots(t).QueryRow(t.Context(), `SELECT device_id FROM account`).Scan(&device))
	require.NoError(t, service.DeleteDevice(t.Context(), device, &mautrix.ReqDeleteDevice[any]{}))
	b.process(t)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM account WHERE device_id <> $1 AND stale = ''`, device) == 1
	}, patience, tick)
	require.Eventually(t, func() bool { // ada's client learns of the new device in its own time
		asked := b.say(t, "!mosaic status")
		short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := b.ada.WaitFor(short, b.fromBot(), client.InThread(asked), func(s client.Seen) bool { return s.WasEncrypted })
		return err == nil
	}, 2*patience, tick)
}

func TestAnApplicationServiceLooksForAMessageWhoseAnswerWasLostBeforeItSendsAgain(t *testing.T) {
	t.Parallel()
	b := setupService(t)
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	b.losesTwoAnswers()
	b.answeredOnce(t)
}

func TestOldStateThatIsPushedLateTakesThePlaceOfNoneThatIsNewer(t *testing.T) {
	t.Parallel()
	b := setupService(t)
	registration := b.options.Registration
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	stranger := id.UserID(localtest.Register(t, "Stranger").UserID)
	body := fmt.Sprintf(`{"events":[
		{"type":"m.room.power_levels","state_key":"","event_id":"$old-levels","room_id":%[1]q,"sender":%[2]q,"origin_server_ts":1,"content":{"users":{%[3]q:100}}},
		{"type":"m.room.member","state_key":%[3]q,"event_id":"$old-member","room_id":%[1]q,"sender":%[3]q,"origin_server_ts":1,"content":{"membership":"join"}}]}`,
		b.room, b.ada.UserID, stranger)
	require.Equal(t, http.StatusOK, push(t, registration, registration.ServerToken, "late", body))
	require.Zero(t, b.count(t, `SELECT count(*) FROM mx_room_state WHERE room_id = $1 AND power_levels::text LIKE '%' || $2 || '%'`, b.room, stranger))
	asked := b.say(t, "!mosaic status")
	b.answered(t, asked, "")
	require.Zero(t, b.count(t, `SELECT count(*) FROM mx_user_profile WHERE room_id = $1 AND user_id = $2 AND membership IN ('join', 'invite')`, b.room, stranger),
		"who is gone is given no keys")
}

func TestARoomTheBotIsNotInIsNotHeardThoughItsEventsArePushed(t *testing.T) {
	t.Parallel()
	b := setupService(t)
	registration := b.options.Registration
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	body := fmt.Sprintf(`{"events":[{"type":"m.room.message","event_id":"$elsewhere","room_id":"!elsewhere:localhost","sender":%q,"origin_server_ts":1,
		"content":{"msgtype":"m.text","body":"!mosaic pause"}}]}`, b.ada.UserID)
	require.Equal(t, http.StatusOK, push(t, registration, registration.ServerToken, "elsewhere", body))
	require.Zero(t, b.count(t, `SELECT count(*) FROM journal WHERE event_id = '$elsewhere'`))
}
