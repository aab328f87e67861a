package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// StateLock is held by the one process that uses a state folder. The kernel gives it back when that process ends,
// however it ends.
type StateLock struct {
	file *os.File
}

// HeldError says that another process uses the state folder.
type HeldError struct {
	Dir string
	PID int // 0 if it has not said yet
}

func (e *HeldError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is in use by another process; stop that one first, or choose another state folder", e.Dir)
	}
	return fmt.Sprintf("%s is in use by process %d; stop that one first, or choose another state folder", e.Dir, e.PID)
}

// LockState takes the lock of a state folder, which it makes if needed (mode 0711: the database server's user must walk
// through it; what is secret in it has its own mode). If another process holds it, the error is a *HeldError that names it.
func LockState(dir string) (*StateLock, error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("making the state folder: %w", err)
	}
	file, err := openLocked(filepath.Join(dir, "lock"), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		text, _ := os.ReadFile(filepath.Join(dir, "lock"))
		holder, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return nil, &HeldError{Dir: dir, PID: holder}
	}
	if err != nil {
		return nil, fmt.Errorf("locking the state folder: %w", err)
	}
	if err := errors.Join(file.Truncate(0), writeAt(file, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		return nil, errors.Join(fmt.Errorf("signing the lock: %w", err), file.Close())
	}
	return &StateLock{file: file}, nil
}

// Release gives the lock back.
func (l *StateLock) Release() {
	if l != nil {
		_ = l.file.Truncate(0)
		_ = l.file.Close()
	}
}

// openLocked opens a file and takes an advisory lock on it as how says.
func openLocked(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func writeAt(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}
