package program

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/bot"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

type botCommand struct {
	botSettings
}

// botSettings are what a bot needs; the doctor reads the same.
type botSettings struct {
	Client          client        `embed:""`
	Homeserver      string        `help:"The homeserver's URL." env:"MATRIX_HOMESERVER" config:"bot.homeserver"`
	UserID          string        `help:"The bot's Matrix ID." env:"MATRIX_USER_ID" config:"bot.user_id"`
	Password        string        `help:"The bot's password, used for the first login, and for a new device after a restore." env:"MATRIX_PASSWORD" hidden:""`
	AccessToken     string        `help:"The bot's access token, instead of a password." env:"MATRIX_ACCESS_TOKEN" hidden:""`
	RefreshToken    string        `help:"Refresh token of the bot's login, where access tokens end; each is used once, and the bot keeps the next." env:"MATRIX_REFRESH_TOKEN" hidden:""`
	RefreshFile     string        `name:"refresh-file" help:"File with the refresh token, instead of MATRIX_REFRESH_TOKEN." type:"path" env:"MATRIX_REFRESH_FILE" config:"bot.refresh_file"`
	OAuthClientID   string        `name:"oauth-client-id" help:"Client ID with which the refresh token was issued, for a homeserver with OAuth 2.0; without it the token is renewed at the homeserver itself." env:"MATRIX_OAUTH_CLIENT_ID" config:"bot.oauth_client_id"`
	Appservice      string        `help:"Registration file; with it the bot is an application service, which the homeserver pushes to. The mosaic-matrix appservice command writes one." type:"path" env:"MOSAIC_BOT_APPSERVICE" config:"bot.appservice"`
	PushListen      string        `name:"appservice-listen" help:"Address the homeserver pushes to; empty is the url of the registration file." env:"MOSAIC_BOT_APPSERVICE_LISTEN" config:"bot.appservice_listen"`
	Database        string        `help:"Postgres URL of the role that owns schema bot." env:"MOSAIC_BOT_DATABASE" hidden:""`
	PickleKey       string        `help:"Secret that encrypts the bot's keys at rest." env:"MOSAIC_BOT_PICKLE_KEY" hidden:""`
	RecoveryKeyFile string        `help:"Where the recovery key is written once, mode 0600." default:"recovery-key" type:"path" env:"MOSAIC_BOT_RECOVERY_KEY_FILE" config:"bot.recovery_key_file"`
	Prefix          string        `help:"What a command begins with." default:"!mosaic" env:"MOSAIC_BOT_PREFIX" config:"bot.prefix"`
	StaleAfter      time.Duration `help:"How long after it was asked for a command that changes something may still be begun; later the bot offers it." default:"10m" env:"MOSAIC_BOT_STALE_AFTER" config:"bot.stale_after"`
	PerMinute       int           `name:"commands-per-minute" help:"How many commands one sender may give within a minute." default:"60" env:"MOSAIC_BOT_COMMANDS_PER_MINUTE" config:"bot.commands_per_minute"`
	Servers         []string      `name:"allow-server" help:"Homeservers whose people may command the bot, beside its own; several are separated by commas." env:"MOSAIC_BOT_ALLOW_SERVERS" config:"bot.allow_servers"`
	RoomPower       int           `help:"The power level in a room that a command that changes something takes there, beside the role; 0 takes none." env:"MOSAIC_BOT_ROOM_POWER" config:"bot.room_power"`
	CreateRooms     bool          `help:"Create and bind the encrypted rooms fleet, budget and board if none is bound." env:"MOSAIC_BOT_CREATE_ROOMS" config:"bot.create_rooms"`
	Listen          string        `help:"Address for /healthz, /readyz and /metrics; empty serves none." env:"MOSAIC_BOT_LISTEN" config:"bot.listen"`
}

// options are the settings as the bot takes them; without a token for the gateway they have no API.
func (c *botSettings) options(ctx context.Context, program *program) (bot.Options, error) {
	zone, err := program.zone()
	options := bot.Options{
		Homeserver: c.Homeserver, UserID: c.UserID, Password: c.Password, AccessToken: c.AccessToken, DatabaseURL: c.Database,
		PickleKey: c.PickleKey, RecoveryKeyFile: c.RecoveryKeyFile, Prefix: c.Prefix, StaleAfter: c.StaleAfter, CreateRooms: c.CreateRooms, Listen: c.Listen,
		CommandsPerMinute: c.PerMinute, Servers: c.Servers, RoomPower: c.RoomPower, Zone: zone, Log: *zerolog.Ctx(ctx), RegistrationListen: c.PushListen,
		RefreshToken: c.RefreshToken, OAuthClientID: c.OAuthClientID,
	}
	if c.RefreshFile != "" && err == nil {
		options.RefreshToken, err = readToken(c.RefreshFile)
	}
	if c.Appservice != "" && err == nil {
		options.Registration, err = bot.ReadRegistration(c.Appservice)
	}
	if c.Client.Token != "" {
		options.API = register.NewAPI(c.Client.URL, c.Client.Token)
	}
	return options, err
}

func readToken(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the refresh token: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if token == "" {
		return "", fmt.Errorf("%s is empty; it has to hold the bot's refresh token, on one line", file)
	}
	return token, nil
}

func (c *botCommand) Run(ctx context.Context, program *program) error {
	if _, err := c.Client.api(); err != nil {
		return err
	}
	for _, needed := range [][2]string{
		{c.Homeserver, "MATRIX_HOMESERVER"},
		{c.UserID, "MATRIX_USER_ID"},
		{c.Password + c.AccessToken + c.RefreshToken + c.RefreshFile + c.Appservice, "MATRIX_ACCESS_TOKEN, MATRIX_PASSWORD, MATRIX_REFRESH_TOKEN or MOSAIC_BOT_APPSERVICE"},
		{c.Database, "MOSAIC_BOT_DATABASE"},
		{c.PickleKey, "MOSAIC_BOT_PICKLE_KEY"},
	} {
		if needed[0] == "" {
			return fmt.Errorf("the bot needs %s; `mosaic-matrix settings` explains each", needed[1])
		}
	}
	options, err := c.options(ctx, program)
	if err != nil {
		return err
	}
	return bot.Start(ctx, options)
}
