package local

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"
)

// server is what every running homeserver has, whatever its software.
type server struct {
	process *Process
	options HomeserverOptions
	dir     string
	version string
	url     string
	secret  string
}

// software is how one kind of homeserver gets on the machine, is configured and is started.
type software struct {
	install   func(ctx context.Context, binaries string, progress *Progress) (program, version string, err error)
	configure func(dir string, options HomeserverOptions, secret string) error
	process   func(program string, options HomeserverOptions) ProcessOptions
	patience  time.Duration // for its first answer
}

// startServer starts the homeserver kept in dir and returns once it answers.
func startServer(ctx context.Context, dir string, options HomeserverOptions, software software) (server, error) {
	dir, err := options.fill(dir)
	if err != nil {
		return server{}, err
	}
	program, version, err := software.install(ctx, options.Binaries, options.Progress)
	if err != nil {
		return server{}, err
	}
	if err := options.placeAt(dir); err != nil {
		return server{}, err
	}
	secret, err := homeserverSecret(dir)
	if err != nil {
		return server{}, err
	}
	if err := software.configure(dir, options, secret); err != nil {
		return server{}, err
	}
	s := server{options: options, dir: dir, version: version, secret: secret}
	s.url = "http://" + net.JoinHostPort(reachable(options.Host), strconv.Itoa(options.Port))
	process := software.process(program, options)
	process.Dir, process.LogFile = dir, filepath.Join(dir, process.Name+".log")
	if s.process, err = StartProcess(process); err != nil {
		return server{}, err
	}
	if err := s.process.WaitUntil(ctx, software.patience, func(ctx context.Context) error { return answersVersions(ctx, s.url) }); err != nil {
		s.process.Stop()
		return server{}, fmt.Errorf("starting the homeserver: %w", err)
	}
	return s, nil
}

// homeserverSecret is the registration secret, made once and kept beside the homeserver's data.
func homeserverSecret(dir string) (string, error) {
	kept, err := OpenSecrets(filepath.Join(dir, "secrets.yaml"))
	if err != nil {
		return "", err
	}
	return kept.Generated("registration_shared_secret")
}

func (s *server) URL() string          { return s.url }
func (s *server) ServerName() string   { return s.options.ServerName }
func (s *server) SharedSecret() string { return s.secret }
func (s *server) Process() *Process    { return s.process }

// HTTPSPort is 0 unless it was given a certificate.
func (s *server) HTTPSPort() int {
	if s.options.TLSCertificate == "" {
		return 0
	}
	return s.options.TLSPort
}

// Stop ends it and waits until it is gone.
func (s *server) Stop() { s.process.Stop() }
