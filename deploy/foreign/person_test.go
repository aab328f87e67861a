//go:build foreign

package foreign

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

// patience bounds one request to a client; a first sync with keys to make takes a second or two.
const patience = 2 * time.Minute

// person is someone at a foreign client: a process of its own that person.mjs describes.
type person struct {
	*client.Transcript
	UserID   id.UserID
	DeviceID id.DeviceID

	t       *testing.T
	account localtest.Account
	folder  string
	process *local.Process
	input   *io.PipeWriter

	lock    sync.Mutex
	last    int
	waiting map[int]chan answer
	views   map[id.EventID]view
}

type answer struct {
	OK    json.RawMessage `json:"ok"`
	Error string          `json:"error"`
}

// view is what a client makes of an event beside its content.
type view struct {
	// Shield is the warning beside an encrypted message, such as UNSIGNED_DEVICE; empty is none.
	Shield string
	// Notifies says that the default push rules count it, Highlights that they sound for it.
	Notifies, Highlights bool
}

// atForeignClient opens a client on a new device that nobody vouches for; it accepts invitations and ends with the test.
func atForeignClient(t *testing.T, account localtest.Account) *person {
	t.Helper()
	p := &person{t: t, account: account, folder: filepath.Join(t.TempDir(), account.Name)}
	p.start()
	return p
}

// crossSign makes the person's cross-signing identity, as a new user's first client does, and gives its recovery key.
func (p *person) crossSign() (recoveryKey string) {
	p.t.Helper()
	p.call("crossSign", nil, &recoveryKey)
	return recoveryKey
}

func (p *person) start() {
	p.t.Helper()
	input, output := p.connect()
	p.t.Cleanup(p.stop)
	go p.listen(output)
	var started struct {
		User   id.UserID
		Device id.DeviceID
	}
	p.call("start", map[string]any{
		"homeserver": localtest.Homeserver(p.t).URL, "user": p.account.UserID, "password": p.account.Password, "folder": p.folder,
	}, &started)
	p.input, p.UserID, p.DeviceID = input, started.User, started.Device
}

// connect starts the process with nothing seen yet.
func (p *person) connect() (*io.PipeWriter, *io.PipeReader) {
	p.t.Helper()
	require.NoError(p.t, os.MkdirAll(p.folder, 0o700))
	log, err := os.OpenFile(filepath.Join(p.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = log.Close() })
	stdin, input := io.Pipe()
	output, stdout := io.Pipe()
	p.Transcript, p.input = client.NewTranscript(id.UserID(p.account.UserID)), input
	p.waiting, p.views = map[int]chan answer{}, map[id.EventID]view{}
	p.process, err = local.StartProcess(local.ProcessOptions{
		Name: "the client of " + p.account.Name, Path: "node", Args: []string{"person.mjs"}, Stdin: stdin, Stdout: stdout, Stderr: log,
	})
	require.NoError(p.t, err)
	return input, output
}

// stop has the client keep its keys and end.
func (p *person) stop() {
	_ = p.input.Close()
	select {
	case <-p.process.Done():
	case <-time.After(patience):
		p.process.Stop()
	}
}

// restart ends the client and starts it again on the same device, with the keys it kept and nothing else.
func (p *person) restart() {
	p.t.Helper()
	p.stop()
	p.start()
}

// listen takes in what the client says until it ends.
func (p *person) listen(output io.Reader) {
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var said struct {
			answer
			ID   int
			Seen *sighting
		}
		switch err := json.Unmarshal(lines.Bytes(), &said); {
		case err != nil:
			panic(fmt.Errorf("the client said %q: %w", lines.Text(), err))
		case said.Seen != nil:
			p.see(*said.Seen)
		default:
			p.lock.Lock()
			p.waiting[said.ID] <- said.answer
			p.lock.Unlock()
		}
	}
}

// sighting is one event as the client tells it, decrypted if it could.
type sighting struct {
	Event     *event.Event
	Encrypted bool
	Why       string // it could not be decrypted
	view
}

func (p *person) see(s sighting) {
	s.Event.Type.Class = event.MessageEventType
	if s.Event.StateKey != nil {
		s.Event.Type.Class = event.StateEventType
	}
	_ = s.Event.Content.ParseRaw(s.Event.Type) // what cannot be parsed is shown by its type
	seen := client.SeenOf(s.Event)
	seen.WasEncrypted, seen.Undecrypted, seen.WhyUndecrypted = s.Encrypted, s.Why != "", s.Why
	p.lock.Lock()
	p.views[seen.EventID] = s.view
	p.lock.Unlock()
	p.Put(seen)
}

// view is what the client makes of an event it has seen.
func (p *person) view(event id.EventID) view {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.views[event]
}

// call makes one request to the client and reads its answer into out, if that is not nil.
func (p *person) call(do string, fields map[string]any, out any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(p.t, p.try(ctx, do, fields, out), "%s at the client of %s", do, p.account.Name)
}

func (p *person) try(ctx context.Context, do string, fields map[string]any, out any) error {
	p.lock.Lock()
	p.last++
	number, answered := p.last, make(chan answer, 1)
	p.waiting[number] = answered
	p.lock.Unlock()
	request := map[string]any{"id": number, "do": do}
	for name, value := range fields {
		request[name] = value
	}
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := p.input.Write(append(line, '\n')); err != nil {
		return err
	}
	select {
	case said := <-answered:
		if said.Error != "" {
			return errors.New(said.Error)
		}
		if out == nil {
			return nil
		}
		return json.Unmarshal(said.OK, out)
	case <-p.process.Done():
		return errors.New("the client ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *person) say(room id.RoomID, text string) (sent id.EventID) {
	p.t.Helper()
	p.call("say", map[string]any{"room": room, "text": text}, &sent)
	return sent
}

func (p *person) edit(room id.RoomID, message id.EventID, text string) (sent id.EventID) {
	p.t.Helper()
	p.call("edit", map[string]any{"room": room, "event": message, "text": text}, &sent)
	return sent
}

func (p *person) react(room id.RoomID, to id.EventID, key string) (sent id.EventID) {
	p.t.Helper()
	p.call("react", map[string]any{"room": room, "event": to, "key": key}, &sent)
	return sent
}

func (p *person) redact(room id.RoomID, event id.EventID) {
	p.t.Helper()
	p.call("redact", map[string]any{"room": room, "event": event}, nil)
}

func (p *person) waitUntilJoined(room id.RoomID, users ...id.UserID) {
	p.t.Helper()
	for _, user := range users {
		p.call("joined", map[string]any{"room": room, "user": user}, nil)
	}
}

// device is a device as a client shows it: SignedByOwner means that its owner's cross-signing identity vouches for it.
type device struct {
	Device        id.DeviceID
	SignedByOwner bool
}

func (p *person) devicesOf(user id.UserID) (devices []device) {
	p.t.Helper()
	p.call("devices", map[string]any{"user": user}, &devices)
	return devices
}

// sees waits for an event.
func (p *person) sees(predicates ...client.Predicate) client.Seen {
	p.t.Helper()
	seen, err := p.WaitFor(p.t.Context(), predicates...)
	require.NoError(p.t, err)
	return seen
}
