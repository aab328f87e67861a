package program

import (
	"context"
	"fmt"
	"os"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/up"
)

type upCommand struct {
	State      string   `help:"State folder." default:".mosaic" type:"path" env:"MOSAIC_STATE" config:"state"`
	Server     string   `help:"The local homeserver: dendrite, or synapse for Element X." enum:"dendrite,synapse" default:"dendrite" env:"MOSAIC_UP_SERVER" config:"up.server"`
	Host       string   `help:"Address the local homeserver listens on; 0.0.0.0 lets your network in." default:"127.0.0.1" env:"MOSAIC_UP_HOST" config:"up.host"`
	ServerName string   `help:"Part of user IDs after the colon; it cannot change later." default:"localhost" env:"MOSAIC_UP_SERVER_NAME" config:"up.server_name"`
	TLSCert    string   `help:"PEM certificate with which the local Dendrite also serves https." type:"path" env:"MOSAIC_UP_TLS_CERT" config:"up.tls_cert" name:"tls-cert"`
	TLSKey     string   `help:"Its key." type:"path" env:"MOSAIC_UP_TLS_KEY" config:"up.tls_key" name:"tls-key"`
	Homeserver string   `help:"URL of your own homeserver, instead of a local one." env:"MOSAIC_UP_HOMESERVER" config:"up.homeserver"`
	Operator   string   `help:"Your Matrix ID on your own homeserver." env:"MOSAIC_UP_OPERATOR" config:"up.operator"`
	Board      []string `help:"Matrix IDs of up to three board members on your own homeserver." env:"MOSAIC_UP_BOARD" config:"up.board"`
	BotID      string   `help:"The bot's Matrix ID." env:"MATRIX_USER_ID" config:"bot.user_id" name:"bot-id"`
	Password   string   `help:"The bot's password, used for the first login, and for a new device after a restore." env:"MATRIX_PASSWORD" hidden:""`
}

func (c *upCommand) Run(ctx context.Context, program *program) error {
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program's own file: %w", err)
	}
	zone, err := program.zone()
	if err != nil {
		return err
	}
	return up.Run(ctx, up.Options{
		Directory: c.State, Binary: binary, Out: os.Stdout, Server: c.Server, Host: c.Host, ServerName: c.ServerName,
		TLSCertificate: c.TLSCert, TLSKey: c.TLSKey, Homeserver: c.Homeserver, Operator: c.Operator, Board: c.Board,
		BotID: c.BotID, BotPassword: c.Password, Zone: zone,
	})
}
