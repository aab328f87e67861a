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
	"maunium.net/go/mautrix/oauth"
)

// DeviceLogin logs the bot in over OAuth 2.0 without a browser here: a person confirms a short code in one elsewhere (RFC 8628, MSC4341).
type DeviceLogin struct {
	Homeserver string
	UserID     id.UserID
	// ClientID is one that the homeserver gave before; empty registers anew.
	ClientID string
	// Show tells the person what to open and confirm, and until when.
	Show func(address, code string, life time.Duration)

	wait func(ctx context.Context, d time.Duration) // nil: by the clock
}

// Tokens are what a login leaves the bot to start with.
type Tokens struct {
	ClientID string
	Refresh  string
}

// pollEvery is how often the homeserver is asked whether the code was confirmed, where it does not say; slowDown is what it adds when it
// finds that too often (RFC 8628 section 3.5).
const (
	pollEvery = 5 * time.Second
	slowDown  = 5 * time.Second
)

// Run returns when the code was confirmed, or can no longer be.
func (l DeviceLogin) Run(ctx context.Context) (Tokens, error) {
	client, err := mautrix.NewClient(l.Homeserver, "", "")
	if err != nil {
		return Tokens{}, fmt.Errorf("the homeserver URL %q cannot be used: %w", l.Homeserver, err)
	}
	client.Log = zerolog.Nop()
	client.Client = &http.Client{Timeout: 30 * time.Second}
	if err := l.register(ctx, client); err != nil {
		return Tokens{}, err
	}
	code, err := client.OAuthGenerateDeviceCode(ctx, oauth.GenerateDeviceCodeParams{
		ClientID: l.ClientID, UserIDHint: l.UserID, Scopes: oauth.ScopeList{oauth.ScopeClientAPI, oauth.ScopeDevice(newDeviceID())},
	})
	if err != nil {
		return Tokens{}, fmt.Errorf("asking the homeserver for a code: %w", err)
	}
	address := code.VerificationURIComplete
	if address == "" {
		address = code.VerificationURI
	}
	l.Show(address, code.UserCode, code.ExpiresIn.Duration)
	got, err := l.poll(ctx, client, code)
	if err != nil {
		return Tokens{}, err
	}
	if got.RefreshToken == "" {
		return Tokens{}, errors.New("the homeserver gave no refresh token, so the bot could not renew its login")
	}
	client.AccessToken = got.AccessToken
	who, err := client.Whoami(ctx)
	if err != nil {
		return Tokens{}, fmt.Errorf("asking the homeserver whose login this is: %w", err)
	}
	if who.UserID != l.UserID {
		return Tokens{}, fmt.Errorf("the code was confirmed by %s, and the bot is %s; log in there as the bot and confirm a new code", who.UserID, l.UserID)
	}
	return Tokens{ClientID: l.ClientID, Refresh: got.RefreshToken}, nil
}

// register makes the bot known to the homeserver's OAuth server, which has to know devices' codes.
func (l *DeviceLogin) register(ctx context.Context, client *mautrix.Client) error {
	server, err := client.OAuthGetServerMetadata(ctx)
	if errors.Is(err, mautrix.MUnrecognized) || errors.Is(err, mautrix.MNotFound) {
		return fmt.Errorf("%s has no OAuth 2.0; the bot logs in there with MATRIX_PASSWORD or MATRIX_ACCESS_TOKEN", l.Homeserver)
	}
	if err != nil {
		return fmt.Errorf("asking the homeserver how to log in: %w", err)
	}
	if server.DeviceAuthorizationEndpoint == "" {
		return fmt.Errorf("%s offers no login by a code; get a refresh token by another client of your own and give it to the bot as MATRIX_REFRESH_TOKEN, with its MATRIX_OAUTH_CLIENT_ID", l.Homeserver)
	}
	if l.ClientID != "" {
		return nil
	}
	known, err := client.OAuthRegisterClient(ctx, &oauth.ClientMetadata{
		ApplicationType: oauth.ApplicationTypeNative, ClientName: "mosaic-matrix", ClientURI: "https://git.mosaicstack.dev/mosaicstack/mosaic-matrix",
		GrantTypes: []oauth.GrantType{oauth.GrantTypeDeviceCode, oauth.GrantTypeRefreshToken}, TokenEndpointAuthMethod: oauth.AuthMethodNone,
	})
	if err != nil {
		return fmt.Errorf("registering the bot as a client; if the homeserver takes none, give one it knows with --oauth-client-id: %w", err)
	}
	l.ClientID = known.ClientID
	return nil
}

// poll asks until the code was confirmed, refused or is over.
func (l *DeviceLogin) poll(ctx context.Context, client *mautrix.Client, code *oauth.DeviceCodeResponse) (*oauth.TokenResponse, error) {
	wait := l.wait
	if wait == nil {
		wait = pause
	}
	every := code.Interval.Duration
	if every <= 0 {
		every = pollEvery
	}
	for {
		if wait(ctx, every); ctx.Err() != nil {
			return nil, ctx.Err()
		}
		got, err := client.OAuthPollDeviceCode(ctx, oauth.PollDeviceCodeParams{ClientID: l.ClientID, DeviceCode: code.DeviceCode})
		switch {
		case err == nil:
			return got, nil
		case errors.Is(err, mautrix.ErrOAuthAuthorizationPending):
		case errors.Is(err, mautrix.ErrOAuthSlowDown):
			every += slowDown
		case errors.Is(err, mautrix.ErrOAuthAccessDenied):
			return nil, errors.New("the login was refused where the code was shown")
		case errors.Is(err, mautrix.ErrOAuthExpiredToken):
			return nil, errors.New("nobody confirmed the code in time; begin again for a new one")
		case unanswered(err) && ctx.Err() == nil: // a server that is away for a moment
		default:
			return nil, fmt.Errorf("asking whether the code was confirmed: %w", err)
		}
	}
}
