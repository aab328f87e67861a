package program

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/bot"
)

// loginCommand gets the bot its first refresh token from a homeserver with OAuth 2.0.
type loginCommand struct {
	Homeserver    string `help:"The homeserver's URL." env:"MATRIX_HOMESERVER" config:"bot.homeserver"`
	UserID        string `help:"The bot's Matrix ID." env:"MATRIX_USER_ID" config:"bot.user_id"`
	OAuthClientID string `name:"oauth-client-id" help:"A client ID that the homeserver knows; without it one is registered." env:"MATRIX_OAUTH_CLIENT_ID" config:"bot.oauth_client_id"`
	Out           string `help:"The file to write the refresh token to, mode 0600; one that is there is left alone." default:"refresh-token" type:"path"`
}

func (c *loginCommand) Run(ctx context.Context) error {
	if c.Homeserver == "" || c.UserID == "" {
		return errors.New("this needs the homeserver and the bot's Matrix ID; set MATRIX_HOMESERVER and MATRIX_USER_ID")
	}
	file, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and its token may be in use; move it away, or name another file with --out", c.Out)
	}
	if err != nil {
		return fmt.Errorf("making the file for the refresh token: %w", err)
	}
	login := bot.DeviceLogin{Homeserver: c.Homeserver, UserID: id.UserID(c.UserID), ClientID: c.OAuthClientID, Show: func(address, code string, life time.Duration) {
		fmt.Printf("Open %s as %s within %d min and confirm the code %s\n", address, c.UserID, int(life.Minutes()), code)
	}}
	got, err := login.Run(ctx)
	if err == nil {
		_, err = file.WriteString(got.Refresh + "\n")
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(c.Out))
	}
	fmt.Printf(`Logged in. Wrote %[1]s, which holds the bot's login, so keep it secret. Start the bot with

    MATRIX_REFRESH_FILE=%[1]s MATRIX_OAUTH_CLIENT_ID=%[2]s mosaic-matrix bot
`, c.Out, got.ClientID)
	return nil
}
