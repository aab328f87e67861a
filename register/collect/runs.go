package collect

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// run is one attempt at a dispatch that a worker carries out on this machine; the zero run is none.
type run struct {
	dispatch string
	attempt  int
	claim    string
}

// note is what `work` writes into a run's folder as run.json.
type note struct {
	Dispatch  string    `json:"dispatch"`
	Attempt   int       `json:"attempt"`
	Claim     string    `json:"run"`
	Provider  string    `json:"provider"`
	Directory string    `json:"directory"`
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended,omitzero"`
}

// runs are the runs of this machine, the last one first.
type runs struct {
	notes    []folder
	sessions string // where it is noted which session belongs to which run
}

type folder struct {
	path string
	note
}

// grace is how long after a run's end its tool may still write.
const grace = 10 * time.Second

// knownRuns reads the notes in the folders of the runs.
func (c *Collector) knownRuns() runs {
	known := runs{sessions: sessionsOf(c.State)}
	if c.Runs == "" {
		return known
	}
	entries, _ := os.ReadDir(c.Runs) // without a folder nothing has run here yet
	for _, entry := range entries {
		path := filepath.Join(resolved(c.Runs), entry.Name())
		var read note
		text, err := os.ReadFile(filepath.Join(path, "run.json"))
		if err != nil || json.Unmarshal(text, &read) != nil || read.Claim == "" || read.Provider != c.Provider {
			continue
		}
		known.notes = append(known.notes, folder{path, read})
	}
	slices.SortFunc(known.notes, func(a, b folder) int { return b.Began.Compare(a.Began) })
	return known
}

// of is the run that explains what a session used at an instant: the one the session was noted for, the one in whose folder it
// works, or the last one that was begun in its directory and went on.
func (r runs) of(session *session, at time.Time) note {
	if noted, found := r.noted(session.ID); found {
		return noted
	}
	if session.Directory == "" {
		return note{}
	}
	directory := resolved(session.Directory)
	for _, known := range r.notes {
		if inside(directory, known.path) {
			return known.note
		}
	}
	for _, known := range r.notes {
		goesOn := known.Ended.IsZero() || !at.After(known.Ended.Add(grace))
		if directory == known.Directory && !at.Before(known.Began) && goesOn {
			return known.note
		}
	}
	return note{}
}

func (n note) run() run { return run{n.Dispatch, n.Attempt, n.Claim} }

// resolved is a directory without symbolic links, as far as it exists.
func resolved(directory string) string {
	if real, err := filepath.EvalSymlinks(directory); err == nil {
		return real
	}
	return directory
}

func inside(path, folder string) bool {
	relative, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(relative)
}

// sessionsOf is the folder beside the state in which a session's run is noted.
func sessionsOf(state string) string { return state + ".sessions" }

func (r runs) noted(session string) (note, bool) {
	if !fit(session) {
		return note{}, false
	}
	var read note
	text, err := os.ReadFile(filepath.Join(r.sessions, session+".json"))
	if err != nil || json.Unmarshal(text, &read) != nil || read.Claim == "" {
		return note{}, false
	}
	return read, true
}

// noteSession remembers which run a session belongs to, or that it belongs to none any more.
func noteSession(sessions, session string, of note) error {
	if !fit(session) {
		return nil
	}
	path := filepath.Join(sessions, session+".json")
	var before note
	if known, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(known, &before) // what cannot be read is replaced
	}
	if before.Claim == of.Claim {
		return nil
	}
	if err := os.MkdirAll(sessions, 0o700); err != nil {
		return err
	}
	return replace(path, of)
}

// fit says whether a session's ID can name a file.
func fit(id string) bool {
	return id != "" && len(id) < 100 && id == filepath.Base(id) && filepath.IsLocal(id)
}
