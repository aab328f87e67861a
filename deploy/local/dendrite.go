package local

import (
	"context"
	"net"
	"strconv"
	"time"
)

// Dendrite is a running Dendrite: SQLite, one process, no federation. It is built from a module of its own and runs as a
// separate program, since its licence is the AGPL.
type Dendrite struct{ server }

var _ Homeserver = (*Dendrite)(nil)

// StartDendrite starts the Dendrite kept in dir, building it and making its configuration the first time, and returns
// once it answers. Data, signing key and port survive restarts.
func StartDendrite(ctx context.Context, dir string, options HomeserverOptions) (*Dendrite, error) {
	running, err := startServer(ctx, dir, options, software{
		install: BuildDendrite, configure: writeDendriteConfig, patience: time.Minute,
		process: func(program string, options HomeserverOptions) ProcessOptions {
			return ProcessOptions{Name: "dendrite", Path: program, Args: dendriteArguments(options), Patience: 5 * time.Second}
		},
	})
	if err != nil {
		return nil, err
	}
	return &Dendrite{running}, nil
}

func dendriteArguments(options HomeserverOptions) []string {
	arguments := []string{"--config", "dendrite.yaml", "--http-bind-address", net.JoinHostPort(options.Host, strconv.Itoa(options.Port))}
	if options.TLSCertificate != "" {
		arguments = append(arguments, "--tls-cert", options.TLSCertificate, "--tls-key", options.TLSKey,
			"--https-bind-address", net.JoinHostPort(options.TLSHost, strconv.Itoa(options.TLSPort)))
	}
	return arguments
}

func (d *Dendrite) Software() string  { return "Dendrite " + d.version }
func (d *Dendrite) SlidingSync() bool { return false }
