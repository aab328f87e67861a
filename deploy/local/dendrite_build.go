package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
)

var dendriteRequired = regexp.MustCompile(`(?m)^\s*(?:require\s+)?github\.com/element-hq/dendrite\s+(v\S+)`)

// BuildDendrite returns the program and version of the Dendrite pinned by deploy/homeserver/go.mod, building it into
// binaries if it is not there yet. It finds the module from the working folder or the program's own, upwards. Processes
// that ask at the same time share one build.
func BuildDendrite(ctx context.Context, binaries string, progress *Progress) (program, version string, err error) {
	module, err := FindUpwards(filepath.Join("deploy", "homeserver", "go.mod"))
	if err != nil {
		return "", "", fmt.Errorf("the homeserver is built from the checkout's deploy/homeserver; start from inside the checkout, or name a homeserver that runs: %w", err)
	}
	text, err := os.ReadFile(module)
	if err != nil {
		return "", "", fmt.Errorf("reading the homeserver's module: %w", err)
	}
	pinned := dendriteRequired.FindSubmatch(text)
	if pinned == nil {
		return "", "", fmt.Errorf("%s pins no Dendrite", module)
	}
	version = string(pinned[1])
	// What it is built from is part of the name: another pin, even of a library, is another program.
	sum := sha256.Sum256(text)
	program = filepath.Join(binaries, "dendrite-"+version+"-"+hex.EncodeToString(sum[:4]))
	lock, err := lockPrograms(binaries)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = lock.Close() }()
	if _, err := os.Stat(program); err == nil {
		return program, version, nil
	}
	done := progress.Step("Building the homeserver, Dendrite " + version + " (once; about three minutes on two cores)")
	err = goBuildTool(ctx, filepath.Dir(module), program)
	done(err)
	return program, version, err
}

// lockPrograms makes the folder for programs and keeps everyone else from putting one into it.
func lockPrograms(folder string) (*os.File, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder for programs: %w", err)
	}
	lock, err := openLocked(filepath.Join(folder, ".lock"), syscall.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("waiting for whoever makes a program: %w", err)
	}
	return lock, nil
}

// goBuildTool builds a module's tool without cgo, so that no C compiler is needed.
func goBuildTool(ctx context.Context, module, program string) error {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		return errors.New("no `go` on PATH to build the homeserver with; install Go 1.26 or newer, or name a homeserver that runs")
	}
	log := program + ".log"
	err = runProcess(ctx, "building the homeserver", ProcessOptions{
		Name: "go build", Path: goCommand, Args: []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", program + ".new", "tool"},
		Env: append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="), Dir: module, LogFile: log, Family: true,
	})
	if err != nil {
		return err
	}
	_ = os.Remove(log)
	return os.Rename(program+".new", program)
}

// FindUpwards returns the absolute path of the file called name, looked for in the working folder and its parents, then
// in the running program's folder and its parents.
func FindUpwards(name string) (string, error) {
	var starts []string
	if here, err := os.Getwd(); err == nil {
		starts = append(starts, here)
	}
	if program, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(program))
	}
	for _, folder := range starts {
		for {
			if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
				return filepath.Join(folder, name), nil
			}
			if folder == filepath.Dir(folder) {
				break
			}
			folder = filepath.Dir(folder)
		}
	}
	return "", fmt.Errorf("no %s in or above %v", name, starts)
}
