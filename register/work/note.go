package work

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// note is what a run's folder says of it, so that whoever reads the logs of the tools that ran can tell whose use it was.
type note struct {
	Dispatch     string    `json:"dispatch"`
	Attempt      int       `json:"attempt"`
	Run          string    `json:"run"` // the claim
	Provider     string    `json:"provider"`
	Subscription string    `json:"subscription"`
	Model        string    `json:"model"`
	Directory    string    `json:"directory"` // where the command was started
	Began        time.Time `json:"began"`
	Ended        time.Time `json:"ended,omitzero"`
}

func noteOf(claim register.Claim) note {
	directory, _ := os.Getwd() // without it only the environment tells
	if real, err := filepath.EvalSymlinks(directory); err == nil {
		directory = real
	}
	return note{
		Dispatch: claim.Dispatch.ID, Attempt: claim.Dispatch.Attempt, Run: claim.ID, Provider: claim.Dispatch.Provider,
		Subscription: claim.Dispatch.Subscription, Model: claim.Dispatch.Model, Directory: directory, Began: time.Now().UTC(),
	}
}

// write puts the note in place whole, since others read it.
func (n note) write(place folder) error {
	text, _ := json.MarshalIndent(n, "", "  ") // it has only strings, a number and instants
	beside := place.note() + ".new"
	if err := os.WriteFile(beside, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("noting the run: %w", err)
	}
	if err := os.Rename(beside, place.note()); err != nil {
		return fmt.Errorf("noting the run: %w", err)
	}
	return nil
}
