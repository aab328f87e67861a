package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Homeserver is a running local Matrix server.
type Homeserver interface {
	// URL is where clients on this machine reach it, without a final slash.
	URL() string
	// ServerName is the part of user IDs after the colon.
	ServerName() string
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
	// Volatile makes passwords cheap to check; for tests.
	Volatile bool
	// Binaries is where a built server is kept; empty is the folder `bin` in the state folder beside dir.
	Binaries string
	Progress *Progress
}

func (o *HomeserverOptions) fill() error {
	if o.ServerName == "" {
		o.ServerName = "localhost"
	}
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if (o.TLSCertificate == "") != (o.TLSKey == "") {
		return errors.New("https needs both a certificate and its key; give both or neither")
	}
	if o.TLSPort == 0 {
		o.TLSPort = 8448
	}
	return nil
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
