package local

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// clustersAway is where clusters lie whose own folder the server's user cannot reach.
const clustersAway = "/var/lib/mosaic-matrix"

// postgresAccount is who runs the server: nil is this process's own user. Postgres refuses to run as root.
func postgresAccount() (*Account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &Account{Name: name, UID: uint32(uid), GID: uint32(gid)}, nil
		}
	}
	return nil, errors.New("Postgres refuses to run as root and there is no user postgres; make one (`useradd --system postgres`), or start as an ordinary user")
}

// settleCluster decides where the cluster lies and makes that folder, owned by the server's user. It is dir/cluster,
// unless that user cannot get there (a checkout below a closed home folder); then it is a folder below clustersAway, and
// dir keeps its path in a file. If dir was removed, so is what it pointed to.
func settleCluster(dir string, account *Account) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the cluster's folder: %w", err)
	}
	place := filepath.Join(dir, "cluster")
	if account != nil {
		// Traversable, not readable: what else lies in dir has its own mode.
		if err := os.Chmod(dir, 0o711); err != nil {
			return "", fmt.Errorf("opening the cluster's folder to user %s: %w", account.Name, err)
		}
		if !canReach(place, account) {
			return settleAway(dir, account)
		}
	}
	return place, makeOwned(place, account)
}

func settleAway(dir string, account *Account) (string, error) {
	sum := sha256.Sum256([]byte(dir))
	place, note := filepath.Join(clustersAway, hex.EncodeToString(sum[:8])), filepath.Join(dir, "cluster-lies-in")
	if said, err := os.ReadFile(note); err != nil || strings.TrimSpace(string(said)) != place {
		if err := os.RemoveAll(place); err != nil {
			return "", fmt.Errorf("removing the cluster of an earlier checkout: %w", err)
		}
	}
	if err := os.MkdirAll(clustersAway, 0o755); err != nil {
		return "", fmt.Errorf("making the cluster's folder: %w", err)
	}
	if err := makeOwned(place, account); err != nil {
		return "", err
	}
	if err := os.WriteFile(note, []byte(place+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("noting where the cluster lies: %w", err)
	}
	return place, nil
}

func makeOwned(dir string, account *Account) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the cluster's folder: %w", err)
	}
	if err := give(dir, account); err != nil {
		return fmt.Errorf("giving the cluster's folder to its user: %w", err)
	}
	return nil
}

func give(path string, account *Account) error {
	if account == nil {
		return nil
	}
	return os.Chown(path, int(account.UID), int(account.GID))
}

// canReach says whether the account may walk down to the folder above path.
func canReach(path string, account *Account) bool {
	for parent := filepath.Dir(path); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return false
		}
		bit := os.FileMode(0o001)
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			switch {
			case stat.Uid == account.UID:
				bit = 0o100
			case stat.Gid == account.GID:
				bit = 0o010
			}
		}
		if info.Mode()&bit == 0 {
			return false
		}
		if parent == filepath.Dir(parent) {
			return true
		}
	}
}
