//go:build foreign

package foreign

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/system"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// binary is mosaic-matrix as `make build` leaves it.
const binary = "../../bin/mosaic-matrix"

// fleet is one running fleet whose people sit at foreign clients; every test has its own.
type fleet struct {
	*system.System
	t         *testing.T
	directory string
	bot       id.UserID
	operator  *person
	recovery  string // the operator's recovery key
	others    map[string]*person
	fleet     id.RoomID
	budget    id.RoomID
	board     id.RoomID
}

// someone is a person of the fleet at a foreign client, whose device is cross-signed unless it is unsigned.
type someone struct {
	system.Person
	unsigned bool
}

// setup starts a fleet for an operator and these others, and waits until they are in their rooms.
func setup(t *testing.T, others ...someone) *fleet {
	t.Helper()
	f := &fleet{t: t, directory: t.TempDir(), others: map[string]*person{}}
	var people []system.Person
	for i, one := range append([]someone{operator("operator")}, others...) {
		// A homeserver without intentional mentions, as Dendrite is, has clients sound for their user's display name in any text;
		// so that is not what the fleet calls its people.
		at := atForeignClient(t, localtest.Register(t, "our-"+one.Name))
		one.MatrixID = at.UserID.String()
		people = append(people, one.Person)
		recovery := ""
		if !one.unsigned {
			recovery = at.crossSign()
		}
		if i == 0 {
			f.operator, f.recovery = at, recovery
			continue
		}
		f.others[one.Name] = at
	}
	f.run(people)
	f.enter(people)
	return f
}

func operator(name string) someone {
	return someone{Person: system.Person{Name: name, Kind: register.IdentityRequestKindHuman, Roles: []register.FleetRole{register.FleetRoleOperator}}}
}

func seat(name string) someone {
	return someone{Person: system.Person{
		Name: name, Kind: register.IdentityRequestKindHuman, Roles: []register.FleetRole{register.FleetRoleBoard}, Seat: strings.ToUpper(name),
	}}
}

// run starts the fleet; a failed test shows what its processes logged last.
func (f *fleet) run(people []system.Person) {
	f.t.Helper()
	path, err := filepath.Abs(binary)
	require.NoError(f.t, err)
	require.FileExists(f.t, path, "make test-foreign builds it")
	secrets, err := local.OpenSecrets(filepath.Join(f.directory, "secrets.yaml"))
	require.NoError(f.t, err)
	database, bot := localtest.Database(f.t), localtest.Register(f.t, "mosaic")
	f.bot = id.UserID(bot.UserID)
	f.System, err = system.Start(f.t.Context(), system.Options{
		Binary: path, Directory: f.directory, Secrets: secrets, GatewayDatabase: database.Gateway, BotDatabase: database.Bot,
		Homeserver: localtest.Homeserver(f.t).URL, BotID: bot.UserID, BotPassword: bot.Password, People: people,
		Board: &register.BoardRequest{SettleSeconds: new(int)},
	})
	require.NoError(f.t, err)
	f.t.Cleanup(func() {
		f.Stop()
		for _, name := range []string{"gateway.log", "bot.log"} {
			if text, _ := os.ReadFile(filepath.Join(f.directory, name)); f.t.Failed() {
				lines := strings.Split(strings.TrimSpace(string(text)), "\n")
				f.t.Logf("end of %s:\n%s", name, strings.Join(lines[max(0, len(lines)-25):], "\n"))
			}
		}
	})
}

func (f *fleet) enter(people []system.Person) {
	f.t.Helper()
	rooms, err := f.Rooms(f.t.Context())
	require.NoError(f.t, err)
	f.fleet = id.RoomID(rooms[register.RoomPurposeFleet].Room)
	f.budget = id.RoomID(rooms[register.RoomPurposeBudget].Room)
	f.board = id.RoomID(rooms[register.RoomPurposeBoard].Room)
	for _, one := range people {
		who := id.UserID(one.MatrixID)
		for _, room := range []id.RoomID{f.fleet, f.budget, f.board} {
			if room == f.board || one.Seat == "" {
				f.operator.waitUntilJoined(room, f.bot, who)
			}
		}
		if other := f.others[one.Name]; other != nil {
			other.waitUntilJoined(f.board, f.bot, who)
		}
	}
}

// everyone is all people at foreign clients, by name.
func (f *fleet) everyone() map[string]*person {
	all := maps.Clone(f.others)
	all["operator"] = f.operator
	return all
}

// work starts a worker for role coder whose agent says how far it is, spends two credits and says its brief back.
func (f *fleet) work() {
	f.t.Helper()
	path := filepath.Join(f.directory, "agent.sh")
	require.NoError(f.t, os.WriteFile(path, []byte(`set -eu
brief=$(cat)
echo "read: $brief"; sleep 1; echo "thinking about it"; sleep 1
printf '{"outcome":"done","actuals":[{"unit":"credits","micros":2000000}],"result":{"summary":"did: %s"}}' "$brief" > "$MOSAIC_RESULT_FILE"
`), 0o600))
	require.NoError(f.t, f.StartWorker(f.t.Context(), "coder-1", "coder", "/bin/sh", path))
}

// setBudget gives claude this many credits, from now (or since) to a reset in two hours, past the rooms.
func (f *fleet) setBudget(credits int64, since time.Time) {
	f.t.Helper()
	require.NoError(f.t, f.API().Send(f.t.Context(), register.By{Key: f.t.Name() + "-budget"}, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Unit: register.UnitCredits, LimitMicros: credits * 1_000_000, ResetAt: time.Now().Add(2 * time.Hour), Since: since,
	}), nil))
}

// ask has the operator say a command and waits for the reply: a notice in the command's thread, encrypted.
func (f *fleet) ask(room id.RoomID, command string) (id.EventID, client.Seen) {
	f.t.Helper()
	asked := f.operator.say(room, command)
	return asked, f.reply(f.operator, asked)
}

func (f *fleet) reply(reader *person, command id.EventID) client.Seen {
	f.t.Helper()
	reply := reader.sees(client.From(f.bot), client.InThread(command), notice)
	require.True(f.t, reply.WasEncrypted, "the reply was not encrypted")
	return reply
}

// finished waits for the message in a command's thread that says its dispatch is over.
func (f *fleet) finished(reader *person, command id.EventID) client.Seen {
	f.t.Helper()
	return reader.sees(client.From(f.bot), client.InThread(command), text)
}

// said are the bot's messages, edits too, that a person has seen.
func (f *fleet) said(reader *person) []client.Seen {
	var said []client.Seen
	for _, seen := range reader.Seen() {
		if seen.Sender == f.bot && (seen.MsgType != "" || seen.Undecrypted || seen.Type == event.EventEncrypted.Type) {
			said = append(said, seen)
		}
	}
	return said
}

func notice(seen client.Seen) bool { return seen.MsgType == event.MsgNotice && seen.EditOf == "" }
func text(seen client.Seen) bool   { return seen.MsgType == event.MsgText && seen.EditOf == "" }
