package collect

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/rs/zerolog"
)

// logName is what session logs are called, also once something has rotated them.
var logName = regexp.MustCompile(`\.jsonl(\.[0-9]+)?$`)

// The longest line that is read, and how much of a file's beginning tells it from another one under its name.
const (
	longestLine = 32 << 20
	headSize    = 512
)

// found is what one look at the logs found.
type found struct {
	uses   map[useKey]*use
	limits map[string]limit // by window, the newest of each
	any    bool             // whether the logs have grown at all
}

// useKey is what use is added up by.
type useKey struct {
	run   run
	model string
}

type use struct {
	tokens int64
	until  time.Time
}

// read looks at every log and takes in the whole lines that came since.
func (c *Collector) read(ctx context.Context) found {
	found := found{uses: make(map[useKey]*use), limits: make(map[string]limit)}
	runs := c.knownRuns()
	paths, err := c.logs()
	if err != nil {
		c.complain(ctx, c.Directory, err)
	}
	for _, path := range paths {
		err := c.readFile(path, func(session *session, entry entry) { c.take(&found, runs, session, entry) }, &found.any)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was moved since the directory was read, and is found under its new name
		}
		c.complain(ctx, path, err)
	}
	for _, limit := range c.leftBehind() {
		found.heard(limit)
	}
	return found
}

// heard keeps the newest state of each window.
func (f *found) heard(limit limit) {
	if last, seen := f.limits[limit.window]; !seen || limit.takenAt.After(last.takenAt) {
		f.limits[limit.window] = limit
	}
}

// complain says once what is wrong with a file; it is looked at again all the same.
func (c *Collector) complain(ctx context.Context, path string, err error) {
	switch {
	case err == nil:
		delete(c.unread, path)
	case c.unread[path] != err.Error():
		c.unread[path] = err.Error()
		zerolog.Ctx(ctx).Warn().Err(err).Str("path", path).Msg("a session log cannot be read; it is tried again")
	}
}

// logs are the session logs under the directory, in the order of their names: what a session was resumed from comes before it.
func (c *Collector) logs() ([]string, error) {
	var paths []string
	var failed error
	err := filepath.WalkDir(c.Directory, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && path == c.Directory:
			return err
		case err != nil:
			failed = err
		case entry.Type().IsRegular() && logName.MatchString(entry.Name()):
			paths = append(paths, path)
		}
		return nil
	})
	slices.Sort(paths)
	return paths, errors.Join(err, failed)
}

// readFile takes in the whole lines of a file behind where it was left. One that is shorter than that, or begins otherwise, is
// another file and read from its start: what was counted before is known by its ID and does not count again.
func (c *Collector) readFile(path string, take func(*session, entry), grew *bool) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	at := c.state.Files[path]
	if at == nil {
		at = &position{}
	}
	if info.Size() == at.Offset && info.ModTime().Equal(at.Modified) {
		return nil
	}
	head, err := headOf(file, min(at.Offset, headSize))
	if err != nil {
		return err
	}
	if info.Size() < at.Offset || head != at.Head {
		at = &position{}
	}
	from := at.Offset
	if err := c.readLines(file, at, take); err != nil {
		return err
	}
	at.Modified = info.ModTime()
	if at.Offset != from {
		*grew = true
	}
	if at.Head, err = headOf(file, min(at.Offset, headSize)); err != nil {
		return err
	}
	c.state.Files[path] = at
	return nil
}

func headOf(file *os.File, size int64) (string, error) {
	if size == 0 {
		return "", nil
	}
	head := make([]byte, size)
	if n, err := file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	} else {
		head = head[:n]
	}
	sum := sha256.Sum256(head)
	return hex.EncodeToString(sum[:8]), nil
}

// readLines reads whole lines; the last one may still be written at.
func (c *Collector) readLines(file *os.File, at *position, take func(*session, entry)) error {
	if _, err := file.Seek(at.Offset, io.SeekStart); err != nil {
		return err
	}
	reader := bufio.NewReaderSize(file, 64<<10)
	for {
		line, length, err := nextLine(reader)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at.Offset += length
		if !slices.ContainsFunc(c.Tool.marks, func(mark []byte) bool { return bytes.Contains(line, mark) }) {
			continue
		}
		if entry, speaks := c.Tool.read(&at.Session, line); speaks {
			take(&at.Session, entry)
		}
	}
}

// nextLine is the next whole line and how long it is; of one beyond all measure only the length.
func nextLine(reader *bufio.Reader) ([]byte, int64, error) {
	var line []byte
	var length int64
	for {
		part, err := reader.ReadSlice('\n')
		length += int64(len(part))
		if length <= longestLine {
			line = append(line, part...)
		} else {
			line = nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, length, err
		}
	}
}

// take counts what an entry says: use once per call, and the newest state of each window.
func (c *Collector) take(found *found, runs runs, session *session, entry entry) {
	for _, limit := range entry.limits {
		found.heard(limit)
	}
	tokens := entry.fresh
	if c.CacheReads {
		tokens += entry.cached
	}
	if entry.at.Before(c.state.Began) || time.Since(entry.at) > remembered {
		return // counted elsewhere, or a copy of what is no longer known to have been counted
	}
	grown := c.state.count(entry.call, entry.request, tokens, entry.at)
	if grown <= 0 {
		return
	}
	of := runs.of(session, entry.at)
	if of.Claim != "" && of.Began.Before(c.state.Began) {
		return // it is not known whole, so it is left to its own report
	}
	key := useKey{run: of.run(), model: entry.model}
	if found.uses[key] == nil {
		found.uses[key] = &use{}
	}
	found.uses[key].tokens += grown
	if entry.at.After(found.uses[key].until) {
		found.uses[key].until = entry.at
	}
}
