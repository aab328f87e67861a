package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// wholeAgain is how often a bot in safe mode tries to start whole.
const wholeAgain = 10 * time.Second

// errKeysUnreadable says that the keys in the database cannot be opened.
var errKeysUnreadable = errors.New("reading the device's keys (is the pickle key the one they were stored with?)")

// Start sets a bot up and runs it until ctx ends. A bot that cannot start whole starts small, in safe mode: it carries out nothing and
// writes nothing to its database, says in the admins' rooms what is wrong and how it is mended, and tries again until it is whole.
func Start(ctx context.Context, options Options) error {
	whole, err := New(ctx, options)
	if err != nil {
		whole, err = startSmall(ctx, options, err)
	}
	if err != nil {
		return err
	}
	return whole.Run(ctx)
}

// startSmall returns the whole bot once it can start. It returns cause where not even a small one can: settings that make no sense, or
// a homeserver that does not let it in.
func startSmall(ctx context.Context, options Options, cause error) (*Bot, error) {
	options, err := options.complete()
	if err != nil || options.Password == "" || ctx.Err() != nil || errors.Is(cause, errDeposed) {
		return nil, cause
	}
	ctx = options.Log.WithContext(ctx)
	zerolog.Ctx(ctx).Error().Err(cause).Msg("The bot cannot start whole; it starts in safe mode")
	small, err := signInSmall(ctx, options)
	if err != nil {
		zerolog.Ctx(ctx).Error().Err(err).Msg("Safe mode cannot start either")
		return nil, cause
	}
	defer small.logOut(ctx)
	health := &smallHealth{}
	health.set(cause)
	stop := health.serve(ctx, options.Listen)
	for said := ""; ; {
		if said != cause.Error() {
			said = cause.Error()
			small.tell(ctx, smallText(cause, options))
		}
		pause(ctx, wholeAgain)
		if ctx.Err() != nil {
			stop()
			return nil, cause
		}
		stop() // the whole bot listens at the same address
		whole, err := New(ctx, options)
		if err == nil {
			small.tell(ctx, "**I am whole again.** Commands that waited are carried out now.")
			return whole, nil
		}
		cause = err
		health.set(cause)
		stop = health.serve(ctx, options.Listen)
	}
}

// smallText says what is wrong and how it is mended.
func smallText(cause error, options Options) string {
	wrong, mend := plain(firstLine(cause.Error())), "`mosaic-matrix doctor`, with my settings, says what is amiss and how it is mended."
	switch {
	case errors.Is(cause, dbutil.ErrUnsupportedDatabaseVersion):
		wrong, mend = "my database was written by a newer program than this one, and an older one must not write there", "Start the newer program, or a later one."
	case errors.Is(cause, errKeysUnreadable):
		wrong = "my keys in the database cannot be opened"
		mend = "Set MOSAIC_BOT_PICKLE_KEY to the one I was first started with, and start me again. If it is lost, give me an empty database: I then begin with a new device."
	case strings.Contains(cause.Error(), "recovery key is not in"):
		mend = "Put the recovery key into " + plain(options.RecoveryKeyFile) + ", mode 0600; I look for it every " + wholeAgain.String() + "."
	}
	return "**I am in safe mode and carry out nothing:** " + wrong + ".\n\n" + mend + "\n\nWhat you say meanwhile is not lost: I read it when I am whole."
}

// small is the bot in safe mode: a device of its own, with keys in memory, that only speaks.
type small struct {
	options Options
	client  *mautrix.Client
	machine *crypto.OlmMachine
	state   *mautrix.MemoryStateStore
}

func signInSmall(ctx context.Context, options Options) (*small, error) {
	client, err := mautrix.NewClient(options.Homeserver, "", "")
	if err != nil {
		return nil, fmt.Errorf("the homeserver URL %q cannot be used: %w", options.Homeserver, err)
	}
	client.Log = zerolog.Nop()
	client.DefaultHTTPRetries = 3
	client.Client = &http.Client{Timeout: 90 * time.Second}
	_, err = client.Login(ctx, &mautrix.ReqLogin{
		Type: mautrix.AuthTypePassword, Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: options.UserID},
		Password: options.Password, InitialDeviceDisplayName: options.DeviceName + " in safe mode", StoreCredentials: true,
	})
	if err != nil {
		return nil, fmt.Errorf("logging in as %s: %w", options.UserID, err)
	}
	s := &small{options: options, client: client, state: mautrix.NewMemoryStateStore().(*mautrix.MemoryStateStore)}
	client.StateStore = s.state
	quiet := zerolog.Nop()
	s.machine = crypto.NewOlmMachine(client, &quiet, crypto.NewMemoryStore(nil), s.state)
	s.machine.SendKeysMinTrust, s.machine.ShareKeysMinTrust = trustFloor, trustFloor
	if err := s.setUp(ctx); err != nil {
		s.logOut(ctx)
		return nil, err
	}
	return s, nil
}

// setUp publishes the device's keys, and lets it show as verified if the recovery key is at hand.
func (s *small) setUp(ctx context.Context) error {
	if err := s.machine.Load(ctx); err != nil {
		return fmt.Errorf("making the device's keys: %w", err)
	}
	if err := s.machine.ShareKeys(ctx, -1); err != nil {
		return fmt.Errorf("publishing the device's keys: %w", err)
	}
	recovery, err := os.ReadFile(s.options.RecoveryKeyFile)
	if err == nil {
		err = s.machine.VerifyWithRecoveryKey(ctx, strings.TrimSpace(string(recovery)))
	}
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("The device in safe mode shows as not verified")
	}
	return nil
}

func (s *small) logOut(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := s.client.Logout(ctx); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("The device in safe mode is not logged out")
	}
}

// tell says something in the admins' rooms, as far as they are known and encrypted.
func (s *small) tell(ctx context.Context, markdown string) {
	for _, room := range forAdmins(s.bindings(ctx)) {
		if err := s.say(ctx, room, markdown); err != nil && ctx.Err() == nil {
			zerolog.Ctx(ctx).Warn().Err(err).Stringer("room_id", room).Msg("What is wrong cannot be said in a room")
		}
	}
}

// bindings are asked of the gateway, or else read from the bot's database.
func (s *small) bindings(ctx context.Context) []register.RoomBinding {
	asked, cancel := context.WithTimeout(ctx, examinePatience)
	defer cancel()
	if rooms, err := s.options.API.Rooms(asked, register.By{}); err == nil {
		return rooms.Rooms
	}
	config, err := pgx.ParseConfig(s.options.DatabaseURL)
	if err != nil {
		return nil
	}
	config.RuntimeParams["search_path"] = schema
	config.RuntimeParams["default_transaction_read_only"] = "on"
	database, err := dbutil.NewWithDB(stdlib.OpenDB(*config), "pgx")
	if err != nil {
		return nil
	}
	defer database.Close()
	kept, err := keptBindings(ctx, database)
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("Which rooms are the admins' is not known")
	}
	return kept
}

func (s *small) say(ctx context.Context, room id.RoomID, markdown string) error {
	if _, err := s.client.State(ctx, room); err != nil {
		return fmt.Errorf("reading the state of %s: %w", room, err)
	}
	if encrypted, err := s.state.IsEncrypted(ctx, room); err != nil || !encrypted {
		return errors.Join(err, fmt.Errorf("%s is not encrypted", room))
	}
	members, err := s.state.GetRoomJoinedOrInvitedMembers(ctx, room)
	if err != nil {
		return fmt.Errorf("reading who is in %s: %w", room, err)
	}
	if err := s.machine.ShareGroupSession(ctx, room, members); err != nil {
		return fmt.Errorf("sharing the room's keys: %w", err)
	}
	sealed, err := s.machine.EncryptMegolmEvent(ctx, room, event.EventMessage, words(markdown, nil))
	if err != nil {
		return fmt.Errorf("encrypting: %w", err)
	}
	if _, err := s.client.SendMessageEvent(ctx, room, event.EventEncrypted, sealed, mautrix.ReqSendEvent{DontEncrypt: true}); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// smallHealth answers /healthz and /readyz in safe mode: it is alive, and not ready.
type smallHealth struct {
	mutex sync.Mutex
	cause string
}

func (h *smallHealth) set(cause error) {
	h.mutex.Lock()
	h.cause = firstLine(cause.Error())
	h.mutex.Unlock()
}

func (h *smallHealth) ready(w http.ResponseWriter, _ *http.Request) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(Health{Parts: map[string]string{"safe mode": h.cause}})
}

// serve listens until the returned function is called; an address that is taken is no reason to be silent.
func (h *smallHealth) serve(ctx context.Context, listen string) (stop func()) {
	if listen == "" {
		return func() {}
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("Health cannot be served in safe mode")
		return func() {}
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /healthz", alive)
	routes.HandleFunc("GET /readyz", h.ready)
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return func() { server.Close() }
}
