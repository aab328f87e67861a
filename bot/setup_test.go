package bot

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest/gatewaytest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// botProcess makes this test binary a bot, so that tests can kill one.
const botProcess = "MOSAIC_BOT_TEST_PROCESS"

func TestMain(m *testing.M) {
	if raw := os.Getenv(botProcess); raw != "" {
		os.Exit(runProcess(raw))
	}
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set(fmt.Sprint(testsPerCore * runtime.GOMAXPROCS(0)))
	}
	os.Exit(m.Run())
}

// testsPerCore is how many tests run beside each other, unless -parallel says it: each mostly waits for what was said to arrive.
const testsPerCore = 3

type processOptions struct {
	Homeserver, UserID, Password, DatabaseURL, PickleKey, RecoveryKeyFile, GatewayURL, GatewayToken string
	CreateRooms                                                                                     bool
	Listen, RegistrationFile, RefreshToken, OAuthClientID                                           string
}

func runProcess(raw string) int {
	var asked processOptions
	if err := json.Unmarshal([]byte(raw), &asked); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var registration *Registration
	if asked.RegistrationFile != "" {
		var err error
		if registration, err = ReadRegistration(asked.RegistrationFile); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
	}
	b, err := New(ctx, Options{
		Registration: registration, RefreshToken: asked.RefreshToken, OAuthClientID: asked.OAuthClientID,
		Homeserver: asked.Homeserver, UserID: asked.UserID, Password: asked.Password, DatabaseURL: asked.DatabaseURL,
		PickleKey: asked.PickleKey, RecoveryKeyFile: asked.RecoveryKeyFile, CreateRooms: asked.CreateRooms, Listen: asked.Listen,
		API: register.NewAPI(asked.GatewayURL, asked.GatewayToken), Log: testLog("process"),
	})
	if err == nil {
		err = b.Run(ctx)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func testLog(who string) zerolog.Logger {
	level := zerolog.ErrorLevel
	if os.Getenv("MOSAIC_TEST_TRACE") != "" {
		level = zerolog.DebugLevel
	}
	return zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.StampMilli}).Level(level).With().Timestamp().Str("who", who).Logger()
}

// bench is a bot between a real homeserver and a real gateway, each behind a proxy that can be told to fail.
type bench struct {
	db         localtest.DB
	fleet      *fleet
	homeserver *proxy
	gateway    *proxy
	options    Options
	ada        *client.Client // an operator
	// registrationFile makes a bot in a process of its own an application service.
	registrationFile string
	room             id.RoomID // an encrypted room with ada and the bot, once it runs

	opened   sync.Once
	database *dbutil.Database
}

func setup(t *testing.T) *bench {
	t.Helper()
	db := gatewaytest.Register(t)
	account := localtest.Register(t, "Mosaic")
	b := &bench{db: db, fleet: startFleet(t, db)}
	b.homeserver = newProxy(t, localtest.Homeserver(t).URL)
	b.gateway = newProxy(t, b.fleet.URL)
	b.options = Options{
		Homeserver: b.homeserver.url, UserID: account.UserID, Password: account.Password, DatabaseURL: db.Bot,
		PickleKey: "pickle", RecoveryKeyFile: filepath.Join(t.TempDir(), "recovery-key"),
	}
	b.ada = localtest.Person(t, "Ada")
	b.fleet.identify(t, "ada", b.ada.UserID.String(), register.FleetRoleOperator)
	return b
}

// start runs the bot in this process until the test ends.
func (b *bench) start(t *testing.T) *Bot {
	t.Helper()
	running, _ := b.startUntil(t)
	return running
}

// startUntil is start with a way to end the bot before the test does.
func (b *bench) startUntil(t *testing.T) (running *Bot, halt func()) {
	t.Helper()
	options := b.options
	options.API = register.NewAPI(b.gateway.url, b.fleet.bot)
	options.Log = testLog("bot")
	ctx, cancel := context.WithCancel(context.Background())
	running, err := New(ctx, options)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- running.Run(ctx) }()
	halt = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(halt)
	return running, halt
}

// process runs the bot in a process of its own, killed when the test ends.
func (b *bench) process(t *testing.T, environment ...string) *exec.Cmd {
	t.Helper()
	o := b.options
	raw, err := json.Marshal(processOptions{
		Homeserver: o.Homeserver, UserID: o.UserID, Password: o.Password, DatabaseURL: o.DatabaseURL, PickleKey: o.PickleKey,
		RecoveryKeyFile: o.RecoveryKeyFile, CreateRooms: o.CreateRooms, Listen: o.Listen, GatewayURL: b.gateway.url, GatewayToken: b.fleet.bot,
		RegistrationFile: b.registrationFile, RefreshToken: o.RefreshToken, OAuthClientID: o.OAuthClientID,
	})
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(self, "-test.run=^$")
	command.Env = append(append(os.Environ(), botProcess+"="+string(raw)), environment...)
	command.Stderr = os.Stderr
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_, _ = command.Process.Wait()
	})
	return command
}

// talk has ada make the room and the bot join it.
func (b *bench) talk(t *testing.T) {
	t.Helper()
	room, err := b.ada.CreateRoom(t.Context(), client.Room{Name: "ops", Invite: []id.UserID{id.UserID(b.options.UserID), b.third(t)}})
	require.NoError(t, err)
	b.room = room
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, id.UserID(b.options.UserID)))
}

// meets makes the room one of ada, the bot and these people.
func (b *bench) meets(t *testing.T, people ...*client.Client) {
	t.Helper()
	present := []id.UserID{id.UserID(b.options.UserID)}
	for _, person := range people {
		present = append(present, person.UserID)
	}
	room, err := b.ada.CreateRoom(t.Context(), client.Room{Name: "ops", Invite: present})
	require.NoError(t, err)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, present...))
	b.room = room
}

// third makes a room one of three, so that it is no direct chat.
func (b *bench) third(t *testing.T) id.UserID {
	t.Helper()
	return id.UserID(localtest.Register(t, "Third").UserID)
}

func (b *bench) say(t *testing.T, text string) id.EventID {
	t.Helper()
	event, err := b.ada.Say(t.Context(), b.room, text)
	require.NoError(t, err)
	return event
}

// showsRemoved waits until the homeserver's timeline shows an event as removed. Dendrite shows the redaction before it takes the content
// away; a bot that syncs in between reads what was removed.
func (b *bench) showsRemoved(t *testing.T, removed id.EventID) {
	t.Helper()
	require.Eventually(t, func() bool {
		page, err := b.ada.Matrix.Messages(t.Context(), b.room, "", "", mautrix.DirectionBackward, nil, 200)
		return err == nil && slices.ContainsFunc(page.Chunk, func(evt *event.Event) bool { return evt.ID == removed && evt.Unsigned.RedactedBecause != nil })
	}, patience, tick)
}

// replies are what the bot said in the thread of an event, edits aside.
func (b *bench) replies(root id.EventID) []client.Seen {
	var out []client.Seen
	for _, seen := range b.ada.Seen() {
		if seen.Sender == id.UserID(b.options.UserID) && seen.ThreadRoot == root && seen.EditOf == "" {
			out = append(out, seen)
		}
	}
	return out
}

// signs are the keys of the bot's reactions to an event that were not redacted, in order.
func (b *bench) signs(on id.EventID) []string {
	gone := map[id.EventID]bool{}
	for _, seen := range b.ada.Seen() {
		gone[seen.Redacts] = true
	}
	var out []string
	for _, seen := range b.ada.Seen() {
		if seen.Sender == id.UserID(b.options.UserID) && seen.ReactionTo == on && !gone[seen.EventID] {
			out = append(out, seen.Reaction)
		}
	}
	return out
}

// fromBot are the events of a type that the bot sent in a room.
func (b *bench) fromBot() client.Predicate { return client.From(id.UserID(b.options.UserID)) }

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// answered waits for the bot's reply in the thread of an event.
func (b *bench) answered(t *testing.T, root id.EventID, text string) client.Seen {
	t.Helper()
	seen, err := b.ada.WaitFor(soon(t), b.fromBot(), client.InThread(root), client.Contains(text))
	require.NoError(t, err)
	return seen
}

// bots is the bot's own database, to look into.
func (b *bench) bots(t *testing.T) *dbutil.Database {
	t.Helper()
	b.opened.Do(func() {
		database, err := openDatabase(t.Context(), b.options.DatabaseURL, new(atomic.Int64), zerolog.Nop())
		require.NoError(t, err)
		t.Cleanup(func() { database.Close() })
		b.database = database
	})
	return b.database
}

// count runs a query that counts.
func (b *bench) count(t *testing.T, query string, arguments ...any) int {
	t.Helper()
	var n int
	require.NoError(t, b.bots(t).QueryRow(t.Context(), query, arguments...).Scan(&n))
	return n
}

// proxy stands before a server and can be told to do something else with a request.
type proxy struct {
	url     string
	line    *gatewaytest.Line
	forward http.Handler
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	line := gatewaytest.NewLine(t)
	line.Lead(t, target)
	return &proxy{url: line.URL, line: line, forward: http.HandlerFunc(line.Forward)}
}

// set has a handler try each request first; it says whether it took it. Nil leaves all to the server.
func (p *proxy) set(instead func(w http.ResponseWriter, r *http.Request) bool) {
	if instead == nil {
		p.line.Mend()
		return
	}
	p.line.Break(func(w http.ResponseWriter, r *http.Request, forward http.HandlerFunc) {
		if !instead(w, r) {
			forward(w, r)
		}
	})
}

// cut drops the connection without an answer.
func cut() { panic(http.ErrAbortHandler) }

// sends says whether a request sends a message event.
func sends(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/send/")
}

const (
	patience = 2 * time.Minute
	tick     = 50 * time.Millisecond
)

// repeatSyncs has the homeserver answer each sync twice with the same bytes, as if the first answer's token had been lost.
func repeatSyncs(p *proxy, repeated *atomic.Int64) func(w http.ResponseWriter, r *http.Request) bool {
	var mutex sync.Mutex
	answers := map[string]*httptest.ResponseRecorder{}
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/sync") || r.URL.Query().Get("since") == "" {
			return false
		}
		mutex.Lock()
		defer mutex.Unlock()
		since := r.URL.Query().Get("since")
		answer, again := answers[since]
		if !again {
			answer = httptest.NewRecorder()
			p.forward.ServeHTTP(answer, r)
			var decoded map[string]any
			if answer.Code != http.StatusOK || json.Unmarshal(answer.Body.Bytes(), &decoded) != nil {
				w.WriteHeader(http.StatusBadGateway)
				return true
			}
			answers[since] = answer
			// The first time the token stays what it was, so that the bot asks again from there.
			decoded["next_batch"] = since
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(decoded)
			return true
		}
		repeated.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer.Body.Bytes())
		return true
	}
}
