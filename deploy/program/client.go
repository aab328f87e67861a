package program

import (
	"errors"
	"os"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/terminal"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// client is how everything but the gateway itself reaches the register.
type client struct {
	URL   string `help:"The gateway to talk to." default:"http://127.0.0.1:14242" env:"MOSAIC_GATEWAY_URL" config:"gateway.url" name:"gateway-url"`
	Token string `help:"Bearer token for the gateway." env:"MOSAIC_GATEWAY_TOKEN" name:"gateway-token" hidden:""`
}

func (c client) api() (*register.API, error) {
	if c.Token == "" {
		return nil, errors.New("no token for the gateway: set MOSAIC_GATEWAY_TOKEN (`mosaic-matrix token --identity NAME` issues one)")
	}
	return register.NewAPI(c.URL, c.Token), nil
}

// terminal is a client that prints on this terminal.
func (c client) terminal(program *program) (terminal.Options, error) {
	api, err := c.api()
	if err != nil {
		return terminal.Options{}, err
	}
	zone, err := program.zone()
	return terminal.Options{API: api, Zone: zone, Out: os.Stdout, Err: os.Stderr}, err
}
