// reference writes REFERENCE.md from the registry of commands; it runs in the folder commands.
package main

import (
	"fmt"
	"os"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
)

func main() {
	if err := os.WriteFile("REFERENCE.md", []byte(commands.Reference()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "writing the reference:", err)
		os.Exit(1)
	}
}
