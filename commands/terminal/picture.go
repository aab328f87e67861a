package terminal

import (
	"errors"
	"fmt"
	"os"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
)

// write puts a picture into the file it was asked for in; without one there are only its words.
func write(picture *commands.Picture) error {
	if picture == nil || picture.Out == "" {
		return nil
	}
	var failure *os.PathError
	err := os.WriteFile(picture.Out, picture.PNG, 0o644)
	if errors.As(err, &failure) {
		return fmt.Errorf("the picture cannot be written to %s: %w; name a file in a folder that is there, such as --out /tmp/%s", picture.Out, failure.Err, picture.Name)
	}
	return err
}
