package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Parts are the two servers tests need, volatile and below one temporary folder that is removed when this process ends.
type Parts struct {
	// RateLimits, set before the homeserver starts, leaves it the limits it comes with, save those on registering and logging in.
	RateLimits bool
	// Registrations, set before the homeserver starts, are files of application services, for Synapse.
	Registrations []string

	dir    string
	memory string // the homeserver's, if it is not below dir

	postgres   func() (*Postgres, error)
	homeserver func() (Homeserver, error)
}

// NewParts prepares the folder; each server starts when first asked for and lives until Stop or the end of this process.
// ctx bounds the starts, not the servers' lives. server is dendrite or synapse; empty is dendrite.
func NewParts(ctx context.Context, server string, progress *Progress) (*Parts, error) {
	dir, err := os.MkdirTemp("", "mosaic-matrix-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary folder: %w", err)
	}
	if err := errors.Join(os.Chmod(dir, 0o711), SweepAtExit(dir)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p := &Parts{dir: dir}
	p.postgres = sync.OnceValues(func() (*Postgres, error) {
		return StartPostgres(ctx, filepath.Join(dir, "postgres"), PostgresOptions{Volatile: true, MaxConnections: 300, Progress: progress})
	})
	p.homeserver = sync.OnceValues(func() (Homeserver, error) {
		options := HomeserverOptions{Volatile: true, RateLimits: p.RateLimits, Registrations: p.Registrations, Binaries: sharedBinaries(dir), Progress: progress}
		if p.memory, err = inMemory(); err != nil {
			return nil, err
		}
		return StartHomeserver(ctx, server, filepath.Join(cmp.Or(p.memory, dir), "homeserver"), options)
	})
	return p, nil
}

// memoryNeeded is how much of the machine's memory must be free for files before a homeserver's are kept there.
const memoryNeeded = 4 << 30

// inMemory is a temporary folder in memory, or none where the machine has no room for one or TMPDIR says where temporary files belong. A
// homeserver's SQLite waits for the disk several times with each event.
func inMemory() (string, error) {
	const memory = "/dev/shm"
	var has syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(memory, &has) != nil || has.Bavail*uint64(has.Bsize) < memoryNeeded {
		return "", nil
	}
	dir, err := os.MkdirTemp(memory, "mosaic-matrix-")
	if err != nil {
		return "", nil // it may be read only
	}
	if err := SweepAtExit(dir); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// sharedBinaries is the checkout's own folder for programs, so that the homeserver is built once for everybody.
func sharedBinaries(otherwise string) string {
	module, err := FindUpwards(filepath.Join("deploy", "homeserver", "go.mod"))
	if err != nil {
		return filepath.Join(otherwise, "bin")
	}
	return filepath.Join(filepath.Dir(module), "..", "..", StateFolder, "bin")
}

// Postgres starts the cluster if it does not run yet.
func (p *Parts) Postgres() (*Postgres, error) { return p.postgres() }

// Homeserver starts the homeserver if it does not run yet, building it if need be.
func (p *Parts) Homeserver() (Homeserver, error) { return p.homeserver() }

// Start starts both at the same time.
func (p *Parts) Start() (*Postgres, Homeserver, error) {
	var databaseErr error
	var running sync.WaitGroup
	running.Go(func() { _, databaseErr = p.postgres() })
	server, err := p.homeserver()
	running.Wait()
	if err := errors.Join(databaseErr, err); err != nil {
		return nil, nil, err
	}
	database, err := p.postgres()
	return database, server, err
}

// Stop ends what runs and removes the folder. It must not be called while a server is starting.
func (p *Parts) Stop(started ...*Process) {
	var running sync.WaitGroup
	for _, process := range started {
		running.Go(process.Stop)
	}
	running.Wait()
	_ = os.RemoveAll(p.dir)
	if p.memory != "" {
		_ = os.RemoveAll(p.memory)
	}
}
