package local

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"
)

// Dendrite is a running Dendrite: SQLite, one process, no federation. It is built from a module of its own and runs as a
// separate program, since its licence is the AGPL.
type Dendrite struct {
	process *Process
	options HomeserverOptions
	version string
	url     string
	secret  string
}

var _ Homeserver = (*Dendrite)(nil)

// StartDendrite starts the Dendrite kept in dir, building it and making its configuration the first time, and returns
// once it answers. Data, signing key and port survive restarts.
func StartDendrite(ctx context.Context, dir string, options HomeserverOptions) (*Dendrite, error) {
	dir, err := options.fill(dir)
	if err != nil {
		return nil, err
	}
	program, version, err := BuildDendrite(ctx, options.Binaries, options.Progress)
	if err != nil {
		return nil, err
	}
	if err := options.placeAt(dir); err != nil {
		return nil, err
	}
	secret, err := homeserverSecret(dir)
	if err != nil {
		return nil, err
	}
	if err := writeDendriteConfig(dir, options, secret); err != nil {
		return nil, err
	}
	d := &Dendrite{options: options, version: version, secret: secret}
	d.url = "http://" + net.JoinHostPort(reachable(options.Host), strconv.Itoa(options.Port))
	if d.process, err = StartProcess(ProcessOptions{
		Name: "dendrite", Path: program, Args: dendriteArguments(options), Dir: dir, LogFile: filepath.Join(dir, "dendrite.log"),
		Patience: 5 * time.Second,
	}); err != nil {
		return nil, err
	}
	if err := d.process.WaitUntil(ctx, 60*time.Second, func(ctx context.Context) error { return answersVersions(ctx, d.url) }); err != nil {
		d.process.Stop()
		return nil, fmt.Errorf("starting the homeserver: %w", err)
	}
	return d, nil
}

func dendriteArguments(options HomeserverOptions) []string {
	arguments := []string{"--config", "dendrite.yaml", "--http-bind-address", net.JoinHostPort(options.Host, strconv.Itoa(options.Port))}
	if options.TLSCertificate != "" {
		arguments = append(arguments, "--tls-cert", options.TLSCertificate, "--tls-key", options.TLSKey,
			"--https-bind-address", net.JoinHostPort(options.TLSHost, strconv.Itoa(options.TLSPort)))
	}
	return arguments
}

// homeserverSecret is the registration secret, made once and kept beside the homeserver's data.
func homeserverSecret(dir string) (string, error) {
	kept, err := OpenSecrets(filepath.Join(dir, "secrets.yaml"))
	if err != nil {
		return "", err
	}
	return kept.Generated("registration_shared_secret")
}

func (d *Dendrite) URL() string          { return d.url }
func (d *Dendrite) ServerName() string   { return d.options.ServerName }
func (d *Dendrite) SharedSecret() string { return d.secret }
func (d *Dendrite) Software() string     { return "Dendrite " + d.version }
func (d *Dendrite) SlidingSync() bool    { return false }

// HTTPSPort is 0 unless it was given a certificate.
func (d *Dendrite) HTTPSPort() int {
	if d.options.TLSCertificate == "" {
		return 0
	}
	return d.options.TLSPort
}

func (d *Dendrite) Process() *Process { return d.process }
func (d *Dendrite) Stop()             { d.process.Stop() }
