package bot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// account is the bot's one login: its token and device are used for good, since a homeserver's memory of transaction IDs
// belongs to the token and the keys belong to the device.
type account struct {
	UserID      id.UserID
	DeviceID    id.DeviceID
	AccessToken string
	SyncToken   string
	CreatedAt   time.Time
	// Generation counts the steps of the device's sessions that have left the bot.
	Generation int64
	// Stale says why the device's keys may not be used again; empty if they may.
	Stale string
}

func loadAccount(ctx context.Context, database *dbutil.Database) (*account, error) {
	var stored account
	err := database.QueryRow(ctx, `SELECT user_id, device_id, access_token, sync_token, created_at, generation, stale FROM account`).
		Scan(&stored.UserID, &stored.DeviceID, &stored.AccessToken, &stored.SyncToken, &stored.CreatedAt, &stored.Generation, &stored.Stale)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the stored login: %w", err)
	}
	return &stored, nil
}

func saveAccount(ctx context.Context, database *dbutil.Database, a *account) error {
	_, err := database.Exec(ctx, `
		INSERT INTO account (user_id, device_id, access_token, sync_token, created_at, stale) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (single) DO UPDATE SET access_token = excluded.access_token, stale = excluded.stale`,
		a.UserID, a.DeviceID, a.AccessToken, a.SyncToken, a.CreatedAt, a.Stale)
	if err != nil {
		return fmt.Errorf("storing the login: %w", err)
	}
	return nil
}

// signIn returns a client that acts as the configured user: with the stored token if there is one, else with the given
// token or password. It waits for a homeserver that cannot be reached, and fails on one that says no.
func signIn(ctx context.Context, options Options, database *dbutil.Database, leader *leadership) (*mautrix.Client, *account, *renewal, error) {
	stored, err := loadAccount(ctx, database)
	if err != nil {
		return nil, nil, nil, err
	}
	if stored != nil && stored.UserID != id.UserID(options.UserID) {
		return nil, nil, nil, fmt.Errorf("this database belongs to %s, not to %s; give each bot a database of its own", stored.UserID, options.UserID)
	}
	client, err := mautrix.NewClient(options.Homeserver, id.UserID(options.UserID), "")
	if err != nil {
		return nil, nil, nil, fmt.Errorf("the homeserver URL %q cannot be used: %w", options.Homeserver, err)
	}
	renewal, err := loadRenewal(ctx, database, options, &witness{
		next: http.DefaultTransport.(*http.Transport).Clone(), leader: leader, database: database, client: client,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	client.Client = &http.Client{Timeout: 90 * time.Second, Transport: renewal}
	if options.Log.GetLevel() > zerolog.DebugLevel {
		client.Log = zerolog.Nop() // it would log each failed request whole; the bot says itself what failed
	} else {
		client.Log = options.Log
	}
	for wait := time.Second; ; wait = min(2*wait, 15*time.Second) {
		err := authenticate(ctx, client, options, renewal, &stored)
		if err == nil {
			break
		}
		if !unanswered(err) || ctx.Err() != nil {
			return nil, nil, nil, err
		}
		zerolog.Ctx(ctx).Warn().Err(err).Str("homeserver", options.Homeserver).Dur("wait", wait).Msg("Homeserver cannot be reached, waiting")
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, nil, nil, ctx.Err()
		}
	}
	renewal.of(stored)
	return client, stored, renewal, saveAccount(ctx, database, stored)
}

func authenticate(ctx context.Context, client *mautrix.Client, options Options, renewal *renewal, stored **account) error {
	if options.Registration != nil {
		return enrol(ctx, client, options, stored)
	}
	if *stored != nil && (*stored).Stale != "" {
		client.UserID, client.DeviceID, client.AccessToken = (*stored).UserID, (*stored).DeviceID, (*stored).AccessToken
		return nil // it signs in on a new device before it does anything
	}
	switch {
	case *stored != nil:
		client.AccessToken, client.DeviceID = (*stored).AccessToken, (*stored).DeviceID
	case renewal.held.Access != "": // given by a refresh token before the bot knew whose it is
		client.AccessToken = renewal.held.Access
	case options.RefreshToken != "":
		token, err := renewal.begin(ctx, options.RefreshToken)
		if err != nil {
			return err
		}
		client.AccessToken = token
	case options.AccessToken != "":
		client.AccessToken = options.AccessToken
	default:
		return passwordLogin(ctx, client, options, renewal, stored)
	}
	who, err := client.Whoami(ctx)
	if errors.Is(err, mautrix.MUnknownToken) && *stored != nil && options.AccessToken != "" && options.AccessToken != (*stored).AccessToken {
		client.AccessToken = options.AccessToken
		who, err = client.Whoami(ctx)
	}
	if errors.Is(err, mautrix.MUnknownToken) && options.RefreshToken != "" && options.RefreshToken != renewal.held.Refresh {
		token, begun := renewal.begin(ctx, options.RefreshToken)
		if begun != nil {
			return begun
		}
		client.AccessToken = token
		if who, err = client.Whoami(ctx); err == nil && *stored != nil && who.DeviceID != (*stored).DeviceID {
			(*stored).Stale = "the homeserver has ended the login of its device"
			client.UserID, client.DeviceID = (*stored).UserID, (*stored).DeviceID
			return nil
		}
	}
	if errors.Is(err, mautrix.MUnknownToken) && options.Password != "" {
		if *stored != nil && !softLogout(err) {
			// The homeserver has deleted the device and its published keys; under the same name they would be nobody's.
			(*stored).Stale = "the homeserver has ended the login of its device"
			client.UserID, client.DeviceID = (*stored).UserID, (*stored).DeviceID
			return nil
		}
		return passwordLogin(ctx, client, options, renewal, stored)
	}
	if err != nil {
		return fmt.Errorf("asking the homeserver whose token this is: %w", err)
	}
	return adopt(client, who.UserID, who.DeviceID, options, stored)
}

func passwordLogin(ctx context.Context, client *mautrix.Client, options Options, renewal *renewal, stored **account) error {
	var device id.DeviceID
	if *stored != nil {
		device = (*stored).DeviceID
	}
	answer, err := logIn(ctx, client, options, device)
	if err != nil {
		return err
	}
	if err := renewal.take(ctx, grantOf(answer)); err != nil {
		return err
	}
	client.AccessToken = answer.AccessToken
	return adopt(client, answer.UserID, answer.DeviceID, options, stored)
}

func adopt(client *mautrix.Client, user id.UserID, device id.DeviceID, options Options, stored **account) error {
	if user != id.UserID(options.UserID) {
		return fmt.Errorf("the homeserver says that this login is %s, but %s is configured; correct the one that is wrong", user, options.UserID)
	}
	if device == "" {
		return fmt.Errorf("the access token of %s has no device, so it cannot hold keys; use one from a login, or a password", user)
	}
	if *stored != nil && (*stored).DeviceID != device {
		return fmt.Errorf("the token is of device %s, but the keys in this database are of device %s; use that device's token, or an empty database", device, (*stored).DeviceID)
	}
	client.UserID, client.DeviceID = user, device
	if *stored == nil {
		*stored = &account{UserID: user, DeviceID: device, CreatedAt: options.Now().UTC()}
	}
	(*stored).AccessToken = client.AccessToken
	return nil
}

// softLogout says that the device is still there and only its token is not.
func softLogout(err error) bool {
	var failure mautrix.HTTPError
	if !errors.As(err, &failure) || failure.RespError == nil {
		return false
	}
	soft, _ := failure.RespError.ExtraData["soft_logout"].(bool)
	return soft
}

// unanswered says that a request may or may not have been carried out: no answer came, or one that promises nothing.
func unanswered(err error) bool {
	var failure mautrix.HTTPError
	if !errors.As(err, &failure) {
		return errors.Is(err, context.DeadlineExceeded)
	}
	return failure.Response == nil || failure.Response.StatusCode == http.StatusRequestTimeout || failure.Response.StatusCode >= http.StatusInternalServerError
}
