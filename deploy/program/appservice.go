package program

import (
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/bot"
)

// appserviceCommand writes the file that makes the bot an application service of a homeserver.
type appserviceCommand struct {
	UserID string `help:"The bot's Matrix ID." env:"MATRIX_USER_ID" config:"bot.user_id"`
	URL    string `name:"url" help:"Where the homeserver reaches the bot, such as http://127.0.0.1:29330." required:""`
	Out    string `help:"The file to write, mode 0600; one that is there is left alone." default:"registration.yaml" type:"path"`
	Prefix string `name:"agents-prefix" help:"What the names of the agents' own users begin with." default:"fleet_"`
}

func (c *appserviceCommand) Run(_ context.Context) error {
	if c.UserID == "" {
		return errors.New("this needs the bot's Matrix ID; set MATRIX_USER_ID or --user-id, such as @mosaic:example.org")
	}
	made, err := bot.NewRegistration(id.UserID(c.UserID), c.URL, c.Prefix)
	if err != nil {
		return err
	}
	if err := made.Write(c.Out); err != nil {
		return err
	}
	fmt.Printf(`Wrote %[1]s. It holds two tokens, so keep it secret.

1. Give Synapse the file, in homeserver.yaml:

    app_service_config_files:
      - %[1]s
    experimental_features:
      msc2409_to_device_messages_enabled: true
      msc3202_transaction_extensions: true

2. Start Synapse again.
3. Start the bot: MOSAIC_BOT_APPSERVICE=%[1]s mosaic-matrix bot
4. Check it: MOSAIC_BOT_APPSERVICE=%[1]s mosaic-matrix doctor
`, c.Out)
	return nil
}
