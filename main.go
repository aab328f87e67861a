// mosaic-matrix is the Matrix transport of a Mosaic fleet: a bot, the gateway API it talks to, and what runs them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/program"
)

// version is set at build time.
var version = "0.1.0-dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(program.Run(ctx, version, os.Args[1:]))
}
