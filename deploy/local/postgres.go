package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const superuser = "postgres"

// PostgresOptions changes how the private cluster runs.
type PostgresOptions struct {
	// Volatile trades safety against a crash of the machine for speed; for tests.
	Volatile bool
	// MaxConnections is 100 when zero.
	MaxConnections int
	Progress       *Progress
}

// Postgres is a running private cluster. It listens on loopback TCP only and asks every role for its password.
type Postgres struct {
	process  *Process
	cluster  string
	port     int
	password string
}

// StartPostgres starts the cluster kept in dir, making it the first time, and returns once it accepts connections. The
// port stays the same across restarts while it is free. A cluster that an earlier, killed run left running in the same
// folder is stopped first. As root the server runs as user postgres, and if that user cannot reach dir the cluster
// lies in /var/lib/mosaic-matrix, with a file in dir that says where.
func StartPostgres(ctx context.Context, dir string, options PostgresOptions) (*Postgres, error) {
	programs, err := findPostgres(ctx, options.Progress)
	if err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the cluster's folder: %w", err)
	}
	account, err := postgresAccount()
	if err != nil {
		return nil, err
	}
	place, err := settleCluster(dir, account)
	if err != nil {
		return nil, err
	}
	p := &Postgres{cluster: filepath.Join(place, "data")}
	if programs, err = programsFor(p.cluster, programs); err != nil {
		return nil, err
	}
	if p.password, err = p.ensureCluster(ctx, programs, place, account, options); err != nil {
		return nil, err
	}
	if err := p.stopOrphan(ctx); err != nil {
		return nil, err
	}
	if p.port, err = RememberedPort(filepath.Join(dir, "port"), "127.0.0.1"); err != nil {
		return nil, err
	}
	if err := p.start(programs, filepath.Join(dir, "postgres.log"), account, options); err != nil {
		return nil, err
	}
	if err := p.process.WaitUntil(ctx, 60*time.Second, p.ping); err != nil {
		p.process.Stop()
		return nil, fmt.Errorf("starting Postgres: %w", err)
	}
	return p, nil
}

func (p *Postgres) start(programs, log string, account *Account, options PostgresOptions) error {
	if options.MaxConnections == 0 {
		options.MaxConnections = 100
	}
	settings := map[string]string{
		"listen_addresses": "127.0.0.1", "port": strconv.Itoa(p.port), "unix_socket_directories": "",
		"max_connections": strconv.Itoa(options.MaxConnections), "timezone": "UTC", "log_timezone": "UTC",
	}
	if options.Volatile {
		settings["fsync"], settings["full_page_writes"] = "off", "off"
	}
	arguments := []string{"-D", p.cluster}
	for name, value := range settings {
		arguments = append(arguments, "-c", name+"="+value)
	}
	process, err := StartProcess(ProcessOptions{
		Name: "postgres", Path: filepath.Join(programs, "postgres"), Args: arguments, Dir: p.cluster, LogFile: log,
		// SIGINT is the fast shutdown: clients are disconnected and the cluster is left clean.
		StopSignal: syscall.SIGINT, OrphanSignal: syscall.SIGINT, Account: account,
	})
	p.process = process
	return err
}

// ensureCluster runs initdb the first time. The password file lies beside the data, so that both live and die together.
func (p *Postgres) ensureCluster(ctx context.Context, programs, place string, account *Account, options PostgresOptions) (string, error) {
	passwordFile := filepath.Join(place, "password")
	if _, err := os.Stat(filepath.Join(p.cluster, "PG_VERSION")); err == nil {
		password, err := os.ReadFile(passwordFile)
		if err != nil {
			return "", fmt.Errorf("reading the cluster's password: %w", err)
		}
		return string(password), nil
	}
	password, fresh := randomSecret(), p.cluster+".new"
	if err := errors.Join(os.RemoveAll(fresh), os.RemoveAll(p.cluster), writePrivate(passwordFile, []byte(password)), give(passwordFile, account)); err != nil {
		return "", fmt.Errorf("preparing the cluster: %w", err)
	}
	arguments := []string{
		"--pgdata", fresh, "--username", superuser, "--pwfile", passwordFile, "--auth", "scram-sha-256",
		"--encoding", "UTF8", "--no-locale", "--no-instructions",
	}
	if options.Volatile {
		arguments = append(arguments, "--no-sync")
	}
	command := exec.CommandContext(ctx, filepath.Join(programs, "initdb"), arguments...)
	command.Dir = place
	if account != nil {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: account.UID, Gid: account.GID}}
	}
	done := options.Progress.Step("Making a private Postgres cluster")
	said, err := command.CombinedOutput()
	done(err)
	if err != nil {
		return "", fmt.Errorf("making the Postgres cluster: %w: %s", err, lastLine(said))
	}
	// Renamed at the end, so that an initdb cut short is never taken for a cluster.
	if err := os.Rename(fresh, p.cluster); err != nil {
		return "", fmt.Errorf("making the Postgres cluster: %w", err)
	}
	return password, nil
}

// programsFor returns the programs of the version that made the cluster, which is not always the newest one installed;
// for a cluster yet to be made it returns newest.
func programsFor(cluster, newest string) (string, error) {
	text, err := os.ReadFile(filepath.Join(cluster, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return newest, nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the cluster's version: %w", err)
	}
	made, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return "", fmt.Errorf("reading the cluster's version: %w", err)
	}
	if programs, ok := installedPostgres(func(version int) bool { return version == made }); ok {
		return programs, nil
	}
	return "", fmt.Errorf("the cluster in %s was made by PostgreSQL %d, which is not installed any more; "+
		"install it again, move the data with pg_upgrade, or remove the state folder to start anew", cluster, made)
}

func (p *Postgres) ping(ctx context.Context) error {
	connection, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return err
	}
	return connection.Close(ctx)
}

// URL connects to a database as the superuser. PrepareDatabase turns it into those of the two roles.
func (p *Postgres) URL(database string) string {
	address := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, p.password), Path: "/" + database, RawQuery: "sslmode=disable",
		Host: "127.0.0.1:" + strconv.Itoa(p.port),
	}
	return address.String()
}

// Port is where it listens on 127.0.0.1.
func (p *Postgres) Port() int { return p.port }

// Process is the server's, for fault tests.
func (p *Postgres) Process() *Process { return p.process }

// Stop shuts the cluster down cleanly and waits until it is gone.
func (p *Postgres) Stop() { p.process.Stop() }

// stopOrphan deals with what a killed run left: a server that still runs is shut down; a pid file whose number now
// belongs to something else is removed, since Postgres would take that process for a server and refuse to start.
func (p *Postgres) stopOrphan(ctx context.Context) error {
	file := filepath.Join(p.cluster, "postmaster.pid")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading what an earlier run left: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, _ := strconv.Atoi(strings.TrimSpace(first))
	if pid <= 0 || !runsCluster(pid, p.cluster) {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a stale pid file: %w", err)
		}
		return nil
	}
	return endProcess(ctx, pid, func() bool { return runsCluster(pid, p.cluster) })
}

// endProcess shuts a Postgres server down: fast first, then without ceremony.
func endProcess(ctx context.Context, pid int, lives func() bool) error {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		_ = syscall.Kill(pid, signal)
		limit := time.NewTimer(5 * time.Second)
		for expired := false; lives() && !expired; {
			select {
			case <-ctx.Done():
				limit.Stop()
				return ctx.Err()
			case <-limit.C:
				expired = true
			case <-time.After(25 * time.Millisecond):
			}
		}
		limit.Stop()
		if !lives() {
			return nil
		}
	}
	return fmt.Errorf("the Postgres an earlier run left (process %d) does not end; end it by hand, then start again", pid)
}

// runsCluster says whether process pid is a Postgres server of this cluster.
func runsCluster(pid int, cluster string) bool {
	words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		words, err = exec.Command("ps", "-ww", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
	}
	return err == nil && strings.Contains(string(words), "postgres") && strings.Contains(string(words), cluster)
}
