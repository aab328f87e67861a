package program

import (
	"fmt"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/config"
)

type settings []config.Setting

type settingsCommand struct{}

func (settingsCommand) Run(all settings) error {
	fmt.Print(config.Table(all))
	return nil
}

type versionCommand struct{}

func (versionCommand) Run(version versionNumber) error {
	fmt.Println("mosaic-matrix", string(version))
	return nil
}

// versionNumber is what the build said this binary is.
type versionNumber string
