package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Homeserver is a running local Matrix server.
type Homeserver interface {
	// URL is where clients on this machine reach it, without a final slash.
	URL() string
	// ServerName is the part of user IDs after the colon.
	ServerName() string
	// HTTPSPort is where it speaks https itself; 0 if it does not.
	HTTPSPort() int
	// SharedSecret lets its holder register users.
	SharedSecret() string
	// Software is the server's name and version, such as "Dendrite v0.15.2".
	Software() string
	// SlidingSync says whether clients that need sliding sync, such as Element X, work with it.
	SlidingSync() bool
	// Process is the server's, for fault tests.
	Process() *Process
	// Stop ends it and waits until it is gone.
	Stop()
}

// HomeserverOptions changes how a local homeserver runs. The zero value fits demo and tests.
type HomeserverOptions struct {
	// ServerName is "localhost" when empty. It is part of every user ID and cannot change later.
	ServerName string
	// Host is the address it listens on; empty is 127.0.0.1. Anything else is reachable from the network.
	Host string
	// Port is chosen and remembered when 0.
	Port int
	// TLSCertificate and TLSKey are PEM files. With them it also listens for https on TLSHost:TLSPort.
	TLSCertificate, TLSKey string
	// TLSHost is all addresses when empty, TLSPort 8448 when 0.
	TLSHost string
	TLSPort int
	// RateLimits turns the server's limits on, save for the users in Exempt (full user IDs).
	RateLimits bool
	Exempt     []string
	// Registrations are files of application services. Only Synapse takes them.
	Registrations []string
	// Volatile makes passwords cheap to check; for tests.
	Volatile bool
	// Binaries is where a built server is kept; empty is the folder `bin` in the state folder beside dir.
	Binaries string
	Progress *Progress
}

// fill sets what was left out and returns the server's folder as an absolute path.
func (o *HomeserverOptions) fill(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the homeserver's folder: %w", err)
	}
	if o.Binaries == "" {
		o.Binaries = filepath.Join(filepath.Dir(dir), "bin")
	}
	if o.ServerName == "" {
		o.ServerName = "localhost"
	}
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if (o.TLSCertificate == "") != (o.TLSKey == "") {
		return "", errors.New("https needs both a certificate and its key; give both or neither")
	}
	if o.TLSPort == 0 {
		o.TLSPort = 8448
	}
	return dir, nil
}

// placeAt makes the server's folder and settles what lies in it or depends on where the server runs.
func (o *HomeserverOptions) placeAt(dir string) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the homeserver's folder: %w", err)
	}
	// The server works in its own folder, so a path relative to ours would lead it astray.
	for _, path := range []*string{&o.TLSCertificate, &o.TLSKey} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return fmt.Errorf("finding the certificate: %w", err)
		}
		if _, err := os.Stat(*path); err != nil {
			return fmt.Errorf("the certificate or its key is not there: %w", err)
		}
	}
	if o.Port == 0 {
		o.Port, err = RememberedPort(filepath.Join(dir, "port"), o.Host)
	}
	return err
}

// StartHomeserver starts the server software called kind, dendrite (the default when empty) or synapse, kept in dir.
func StartHomeserver(ctx context.Context, kind, dir string, options HomeserverOptions) (Homeserver, error) {
	var server Homeserver
	var err error
	switch kind {
	case "", "dendrite":
		server, err = StartDendrite(ctx, dir, options)
	case "synapse":
		server, err = StartSynapse(ctx, dir, options)
	default:
		err = fmt.Errorf("%q is no homeserver this can start; it can start dendrite and synapse", kind)
	}
	if err != nil {
		return nil, err
	}
	return server, nil
}

// reachable is the address this machine itself uses for a server that listens on host.
func reachable(host string) string {
	if host == "0.0.0.0" || host == "::" {
		return "127.0.0.1"
	}
	return host
}

// answersVersions asks the homeserver for the versions it speaks.
func answersVersions(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+"/_matrix/client/versions", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %s", response.Status)
	}
	return nil
}
