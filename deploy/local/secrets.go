package local

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"go.yaml.in/yaml/v3"
)

// Secrets are generated passwords and tokens, kept in one YAML file that only its owner may read (mode 0600) and reused
// on every start.
type Secrets struct {
	path   string
	lock   sync.Mutex
	values map[string]string
}

// OpenSecrets reads the secrets file at path; a file that is not there yet is an empty one.
func OpenSecrets(path string) (*Secrets, error) {
	s := &Secrets{path: path, values: map[string]string{}}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the secrets: %w", err)
	}
	if err := yaml.Unmarshal(raw, &s.values); err != nil {
		return nil, fmt.Errorf("the secrets file %s is damaged; restore it, or remove the state folder and start anew: %w", path, err)
	}
	if s.values == nil {
		s.values = map[string]string{}
	}
	return s, nil
}

// Path is where the secrets lie.
func (s *Secrets) Path() string { return s.path }

// Get returns the secret called name and whether there is one.
func (s *Secrets) Get(name string) (string, bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	value, ok := s.values[name]
	return value, ok
}

// Generated returns the secret called name; the first time it makes one of 192 random bits, safe in URLs and YAML.
func (s *Secrets) Generated(name string) (string, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if value, ok := s.values[name]; ok {
		return value, nil
	}
	value := randomSecret()
	return value, s.put(name, value)
}

// Put keeps value under name.
func (s *Secrets) Put(name, value string) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.put(name, value)
}

func (s *Secrets) put(name, value string) error {
	s.values[name] = value
	raw, err := yaml.Marshal(s.values)
	if err != nil {
		return fmt.Errorf("writing the secrets: %w", err)
	}
	if err := writePrivate(s.path, raw); err != nil {
		return fmt.Errorf("writing the secrets: %w", err)
	}
	return nil
}

func randomSecret() string {
	raw := make([]byte, 24)
	_, _ = rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// writePrivate replaces a file as a whole, so that a crash leaves the old one or the new one; mode 0600.
func writePrivate(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	if _, err := temporary.Write(content); err != nil {
		return errors.Join(err, temporary.Close())
	}
	if err := errors.Join(temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
