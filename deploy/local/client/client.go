// Package client is a person at a Matrix client: logs in, verifies its own device, talks in encrypted rooms and remembers
// everything it saw. The demo and the tests use it; it knows nothing of the bot.
package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Options says who logs in, and where.
type Options struct {
	Homeserver string // URL
	Username   string // local part or full user ID
	Password   string
	DeviceName string // "mosaic-matrix person" when empty

	// RecoveryKeyFile keeps the key to the person's cross-signing identity (mode 0600), so that the next login is the same
	// person to everybody who trusted the first. Empty makes a new identity at every login.
	RecoveryKeyFile string
	// IgnoreInvites leaves invitations for Join; otherwise they are accepted as they come.
	IgnoreInvites bool

	Log zerolog.Logger // the zero value is silent
}

// Client is a logged-in person. Keys live in memory: every Connect is a new device.
type Client struct {
	*Transcript

	UserID   id.UserID
	DeviceID id.DeviceID

	// Matrix is the client underneath, for what has no method here.
	Matrix *mautrix.Client
	// Olm holds the device's keys.
	Olm *crypto.OlmMachine

	options     Options
	recoveryKey string
	undecrypted undecrypted
	invites     invites

	primed  map[id.RoomID]bool // under stores
	sending sync.Mutex

	// stores is held by whoever uses mautrix's memory stores, itself or through Matrix and Olm: they hand out maps that they go
	// on writing to.
	stores sync.Mutex

	stop    context.CancelFunc
	running sync.WaitGroup
}

// Connect logs in, sets up encryption and cross-signing, and starts to sync in the background until Close.
func Connect(ctx context.Context, options Options) (*Client, error) {
	if options.DeviceName == "" {
		options.DeviceName = "mosaic-matrix person"
	}
	matrix, err := mautrix.NewClient(options.Homeserver, "", "")
	if err != nil {
		return nil, fmt.Errorf("reaching the homeserver: %w", err)
	}
	matrix.Log = options.Log
	matrix.StateStore = mautrix.NewMemoryStateStore()
	matrix.DefaultHTTPRetries = 6
	username := strings.TrimPrefix(options.Username, "@")
	username, _, _ = strings.Cut(username, ":")
	if _, err := matrix.Login(ctx, &mautrix.ReqLogin{
		Type: mautrix.AuthTypePassword, Password: options.Password, StoreCredentials: true, InitialDeviceDisplayName: options.DeviceName,
		Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: username},
	}); err != nil {
		return nil, fmt.Errorf("logging in as %s: %w", options.Username, err)
	}
	c := &Client{
		UserID: matrix.UserID, DeviceID: matrix.DeviceID, Matrix: matrix, options: options, primed: map[id.RoomID]bool{},
		Transcript: NewTranscript(matrix.UserID),
	}
	c.invites.init()
	if err := c.setUpEncryption(ctx); err != nil {
		return nil, errors.Join(err, c.logOut(ctx))
	}
	c.startSync()
	return c, nil
}

func (c *Client) setUpEncryption(ctx context.Context) error {
	c.Olm = crypto.NewOlmMachine(c.Matrix, &c.Matrix.Log, crypto.NewMemoryStore(nil), c.Matrix.StateStore.(crypto.StateStore))
	c.Olm.SessionReceived = c.sessionReceived
	if err := c.Olm.Load(ctx); err != nil {
		return fmt.Errorf("making the device's keys: %w", err)
	}
	if err := c.Olm.ShareKeys(ctx, -1); err != nil {
		return fmt.Errorf("publishing the device's keys: %w", err)
	}
	kept, err := c.keptRecoveryKey()
	if err != nil {
		return err
	}
	if kept != "" {
		if err := c.Olm.VerifyWithRecoveryKey(ctx, kept); err != nil {
			return fmt.Errorf("verifying the device with the kept recovery key: %w", err)
		}
		c.recoveryKey = kept
		return nil
	}
	return c.makeIdentity(ctx)
}

func (c *Client) makeIdentity(ctx context.Context) error {
	recoveryKey, _, err := c.Olm.GenerateAndUploadCrossSigningKeysWithPassword(ctx, c.options.Password, "")
	if err != nil {
		return fmt.Errorf("making the cross-signing identity: %w", err)
	}
	if err := errors.Join(c.Olm.SignOwnDevice(ctx, c.Olm.OwnIdentity()), c.Olm.SignOwnMasterKey(ctx)); err != nil {
		return fmt.Errorf("signing the device: %w", err)
	}
	c.recoveryKey = recoveryKey
	if c.options.RecoveryKeyFile == "" {
		return nil
	}
	if err := os.WriteFile(c.options.RecoveryKeyFile, []byte(recoveryKey+"\n"), 0o600); err != nil {
		return fmt.Errorf("keeping the recovery key: %w", err)
	}
	return nil
}

func (c *Client) keptRecoveryKey() (string, error) {
	if c.options.RecoveryKeyFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(c.options.RecoveryKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the recovery key: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// ResetIdentity sets up cross-signing anew, as a person does who lost the recovery key, and returns the new master key.
func (c *Client) ResetIdentity(ctx context.Context) (id.Ed25519, error) {
	c.stores.Lock()
	defer c.stores.Unlock()
	if err := c.makeIdentity(ctx); err != nil {
		return "", err
	}
	return c.Olm.CrossSigningKeys.MasterKey.PublicKey(), nil
}

// RecoveryKey lets another client verify itself as this person.
func (c *Client) RecoveryKey() string { return c.recoveryKey }

// Close stops the sync and logs the device out, so that nobody encrypts for it any more.
func (c *Client) Close() {
	c.stop()
	c.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_ = c.logOut(ctx)
}

func (c *Client) logOut(ctx context.Context) error {
	_, err := c.Matrix.Logout(ctx)
	return err
}

// NameOf is the person's short name for a user, for transcripts: @alice:localhost is alice.
func NameOf(user id.UserID) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(user.String(), "@"), ":")
	return name
}

// stateEvent is an initial state event for a room to be.
func stateEvent(kind event.Type, content any) *event.Event {
	empty := ""
	return &event.Event{Type: kind, StateKey: &empty, Content: event.Content{Parsed: content}}
}
