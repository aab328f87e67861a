package local

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

//go:embed synapse_requirements.txt
var synapseRequirements []byte

var synapsePinned = regexp.MustCompile(`(?m)^matrix-synapse==(\S+)`)

// InstallSynapse returns the Python that runs the pinned Synapse, and its version. The first time it makes a virtual
// environment in binaries and fills it from PyPI with wheels only, so that no compiler is needed.
func InstallSynapse(ctx context.Context, binaries string, progress *Progress) (python, version string, err error) {
	pinned := synapsePinned.FindSubmatch(synapseRequirements)
	if pinned == nil {
		return "", "", errors.New("the requirements pin no Synapse")
	}
	version = string(pinned[1])
	environment := filepath.Join(binaries, "synapse-"+version)
	python, complete := filepath.Join(environment, "bin", "python"), filepath.Join(environment, "complete")
	lock, err := lockPrograms(binaries)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = lock.Close() }()
	if _, err := os.Stat(complete); err == nil {
		return python, version, nil
	}
	done := progress.Step("Installing Synapse " + version + " into a virtual environment (once; about half a minute)")
	err = errors.Join(os.RemoveAll(environment), makeEnvironment(ctx, environment))
	if err == nil {
		err = fillEnvironment(ctx, environment)
	}
	if err == nil {
		err = os.WriteFile(complete, []byte(version+"\n"), 0o644)
	}
	done(err)
	return python, version, err
}

// makeEnvironment installs Debian's python3-venv if it is missing and may be installed.
func makeEnvironment(ctx context.Context, environment string) error {
	said, err := exec.CommandContext(ctx, "python3", "-m", "venv", environment).CombinedOutput()
	if err != nil && ctx.Err() == nil && canInstall() {
		if err := aptInstall(ctx, "python3", "python3-venv"); err != nil {
			return err
		}
		_ = os.RemoveAll(environment)
		said, err = exec.CommandContext(ctx, "python3", "-m", "venv", environment).CombinedOutput()
	}
	if err != nil {
		return fmt.Errorf("Synapse needs Python 3.10 or newer with venv (Debian: `apt-get install python3-venv`): %w: %s", err, lastLine(said))
	}
	return nil
}

func fillEnvironment(ctx context.Context, environment string) error {
	requirements := filepath.Join(environment, "requirements.txt")
	if err := os.WriteFile(requirements, synapseRequirements, 0o644); err != nil {
		return fmt.Errorf("writing Synapse's requirements: %w", err)
	}
	return runProcess(ctx, "installing Synapse", ProcessOptions{
		Name: "pip", Path: filepath.Join(environment, "bin", "python"), LogFile: filepath.Join(environment, "pip.log"), Family: true,
		Args: []string{"-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:", "--requirement", requirements},
	})
}
