package work

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// folder is a run's own folder. It is kept: it is the evidence of the run.
type folder string

func (f folder) brief() string    { return filepath.Join(string(f), "brief.md") }
func (f folder) result() string   { return filepath.Join(string(f), "result.json") }
func (f folder) reserved() string { return filepath.Join(string(f), "reserved.json") }
func (f folder) log() string      { return filepath.Join(string(f), "output.log") }
func (f folder) note() string     { return filepath.Join(string(f), "run.json") }

// newFolder makes a folder that no run has used, with the brief in it.
func (w *Worker) newFolder(claim register.Claim) (folder, error) {
	dispatch := claim.Dispatch
	path, err := filepath.Abs(filepath.Join(w.Directory, fmt.Sprintf("%s-%d", dispatch.ID, dispatch.Attempt)))
	if err != nil {
		return "", fmt.Errorf("naming the run's folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("making the folder of all runs: %w", err)
	}
	err = os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		// Another register's dispatch had this number; its result must not be read as this run's.
		path += "-" + claim.ID
		err = os.Mkdir(path, 0o700)
	}
	if err != nil {
		return "", fmt.Errorf("making the run's folder: %w", err)
	}
	made := folder(path)
	if err := os.WriteFile(made.brief(), []byte(dispatch.Brief), 0o600); err != nil {
		return "", fmt.Errorf("writing the brief: %w", err)
	}
	return made, nil
}

// writable says why no folders can be made in directory, before work is claimed that would then fail.
func writable(directory string) error {
	err := os.MkdirAll(directory, 0o700)
	if err == nil {
		var probe string
		if probe, err = os.MkdirTemp(directory, ".probe-"); err == nil {
			return os.Remove(probe)
		}
	}
	return fmt.Errorf("runs cannot keep their folders in %s: %w; give a directory this user may write with --directory", directory, err)
}
