package bot

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// transactionLimit bounds one transaction: Synapse puts at most a hundred events and a hundred to-device messages into one.
const transactionLimit = 64 << 20

// pushedBody is what the homeserver sends in one transaction. What belongs to end-to-end encryption has the names of MSC2409, MSC3202 and MSC4203 for now.
type pushedBody struct {
	Events      []*event.Event                                 `json:"events"`
	ToDevice    []*event.Event                                 `json:"de.sorunome.msc2409.to_device"`
	DeviceLists mautrix.DeviceLists                            `json:"org.matrix.msc3202.device_lists"`
	OneTimeKeys map[id.UserID]map[id.DeviceID]mautrix.OTKCount `json:"org.matrix.msc3202.device_one_time_keys_count"`
}

// intake is where the homeserver pushes to a bot that is an application service. Until the bot is active it refuses, so that the
// homeserver keeps what it has.
type intake struct {
	registration *Registration
	server       *http.Server
	take         atomic.Pointer[func(ctx context.Context, id string, pushed *pushedBody) error]
}

func openIntake(options Options) (*intake, error) {
	address := options.RegistrationListen
	if address == "" {
		at, err := url.Parse(options.Registration.URL)
		if err != nil || at.Port() == "" {
			return nil, fmt.Errorf("the registration's url %q names no port to listen on; set MOSAIC_BOT_APPSERVICE_LISTEN, such as 127.0.0.1:29330", options.Registration.URL)
		}
		address = at.Host
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s for what the homeserver pushes: %w", address, err)
	}
	in := &intake{registration: options.Registration}
	routes := http.NewServeMux()
	routes.HandleFunc("PUT /_matrix/app/v1/transactions/{id}", in.transaction)
	routes.HandleFunc("POST /_matrix/app/v1/ping", in.ping)
	routes.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if in.admitted(w, r) {
			mautrix.MNotFound.WithMessage("there is no such user, room or path here").Write(w)
		}
	})
	in.server = &http.Server{Handler: routes, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context {
		return options.Log.WithContext(context.Background())
	}}
	go func() { _ = in.server.Serve(listener) }()
	return in, nil
}

// close waits for what is being taken, which commits or does not.
func (in *intake) close() {
	if in == nil {
		return
	}
	in.take.Store(nil)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = in.server.Shutdown(ctx)
}

// admitted says whether a request is the homeserver's, and answers it if not.
func (in *intake) admitted(w http.ResponseWriter, r *http.Request) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		mautrix.MMissingToken.WithMessage("this takes the registration's hs_token").Write(w)
		return false
	}
	if subtle.ConstantTimeCompare([]byte(given), []byte(in.registration.ServerToken)) != 1 {
		mautrix.MForbidden.WithMessage("this is not the registration's hs_token; homeserver and bot must read the same file").Write(w)
		return false
	}
	return true
}

func standsBy(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(`{"errcode":"M_UNAVAILABLE","error":"this bot is not active; try again"}`))
}

func done(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{}"))
}

func (in *intake) ping(w http.ResponseWriter, r *http.Request) {
	switch {
	case !in.admitted(w, r):
	case in.take.Load() == nil:
		standsBy(w)
	default:
		done(w)
	}
}

// transaction answers 200 only when all of a transaction is committed. Anything else has the homeserver send it again.
func (in *intake) transaction(w http.ResponseWriter, r *http.Request) {
	if !in.admitted(w, r) {
		return
	}
	take := in.take.Load()
	if take == nil {
		standsBy(w)
		return
	}
	var pushed pushedBody
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, transactionLimit)).Decode(&pushed); err != nil {
		zerolog.Ctx(r.Context()).Error().Err(err).Msg("The homeserver pushed what is no transaction")
		mautrix.MBadJSON.WithMessage("this is no transaction: " + err.Error()).Write(w)
		return
	}
	// What was received is committed even if the homeserver no longer waits for the answer.
	err := (*take)(context.WithoutCancel(r.Context()), r.PathValue("id"), &pushed)
	switch {
	case err == nil:
		done(w)
	case errors.Is(err, errNotActive):
		standsBy(w)
	default:
		zerolog.Ctx(r.Context()).Warn().Err(err).Str("transaction", r.PathValue("id")).Msg("What the homeserver pushed is not taken yet")
		mautrix.MUnknown.WithMessage("not committed; send it again").WithStatus(http.StatusInternalServerError).Write(w)
	}
}

var errNotActive = errors.New("the bot is not active")

// take commits a pushed transaction as it would an answer to a sync: all of it in one database transaction, its ID in place of the
// sync token. One that is committed already has no effect.
func (b *Bot) take(ctx context.Context, name string, pushed *pushedBody) error {
	s := b.syncer
	s.taking.Lock()
	defer s.taking.Unlock()
	if s.position() == "" || !storable(name) {
		return errNotActive
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	digest := digestOf(pushed.Events)
	var known bool
	err := b.database.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM homeserver_transaction WHERE txn_id = $1 AND events = $2)`, name, digest).Scan(&known)
	if err != nil {
		return fmt.Errorf("looking whether a transaction is known: %w", err)
	}
	if known {
		return nil
	}
	a, err := b.pushed(ctx, pushed)
	if err != nil {
		return err
	}
	a.transaction, a.digest = name, digest
	return s.commit(ctx, a)
}

func digestOf(events []*event.Event) []byte {
	hash := sha256.New()
	for _, evt := range events {
		fmt.Fprintf(hash, "%d:%s", len(evt.ID), evt.ID)
	}
	return hash.Sum(nil)
}

// pushed is a transaction as an answer to a sync. Only rooms the bot is in count: the homeserver also pushes what is said where an
// agent's user is. How the bot itself comes into a room or goes is left to the sync, which brings the room's state along.
func (b *Bot) pushed(ctx context.Context, pushed *pushedBody) (*answer, error) {
	a := &answer{since: b.syncer.position(), response: &mautrix.RespSync{DeviceLists: pushed.DeviceLists}}
	a.response.Rooms.Join = map[id.RoomID]*mautrix.SyncJoinedRoom{}
	own := b.client.UserID
	for _, evt := range pushed.ToDevice {
		if evt.ToUserID == own && evt.ToDeviceID == b.client.DeviceID {
			a.response.ToDevice.Events = append(a.response.ToDevice.Events, evt)
		}
	}
	if counts, there := pushed.OneTimeKeys[own][b.client.DeviceID]; there {
		a.response.DeviceOTKCount = counts
	} else {
		a.uncounted = true
	}
	for _, evt := range pushed.Events {
		if evt.Type.Type == event.StateMember.Type && evt.GetStateKey() == own.String() {
			b.syncer.hurry()
		}
		in, asked := a.response.Rooms.Join[evt.RoomID]
		if !asked {
			joined, err := b.inRoom(ctx, evt.RoomID)
			if err != nil {
				return nil, err
			}
			if joined {
				in = &mautrix.SyncJoinedRoom{}
			}
			a.response.Rooms.Join[evt.RoomID] = in
		}
		if in == nil {
			continue
		}
		if err := b.readState(ctx, evt); err != nil {
			return nil, err
		}
		in.Timeline.Events = append(in.Timeline.Events, evt)
	}
	for room, in := range a.response.Rooms.Join {
		if in == nil {
			delete(a.response.Rooms.Join, room)
		}
	}
	return a, nil
}

func (b *Bot) inRoom(ctx context.Context, room id.RoomID) (joined bool, err error) {
	err = b.database.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM mx_user_profile WHERE room_id = $1 AND user_id = $2 AND membership = 'join')`,
		room, b.client.UserID).Scan(&joined)
	if err != nil {
		return false, fmt.Errorf("reading whether the bot is in %s: %w", room, err)
	}
	return joined, nil
}

// readState asks how a piece of a room's state is now. A homeserver that could not reach the bot pushes what is long past, and older
// state must not take the place of newer.
func (b *Bot) readState(ctx context.Context, evt *event.Event) error {
	switch evt.Type.Type {
	case event.StateEncryption.Type, event.StateCreate.Type, event.StatePowerLevels.Type, event.StateJoinRules.Type, event.StateHistoryVisibility.Type:
	default:
		return nil
	}
	if evt.GetStateKey() != "" {
		return nil
	}
	kind := evt.Type
	kind.Class = event.StateEventType
	_, err := b.client.FullStateEvent(ctx, evt.RoomID, kind, "")
	if errors.Is(err, mautrix.MForbidden) || errors.Is(err, mautrix.MNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking for the %s of %s: %w", kind.Type, evt.RoomID, err)
	}
	return nil
}
