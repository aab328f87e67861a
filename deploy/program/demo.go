package program

import (
	"context"
	"fmt"
	"os"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/demo"
)

type demoCommand struct {
	State string `help:"State folder." default:".mosaic" type:"path" env:"MOSAIC_STATE" config:"state"`
}

func (c *demoCommand) Run(ctx context.Context) error {
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program's own file: %w", err)
	}
	return demo.Run(ctx, demo.Options{Directory: c.State, Binary: binary, Out: os.Stdout})
}
