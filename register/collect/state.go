package collect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// state is what outlives the collector: how far each log was read, which calls were counted, and what is still to be posted. It is
// written whole, beside itself, and then put in place.
type state struct {
	path string

	Version int                  `json:"version"`
	Began   time.Time            `json:"began"` // what was used before does not count
	Files   map[string]*position `json:"files"`
	Calls   map[string]call      `json:"calls"`
	Runs    map[string]runTotal  `json:"runs"`
	Limits  map[string]posted    `json:"limits"`
	Pending []pending            `json:"pending,omitempty"`
}

// position is how far a log was read.
type position struct {
	Offset   int64     `json:"offset"`
	Head     string    `json:"head,omitempty"`
	Modified time.Time `json:"modified"`
	Session  session   `json:"session"`
}

// call is one call to a model, as it was last counted.
type call struct {
	Request string    `json:"request,omitempty"`
	Tokens  int64     `json:"tokens"`
	At      time.Time `json:"at"`
}

// runTotal is what a run has used so far, by model.
type runTotal struct {
	Tokens map[string]int64 `json:"tokens"`
	At     time.Time        `json:"at"`
}

// posted is what was last said of a window.
type posted struct {
	Percent float64   `json:"percent"`
	Reset   time.Time `json:"reset"`
	At      time.Time `json:"at"`
}

// pending is a request that was not answered yet; it goes out with this key and these bytes until it is.
type pending struct {
	Key      string          `json:"key"`
	Mutation json.RawMessage `json:"mutation"`
}

// remembered is how long a call and a run are known; what is found older than that was copied, and does not count.
const remembered = 14 * 24 * time.Hour

func openState(path string, began time.Time) (*state, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the collector's state: %w; give another file with --state", err)
	}
	s := &state{path: path}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.Version, s.Began = 1, began.UTC()
	case err != nil:
		return nil, fmt.Errorf("reading the collector's state: %w", err)
	default:
		if err := json.Unmarshal(text, s); err != nil || s.Version != 1 {
			return nil, fmt.Errorf("%s is not a collector's state; move it away to begin anew from now", path)
		}
	}
	if s.Files == nil {
		s.Files = make(map[string]*position)
	}
	if s.Calls == nil {
		s.Calls = make(map[string]call)
	}
	if s.Runs == nil {
		s.Runs = make(map[string]runTotal)
	}
	if s.Limits == nil {
		s.Limits = make(map[string]posted)
	}
	return s, nil
}

// save replaces the file in one step.
func (s *state) save() error {
	if err := replace(s.path, s); err != nil {
		return fmt.Errorf("writing the collector's state: %w", err)
	}
	return nil
}

// replace writes a value beside a file and puts it in its place, so that it is whole at any moment.
func replace(path string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}

// count takes in a call and answers by how much it is more than what was counted of it. A line may lack the request's ID that
// another line of the same message has.
func (s *state) count(id, request string, tokens int64, at time.Time) int64 {
	if id == "" {
		id, request = request, ""
	}
	if id == "" || tokens <= 0 {
		return 0
	}
	known := s.Calls[id]
	if request != "" && known.Request != "" && known.Request != request {
		id += "/" + request
		known = s.Calls[id]
	}
	if known.Request == "" {
		known.Request = request
	}
	grown := tokens - known.Tokens
	if grown <= 0 {
		return 0
	}
	known.Tokens, known.At = tokens, at
	s.Calls[id] = known
	return grown
}

// forget lets go of what is too old to come again.
func (s *state) forget(now time.Time) {
	for id, call := range s.Calls {
		if now.Sub(call.At) > remembered {
			delete(s.Calls, id)
		}
	}
	for id, run := range s.Runs {
		if now.Sub(run.At) > remembered {
			delete(s.Runs, id)
		}
	}
	for path := range s.Files {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			delete(s.Files, path)
		}
	}
}
