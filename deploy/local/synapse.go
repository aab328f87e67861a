package local

import (
	"context"
	"path/filepath"
	"strings"
	"time"
)

// Synapse is a running Synapse from PyPI: SQLite, one process, no federation. It has sliding sync, which Element X needs.
type Synapse struct {
	server
	cancel context.CancelFunc
}

var _ Homeserver = (*Synapse)(nil)

// StartSynapse starts the Synapse kept in dir, installing it into a virtual environment and making its configuration the
// first time, and returns once it answers. Data, signing key and port survive restarts. With RateLimits the users in
// Exempt are freed from them as soon as their accounts exist.
func StartSynapse(ctx context.Context, dir string, options HomeserverOptions) (*Synapse, error) {
	running, err := startServer(ctx, dir, options, software{
		install: InstallSynapse, configure: writeSynapseConfig, patience: 2 * time.Minute,
		process: func(python string, _ HomeserverOptions) ProcessOptions {
			return ProcessOptions{Name: "synapse", Path: python, Args: []string{"-m", "synapse.app.homeserver", "--config-path", "homeserver.yaml"}}
		},
	})
	if err != nil {
		return nil, err
	}
	s := &Synapse{server: running}
	return s, s.exemptWhenThere(running.dir)
}

func (s *Synapse) Software() string  { return "Synapse " + s.version }
func (s *Synapse) SlidingSync() bool { return true }

// Stop ends it and waits until it is gone.
func (s *Synapse) Stop() {
	if s.cancel != nil {
		s.cancel()
	}
	s.server.Stop()
}

// exemptWhenThere frees the users in Exempt from rate limits through the admin API, which knows only accounts that exist;
// so it asks again until they do. Synapse keeps the answer in its database.
func (s *Synapse) exemptWhenThere(dir string) error {
	if !s.options.RateLimits || len(s.options.Exempt) == 0 {
		return nil
	}
	secrets, err := OpenSecrets(filepath.Join(dir, "secrets.yaml"))
	if err != nil {
		return err
	}
	password, err := secrets.Generated("admin_password")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for left := s.options.Exempt; len(left) > 0; {
			left = s.exempt(ctx, User{Name: "local-admin", Password: password, Admin: true}, left)
			select {
			case <-ctx.Done():
				return
			case <-s.process.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return nil
}

// exempt frees what users it can and returns the rest.
func (s *Synapse) exempt(ctx context.Context, admin User, users []string) (left []string) {
	registrar := registrar{address: s.url}
	if _, err := RegisterUser(ctx, s.url, s.secret, admin); err != nil {
		return users
	}
	token, err := registrar.logIn(ctx, admin)
	if err != nil {
		return users
	}
	defer registrar.logOut(ctx, token)
	for _, user := range users {
		path := "/_synapse/admin/v1/users/" + strings.ReplaceAll(user, "/", "%2F") + "/override_ratelimit"
		unlimited := map[string]int{"messages_per_second": 0, "burst_count": 0}
		if err := registrar.call(ctx, "POST", path, token, unlimited, nil); err != nil {
			left = append(left, user)
		}
	}
	return left
}
