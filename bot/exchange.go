package bot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// errRefused says that a refresh token is good for nothing any more.
var errRefused = errors.New("the refresh token is refused; log the bot in again and give it the new one (MATRIX_REFRESH_TOKEN)")

// exchange gets the next grant: for a refresh token, over OAuth if the bot has a client ID, else at the homeserver itself; or with the
// password, on the same device. The caller holds the lock.
func (r *renewal) exchange(ctx context.Context) (*grant, error) {
	client, err := r.bare()
	if err != nil {
		return nil, err
	}
	switch {
	case r.held.Refresh != "" && r.options.OAuthClientID != "":
		return r.overOAuth(ctx, client)
	case r.held.Refresh != "":
		return r.atHomeserver(ctx, client)
	}
	return logInAgain(ctx, client, r.options, r.device)
}

// bare is a client whose requests are not renewed.
func (r *renewal) bare() (*mautrix.Client, error) {
	client, err := mautrix.NewClient(r.options.Homeserver, "", "")
	if err != nil {
		return nil, fmt.Errorf("the homeserver URL %q cannot be used: %w", r.options.Homeserver, err)
	}
	client.Log = zerolog.Nop()
	client.Client = &http.Client{Timeout: 30 * time.Second, Transport: r.next}
	return client, nil
}

// overOAuth asks the token endpoint that the homeserver names (Matrix 1.15, RFC 6749 section 6).
func (r *renewal) overOAuth(ctx context.Context, client *mautrix.Client) (*grant, error) {
	client.OAuthSetTokens(r.options.OAuthClientID, r.held.Refresh, "", time.Time{})
	var next grant
	client.SaveNewToken = func(_ context.Context, refresh, access string, end time.Time) error {
		next = grant{Access: access, Refresh: refresh, Life: time.Until(end)}
		return nil
	}
	if err := client.OAuthRefreshToken(ctx, 0); err != nil {
		return nil, refused(err)
	}
	if next.Access == "" {
		return nil, errors.New("renewing the access token: the token endpoint gave none")
	}
	return &next, nil
}

// atHomeserver asks the homeserver's own endpoint.
func (r *renewal) atHomeserver(ctx context.Context, client *mautrix.Client) (*grant, error) {
	var answer mautrix.RespLogin
	asked := map[string]string{"refresh_token": r.held.Refresh}
	if _, err := client.MakeRequest(ctx, http.MethodPost, client.BuildClientURL("v3", "refresh"), asked, &answer); err != nil {
		return nil, refused(err)
	}
	if answer.AccessToken == "" {
		return nil, errors.New("renewing the access token: the homeserver gave none")
	}
	if answer.RefreshToken == "" {
		answer.RefreshToken = r.held.Refresh
	}
	return grantOf(&answer), nil
}

func grantOf(answer *mautrix.RespLogin) *grant {
	return &grant{Access: answer.AccessToken, Refresh: answer.RefreshToken, Life: time.Duration(answer.ExpiresInMS) * time.Millisecond}
}

// refused tells a refresh token that is good for nothing from a server that cannot be asked.
func refused(err error) error {
	var failure mautrix.HTTPError
	if errors.As(err, &failure) && failure.Response != nil {
		switch failure.Response.StatusCode {
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
			return fmt.Errorf("%w: %w", errRefused, err)
		}
	}
	return fmt.Errorf("renewing the access token: %w", err)
}

// logInAgain logs in with the password on a device; an empty one is a new device. Where access tokens end it asks for a refresh token.
func logInAgain(ctx context.Context, client *mautrix.Client, options Options, device id.DeviceID) (*grant, error) {
	answer, err := logIn(ctx, client, options, device)
	if err != nil {
		return nil, err
	}
	return grantOf(answer), nil
}

func logIn(ctx context.Context, client *mautrix.Client, options Options, device id.DeviceID) (*mautrix.RespLogin, error) {
	request := &mautrix.ReqLogin{
		Type:       mautrix.AuthTypePassword,
		Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: options.UserID},
		Password:   options.Password, DeviceID: device, InitialDeviceDisplayName: options.DeviceName,
	}
	answer, err := client.Login(ctx, request)
	if err == nil && answer.ExpiresInMS > 0 && answer.RefreshToken == "" {
		request.DeviceID, request.RefreshToken = answer.DeviceID, true
		answer, err = client.Login(ctx, request)
	}
	if err != nil {
		return nil, fmt.Errorf("logging in as %s: %w", options.UserID, err)
	}
	return answer, nil
}
