package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/bot"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
)

// applicationServices is how many bots of tests can be application services: Synapse reads their registrations when it starts.
const applicationServices = 32

// register writes a registration file for each, as `mosaic-matrix appservice` does, on a free port of its own.
func register() (folder string, files []string, err error) {
	if folder, err = os.MkdirTemp("", "mosaic-matrix-registrations-"); err != nil {
		return "", nil, fmt.Errorf("making the folder of the registrations: %w", err)
	}
	var held []net.Listener
	defer func() {
		for _, listener := range held {
			err = errors.Join(err, listener.Close())
		}
	}()
	if err := local.SweepAtExit(folder); err != nil {
		return "", nil, err
	}
	for i := range applicationServices {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", nil, fmt.Errorf("finding a free port: %w", err)
		}
		held = append(held, listener)
		made, err := bot.NewRegistration(id.NewUserID(fmt.Sprintf("service%d", i), "localhost"), "http://"+listener.Addr().String(), fmt.Sprintf("fleet%d_", i))
		file := filepath.Join(folder, fmt.Sprintf("%d.yaml", i))
		if err == nil {
			err = made.Write(file)
		}
		if err != nil {
			return "", nil, err
		}
		files = append(files, file)
	}
	return folder, files, nil
}
