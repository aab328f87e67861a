package bot

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// patient is a bot that runs and is well in every part, and whose parts a test breaks.
type patient struct {
	*bench
	options Options
}

func examined(t *testing.T) *patient {
	t.Helper()
	b := setup(t)
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.bind(t, b.room, register.RoomPurposeFleet, register.RoomPurposeBudget, register.RoomPurposeBoard)
	p := &patient{bench: b, options: b.options}
	p.options.API = register.NewAPI(b.gateway.url, b.fleet.bot)
	return p
}

func (b *bench) bind(t *testing.T, room id.RoomID, purposes ...register.RoomPurpose) {
	t.Helper()
	b.fleet.send(t, b.fleet.admin, register.BindRoom(register.RoomBinding{Room: room.String(), Purposes: purposes}), nil)
}

// finds examines and requires that a part is amiss, in these words, with a fix.
func (p *patient) finds(t *testing.T, part, said, fix string) {
	t.Helper()
	findings := Examine(t.Context(), p.options)
	for _, finding := range findings {
		if finding.Part == part && finding.State == PartAmiss && strings.Contains(finding.Said, said) && strings.Contains(finding.Fix, fix) {
			return
		}
	}
	require.Failf(t, "not found", "%s: %s -> %s\nfound: %+v", part, said, fix, findings)
}

func (p *patient) isWell(t *testing.T) {
	t.Helper()
	for _, finding := range Examine(t.Context(), p.options) {
		require.Equal(t, PartWell, finding.State, "%+v", finding)
	}
}

// with breaks options for one look.
func (p *patient) with(change func(*Options)) *patient {
	other := *p
	change(&other.options)
	return &other
}

func (p *patient) exec(t *testing.T, query string, values ...any) {
	t.Helper()
	_, err := p.bots(t).Exec(t.Context(), query, values...)
	require.NoError(t, err)
}

func TestTheDoctorFindsEachPartThatIsBrokenAndSaysHowItIsMended(t *testing.T) {
	t.Parallel()
	p := examined(t)
	p.isWell(t)

	p.with(func(o *Options) { o.DatabaseURL = strings.Replace(o.DatabaseURL, "@", "wrong@", 1) }).
		finds(t, "database", "does not answer", "MOSAIC_BOT_DATABASE")
	var version int
	require.NoError(t, p.bots(t).QueryRow(t.Context(), `SELECT version FROM bot_version`).Scan(&version))
	p.exec(t, `UPDATE bot_version SET version = 999`)
	p.finds(t, "database", "version 999, newer than this program", "newer program")
	p.exec(t, `UPDATE bot_version SET version = $1`, version)

	p.homeserver.set(unavailable)
	p.finds(t, "homeserver", "does not answer as one", "MATRIX_HOMESERVER")
	p.homeserver.set(nil)

	var token string
	require.NoError(t, p.bots(t).QueryRow(t.Context(), `SELECT access_token FROM account`).Scan(&token))
	p.exec(t, `UPDATE account SET access_token = 'nonsense'`)
	p.finds(t, "token", "has ended the bot's login", "MATRIX_PASSWORD")
	p.with(func(o *Options) { o.Password = "" }).finds(t, "token", "does not know the bot's token", "MATRIX_ACCESS_TOKEN")
	p.exec(t, `UPDATE account SET access_token = $1`, token)

	p.with(func(o *Options) { o.PickleKey = "another" }).finds(t, "device", "cannot be opened with this pickle key", "MOSAIC_BOT_PICKLE_KEY")
	p.with(func(o *Options) { o.Now = func() time.Time { return time.Now().Add(-time.Hour) } }).finds(t, "clocks", "ahead of this host's", "set-ntp")
	p.isWell(t)
}

func TestTheDoctorTellsWhyTheDeviceShowsAsNotVerified(t *testing.T) {
	t.Parallel()
	p := examined(t)
	require.NoError(t, os.Chmod(p.options.RecoveryKeyFile, 0o644)) //nolint:gosec // that is what is found
	p.finds(t, "cross-signing", "Others on this host can read", "chmod 600")
	require.NoError(t, os.Rename(p.options.RecoveryKeyFile, p.options.RecoveryKeyFile+".away"))
	p.finds(t, "cross-signing", "recovery key is not in", "MOSAIC_BOT_RECOVERY_KEY_FILE")
	require.NoError(t, os.Chmod(p.options.RecoveryKeyFile+".away", 0o600))
	require.NoError(t, os.Rename(p.options.RecoveryKeyFile+".away", p.options.RecoveryKeyFile))
	p.isWell(t)

	// Someone resets the identity of the bot's user: its device is no longer signed by it.
	name := strings.SplitN(strings.TrimPrefix(p.options.UserID, "@"), ":", 2)[0]
	other := localtest.LogIn(t, localtest.Account{UserID: p.options.UserID, Name: name, Password: p.options.Password})
	keys, err := other.Olm.GenerateCrossSigningKeys()
	require.NoError(t, err)
	require.NoError(t, other.Olm.PublishCrossSigningKeys(t.Context(), keys, func(asked *mautrix.RespUserInteractive) any {
		return &mautrix.ReqUIAuthLogin{
			BaseAuthData: mautrix.BaseAuthData{Type: mautrix.AuthTypePassword, Session: asked.Session}, User: p.options.UserID, Password: p.options.Password,
		}
	}))
	p.finds(t, "cross-signing", "not signed by the bot's own keys", p.options.RecoveryKeyFile)
}

func TestTheDoctorTellsWhatIsWrongWithTheGateway(t *testing.T) {
	t.Parallel()
	p := examined(t)
	p.gateway.set(unavailable)
	p.finds(t, "gateway", "cannot be reached", "mosaic-matrix gateway")
	p.gateway.set(nil)
	p.with(func(o *Options) { o.API = register.NewAPI(p.gateway.url, "nonsense") }).finds(t, "gateway", "does not accept the bot's token", "mosaic-matrix token")
	reader := p.fleet.Token(t, "mosaic-bot", "read")
	p.with(func(o *Options) { o.API = register.NewAPI(p.gateway.url, reader) }).finds(t, "gateway", "may not act for the people", "--scopes bot")

	register, err := pgx.Connect(t.Context(), p.db.Gateway)
	require.NoError(t, err)
	defer register.Close(context.Background())
	_, err = register.Exec(t.Context(), `INSERT INTO fleet.migrations (version_id, is_applied) VALUES (99999, true)`)
	require.NoError(t, err)
	p.finds(t, "schema", "99999, newer than this program", "later one")
	_, err = register.Exec(t.Context(), `DELETE FROM fleet.migrations WHERE version_id = 99999`)
	require.NoError(t, err)
	p.isWell(t)
}

func TestTheDoctorLooksIntoEveryBoundRoom(t *testing.T) {
	t.Parallel()
	p := examined(t)
	us := id.UserID(p.options.UserID)
	p.bind(t, p.room, register.RoomPurposeFleet, register.RoomPurposeBudget)
	p.finds(t, "rooms", "No room is bound for board", "room bind board")

	clear, err := p.ada.Matrix.CreateRoom(t.Context(), &mautrix.ReqCreateRoom{Invite: []id.UserID{us}})
	require.NoError(t, err)
	require.NoError(t, p.ada.WaitUntilJoined(soon(t), clear.RoomID, us))
	p.bind(t, clear.RoomID, register.RoomPurposeBoard)
	p.finds(t, "rooms", clear.RoomID.String()+" is not encrypted", "Turn on encryption")

	muted, err := p.ada.CreateRoom(t.Context(), client.Room{Name: "muted", Invite: []id.UserID{us}, Version: "11"})
	require.NoError(t, err)
	require.NoError(t, p.ada.WaitUntilJoined(soon(t), muted, us))
	_, err = p.ada.Matrix.SendStateEvent(t.Context(), muted, event.StatePowerLevels, "", &event.PowerLevelsEventContent{
		Users: map[id.UserID]int{p.ada.UserID: 100}, EventsDefault: 50,
	})
	require.NoError(t, err)
	p.bind(t, muted, register.RoomPurposeBoard)
	p.finds(t, "rooms", "has power 0, and that takes 50", "the power 50")

	_, err = p.ada.Matrix.KickUser(t.Context(), muted, &mautrix.ReqKickUser{UserID: us})
	require.NoError(t, err)
	p.finds(t, "rooms", "The bot is not in "+muted.String(), "Invite "+p.options.UserID)
}

func TestTheDoctorCountsWhatWasSetAside(t *testing.T) {
	t.Parallel()
	p := examined(t)
	p.exec(t, `UPDATE journal SET state = 'aside', reason = 'a fault of ours' || chr(10) || 'and its stack' WHERE seq = (SELECT max(seq) FROM journal)`)
	p.finds(t, "set aside", "1 event given up on", "replay E")
	for _, finding := range Examine(t.Context(), p.options) {
		require.NotContains(t, finding.Said, "stack")
	}
}

func TestTheDoctorChangesNothing(t *testing.T) {
	t.Parallel()
	p := examined(t)
	wrote := make(chan string, 100)
	watch := func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet && r.URL.Path != "/_matrix/client/v3/keys/query" {
			wrote <- r.Method + " " + r.URL.Path
		}
		return false
	}
	p.quiet(t)
	p.homeserver.set(watch)
	p.gateway.set(watch)
	p.isWell(t)
	require.Empty(t, wrote)
}
