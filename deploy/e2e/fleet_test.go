// Package e2e tests the README's promises end to end, one file a promise: the real binary's processes, a real Postgres, a
// real homeserver, real clients in encrypted rooms.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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

// binary is mosaic-matrix, built once for all tests of this package as a user builds it.
var binary = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "mosaic-matrix-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "mosaic-matrix")
	build := exec.Command("go", "build", "-tags", "goolm", "-o", path, "git.mosaicstack.dev/mosaicstack/mosaic-matrix")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the binary: %w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// fleet is one running fleet with its people at their clients; every test has its own.
type fleet struct {
	*system.System
	t         *testing.T
	database  localtest.DB
	directory string
	bot       id.UserID
	operator  *client.Client
	seats     map[string]*client.Client // by identity: ceo, cto, cfo
	fleet     id.RoomID
	budget    id.RoomID
	board     id.RoomID
}

// seats of the board a fleet starts with when a test asks for them.
var boardSeats = []system.Person{
	{Name: "ceo", Seat: "CEO", Lens: "mission"},
	{Name: "cto", Seat: "CTO", Lens: "feasibility"},
	{Name: "cfo", Seat: "CFO", Lens: "cost"},
}

// setup starts a fleet with an operator, and a board if withBoard, and waits until they are in their rooms.
func setup(t *testing.T, withBoard bool) *fleet {
	t.Helper()
	return setupWith(t, withBoard, func(*system.Options) {})
}

func setupWith(t *testing.T, withBoard bool, change func(*system.Options)) *fleet {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	homeserver := localtest.Homeserver(t)
	f := &fleet{t: t, database: localtest.Database(t), directory: t.TempDir(), seats: map[string]*client.Client{}}
	secrets, err := local.OpenSecrets(filepath.Join(f.directory, "secrets.yaml"))
	require.NoError(t, err)

	account := localtest.Register(t, "operator")
	f.operator = localtest.LogIn(t, account)
	people := []system.Person{{
		Name: "operator", MatrixID: account.UserID, Kind: register.IdentityRequestKindHuman,
		Roles: []register.FleetRole{register.FleetRoleOperator},
	}}
	if withBoard {
		for _, person := range boardSeats {
			account := localtest.Register(t, person.Name)
			f.seats[person.Name] = localtest.LogIn(t, account)
			person.MatrixID, person.Kind, person.Roles = account.UserID, register.IdentityRequestKindHuman, []register.FleetRole{register.FleetRoleBoard}
			people = append(people, person)
		}
	}
	bot := localtest.Register(t, "mosaic")
	f.bot = id.UserID(bot.UserID)
	options := system.Options{
		Binary: path, Directory: f.directory, Secrets: secrets, GatewayDatabase: f.database.Gateway, BotDatabase: f.database.Bot,
		Homeserver: homeserver.URL, BotID: bot.UserID, BotPassword: bot.Password, People: people,
		Board: &register.BoardRequest{SettleSeconds: new(int)},
	}
	change(&options)
	f.System, err = system.Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(f.stop)
	f.man()
	f.enter()
	return f
}

// man declares a worker that never asks for work, so that none waits for one.
func (f *fleet) man() {
	f.t.Helper()
	declare := register.DeclareAgent("coder-9", register.AgentDeclaration{Runtime: "none", LivenessSeconds: 86400})
	require.NoError(f.t, f.API().Send(f.t.Context(), register.By{Key: "coder-9"}, declare, nil))
}

// stop ends the fleet; a failed test shows what its processes logged last.
func (f *fleet) stop() {
	f.System.Stop()
	if !f.t.Failed() {
		return
	}
	for _, name := range []string{"gateway.log", "bot.log"} {
		text, _ := os.ReadFile(filepath.Join(f.directory, name))
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		f.t.Logf("end of %s:\n%s", name, strings.Join(lines[max(0, len(lines)-25):], "\n"))
	}
}

func (f *fleet) enter() {
	f.t.Helper()
	rooms, err := f.Rooms(f.t.Context())
	require.NoError(f.t, err)
	f.fleet = id.RoomID(rooms[register.RoomPurposeFleet].Room)
	f.budget = id.RoomID(rooms[register.RoomPurposeBudget].Room)
	f.board = id.RoomID(rooms[register.RoomPurposeBoard].Room)
	for _, room := range []id.RoomID{f.fleet, f.budget, f.board} {
		require.NoError(f.t, f.operator.WaitUntilJoined(f.t.Context(), room, f.operator.UserID, f.bot))
	}
	for _, seat := range f.seats {
		require.NoError(f.t, seat.WaitUntilJoined(f.t.Context(), f.board, seat.UserID, f.bot))
	}
}

// work starts a worker for role coder whose agent is this shell script. It gets the brief on standard input and writes its
// report to $MOSAIC_RESULT_FILE.
func (f *fleet) work(script string) {
	f.t.Helper()
	path := filepath.Join(f.directory, "agent.sh")
	require.NoError(f.t, os.WriteFile(path, []byte("set -eu\n"+script), 0o600))
	require.NoError(f.t, f.StartWorker(f.t.Context(), "coder-1", "coder", "/bin/sh", path))
}

// quick is an agent that spends two credits and says its brief back.
const quick = `
brief=$(cat)
echo "read: $brief"
printf '{"outcome":"done","actuals":[{"unit":"credits","micros":2000000}],"result":{"summary":"did: %s"}}' "$brief" > "$MOSAIC_RESULT_FILE"
`

// setBudget gives claude this many credits, from now (or since) to a reset in two hours, past the rooms.
func (f *fleet) setBudget(credits int64, since time.Time) {
	f.t.Helper()
	require.NoError(f.t, f.API().Send(f.t.Context(), register.By{Key: f.t.Name() + "-budget"}, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Unit: register.UnitCredits, LimitMicros: credits * 1_000_000, ResetAt: time.Now().Add(2 * time.Hour), Since: since,
	}), nil))
}

// say has the operator type a command in a room.
func (f *fleet) say(room id.RoomID, command string) id.EventID {
	f.t.Helper()
	event, err := f.operator.Say(f.t.Context(), room, command)
	require.NoError(f.t, err)
	return event
}

// reply waits for the bot's reply to a command: a notice in its thread, in an encrypted room encrypted.
func (f *fleet) reply(command id.EventID) client.Seen {
	f.t.Helper()
	seen, err := f.operator.WaitFor(f.t.Context(), client.From(f.bot), client.InThread(command), notice)
	require.NoError(f.t, err)
	require.True(f.t, seen.WasEncrypted, "the reply was not encrypted")
	return seen
}

// ask is say and reply.
func (f *fleet) ask(room id.RoomID, command string) (id.EventID, client.Seen) {
	f.t.Helper()
	asked := f.say(room, command)
	return asked, f.reply(asked)
}

// marked waits for the bot's sign on a command.
func (f *fleet) marked(command id.EventID, sign string) {
	f.t.Helper()
	_, err := f.operator.WaitFor(f.t.Context(), client.From(f.bot), client.Reacts(command, sign))
	require.NoError(f.t, err)
}

// dispatches are all the register has, oldest first.
func (f *fleet) dispatches() []register.Dispatch {
	f.t.Helper()
	list, err := f.API().Dispatches(f.t.Context(), register.By{}, "", 100)
	require.NoError(f.t, err)
	ordered := make([]register.Dispatch, 0, len(list.Dispatches))
	for i := range list.Dispatches {
		ordered = append(ordered, list.Dispatches[len(list.Dispatches)-1-i])
	}
	return ordered
}

// reaches waits until a dispatch is in a state.
func (f *fleet) reaches(dispatch string, state register.DispatchState) register.Dispatch {
	f.t.Helper()
	var read register.Dispatch
	require.Eventually(f.t, func() bool {
		var err error
		read, err = f.API().Dispatch(f.t.Context(), register.By{}, dispatch)
		return err == nil && read.State == state
	}, 2*time.Minute, 25*time.Millisecond, "%s never became %s", dispatch, state)
	return read
}

func (f *fleet) window() register.Window {
	f.t.Helper()
	status, err := f.API().Budgets(f.t.Context(), register.By{}, "claude")
	require.NoError(f.t, err)
	require.Len(f.t, status.Windows, 1)
	return status.Windows[0]
}

// fromBot are the bot's messages that a person sees in answer to an event: in its thread, edits apart.
func (f *fleet) fromBot(command id.EventID) []client.Seen {
	var replies []client.Seen
	for _, seen := range f.operator.Seen() {
		if seen.Sender == f.bot && seen.ThreadRoot == command && seen.MsgType != "" && seen.EditOf == "" {
			replies = append(replies, seen)
		}
	}
	return replies
}

// settle waits until the bot has nothing left to hear or say in a room: a last command of the operator's is answered.
func (f *fleet) settle(room id.RoomID) {
	f.t.Helper()
	f.ask(room, "!mosaic whoami")
}

func notice(seen client.Seen) bool { return seen.MsgType == event.MsgNotice && seen.EditOf == "" }

// rings accepts a new text that mentions exactly these people: what wakes a phone by the default push rules.
func rings(people ...*client.Client) client.Predicate {
	return func(seen client.Seen) bool {
		if seen.MsgType != event.MsgText || seen.EditOf != "" || seen.MentionsRoom || len(seen.Mentions) != len(people) {
			return false
		}
		wanted := map[id.UserID]bool{}
		for _, person := range people {
			wanted[person.UserID] = true
		}
		for _, mentioned := range seen.Mentions {
			if !wanted[mentioned] {
				return false
			}
		}
		return true
	}
}

// run starts the binary as a user does and returns what it printed.
func (f *fleet) run(ctx context.Context, environment []string, arguments ...string) (stdout, stderr string, code int) {
	f.t.Helper()
	path, err := binary()
	require.NoError(f.t, err)
	var out, problems strings.Builder
	command := exec.CommandContext(ctx, path, arguments...)
	command.Dir = f.directory
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = &out, &problems
	_ = command.Run()
	return out.String(), problems.String(), command.ProcessState.ExitCode()
}
