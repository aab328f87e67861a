package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// oldestPostgres is the oldest major version the schemas are tested with.
const oldestPostgres = 15

// ErrNoPostgres says that the machine has no PostgreSQL server programs and that they could not be installed.
var ErrNoPostgres = errors.New("no PostgreSQL server here: a private one keeps the register and the bot's journal. " +
	"Install it (Debian, Ubuntu: `apt-get install postgresql`; Fedora: `dnf install postgresql-server`; " +
	"macOS: `brew install postgresql@16`) or put the folder of `initdb` and `postgres` on PATH, then start again")

// findPostgres returns the folder that holds initdb and postgres, installing them where it may.
func findPostgres(ctx context.Context, progress *Progress) (string, error) {
	if folder, ok := installedPostgres(recent); ok {
		return folder, nil
	}
	if !canInstall() {
		return "", ErrNoPostgres
	}
	if err := installPostgres(ctx, progress); err != nil {
		return "", fmt.Errorf("%w (installing it failed: %w)", ErrNoPostgres, err)
	}
	if folder, ok := installedPostgres(recent); ok {
		return folder, nil
	}
	return "", ErrNoPostgres
}

// recent accepts the versions a new cluster may be made with.
func recent(version int) bool { return version >= oldestPostgres }

func installedPostgres(suits func(version int) bool) (string, bool) {
	candidates := slices.Concat(foldersOnPath(), newestFirst("/usr/lib/postgresql/*/bin"), newestFirst("/usr/pgsql-*/bin"),
		newestFirst("/opt/homebrew/opt/postgresql@*/bin"), newestFirst("/usr/local/opt/postgresql@*/bin"),
		[]string{"/opt/homebrew/bin", "/usr/local/pgsql/bin", "/usr/libexec/postgresql"})
	for _, folder := range candidates {
		if version, ok := postgresVersion(folder); ok && suits(version) {
			return folder, true
		}
	}
	return "", false
}

// foldersOnPath resolves links, since distributions link single programs whose neighbours lie elsewhere.
func foldersOnPath() []string {
	program, err := exec.LookPath("initdb")
	if err != nil {
		return nil
	}
	folders := []string{filepath.Dir(program)}
	if resolved, err := filepath.EvalSymlinks(program); err == nil {
		folders = append([]string{filepath.Dir(resolved)}, folders...)
	}
	return folders
}

var digits = regexp.MustCompile(`\d+`)

func newestFirst(pattern string) []string {
	folders, _ := filepath.Glob(pattern)
	major := func(folder string) int {
		version, _ := strconv.Atoi(digits.FindString(filepath.Base(filepath.Dir(folder))))
		return version
	}
	slices.SortFunc(folders, func(a, b string) int { return major(b) - major(a) })
	return folders
}

func postgresVersion(folder string) (int, bool) {
	if _, err := os.Stat(filepath.Join(folder, "initdb")); err != nil {
		return 0, false
	}
	said, err := exec.Command(filepath.Join(folder, "postgres"), "--version").Output()
	if err != nil {
		return 0, false
	}
	version, err := strconv.Atoi(digits.FindString(string(said)))
	return version, err == nil
}

// installPostgres keeps the distribution from starting a cluster of its own: ours is private, and a second server would
// be a surprise on somebody's machine.
func installPostgres(ctx context.Context, progress *Progress) error {
	const settings = "/etc/postgresql-common/createcluster.conf"
	done := progress.Step("Installing PostgreSQL from the distribution (a private cluster keeps the register and the bot's journal)")
	err := func() error {
		if err := aptInstall(ctx, "postgresql-common"); err != nil {
			return err
		}
		before, err := os.ReadFile(settings)
		if err != nil {
			return fmt.Errorf("reading %s: %w", settings, err)
		}
		if err := writeAsRoot(ctx, settings, append(before, "\ncreate_main_cluster = false\n"...)); err != nil {
			return err
		}
		return errors.Join(aptInstall(ctx, "postgresql"), writeAsRoot(ctx, settings, before))
	}()
	done(err)
	return err
}
