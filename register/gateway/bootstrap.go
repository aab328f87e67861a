package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// Migrate brings the database to the version this program needs; New does so too.
func Migrate(ctx context.Context, databaseURL string) error { return fleet.Migrate(ctx, databaseURL) }

// EnsureIdentity creates an identity (kind human, agent or service; roles viewer, operator, board, admin, worker) without the
// API, for the first admin of a register that has nobody yet. One that is there stays as it is.
func EnsureIdentity(ctx context.Context, databaseURL, tenant, name, kind string, roles []string) error {
	return withStore(ctx, databaseURL, tenant, func(store *fleet.Store) error {
		return ensureIdentity(ctx, store, name, kind, roles)
	})
}

func ensureIdentity(ctx context.Context, store *fleet.Store, name, kind string, roles []string) error {
	_, err := store.Identity(ctx, name)
	var unknown *fleet.Error
	if !errors.As(err, &unknown) {
		return err
	}
	key := rand.Text()
	hash := sha256.Sum256([]byte(key))
	by := fleet.Mutation{Actor: name, Caller: name, Key: key, Hash: hash[:], Status: http.StatusOK}
	_, err = store.PutIdentity(ctx, by, fleet.Identity{Name: name, Kind: kind, Roles: roles})
	return err
}

// IssueToken makes a bearer token for an identity with the scopes read, operate, worker, bot or admin. Only its SHA-256 is
// kept: it is shown this once. Zero expires never ends it.
func IssueToken(ctx context.Context, databaseURL, tenant, identity string, scopes []string, expires time.Duration) (string, error) {
	var token string
	err := withStore(ctx, databaseURL, tenant, func(store *fleet.Store) error {
		var err error
		token, err = store.BootstrapToken(ctx, identity, scopes, expires)
		return err
	})
	return token, err
}

// RevokeTokens ends every token of an identity and says how many there were.
func RevokeTokens(ctx context.Context, databaseURL, tenant, identity string) (int64, error) {
	var revoked int64
	err := withStore(ctx, databaseURL, tenant, func(store *fleet.Store) error {
		var err error
		revoked, err = store.RevokeTokens(ctx, identity)
		return err
	})
	return revoked, err
}

func withStore(ctx context.Context, databaseURL, tenant string, do func(*fleet.Store) error) error {
	if err := fleet.Migrate(ctx, databaseURL); err != nil {
		return err
	}
	options := withDefaults(Options{Tenant: tenant})
	store, err := fleet.Open(ctx, databaseURL, fleet.Options{
		Tenant: options.Tenant, Host: options.Host, Ladder: options.Ladder, BurstPPM: options.BurstPPM, Connections: 2,
	})
	if err != nil {
		return err
	}
	defer store.Close()
	return do(store)
}
