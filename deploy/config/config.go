// Package config lets every setting of the binary come from a flag, an environment variable or one YAML file, in that
// order. Secrets come from the environment only; a file that holds one is refused.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// DefaultFile is read when it is there and no other file is named.
const DefaultFile = "mosaic-matrix.yaml"

// File is a settings file, read and not yet matched to flags. Keys are dotted, such as bot.user_id.
type File struct {
	path   string
	values map[string]string
}

// Read reads the settings file at path; with an empty path it reads DefaultFile if there is one.
func Read(path string) (*File, error) {
	named := path != ""
	if !named {
		path = DefaultFile
	}
	file := &File{path: path, values: map[string]string{}}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return file, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the settings file: %w", err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(raw, &tree); err != nil {
		return nil, fmt.Errorf("%s is not YAML: %w", path, err)
	}
	flatten("", tree, file.values)
	return file, nil
}

func flatten(prefix string, tree map[string]any, into map[string]string) {
	for key, value := range tree {
		switch value := value.(type) {
		case map[string]any:
			flatten(prefix+key+".", value, into)
		case []any:
			words := make([]string, len(value))
			for i, word := range value {
				words[i] = fmt.Sprint(word)
			}
			into[prefix+key] = strings.Join(words, ",")
		case nil:
		default:
			into[prefix+key] = fmt.Sprint(value)
		}
	}
}

// Check refuses a key no flag of the whole program knows, and a secret written into the file.
func (f *File) Check(program *kong.Node) error {
	settings := Settings(program)
	for key := range f.values {
		if slices.ContainsFunc(settings, func(s Setting) bool { return s.Key == key }) {
			continue
		}
		if variable := secretOf(key, settings); variable != "" {
			return fmt.Errorf("%s: %q is a secret and does not belong in a file; set %s in the environment instead", f.path, key, variable)
		}
		return fmt.Errorf("%s: there is no setting %q; `mosaic-matrix settings` lists them all", f.path, key)
	}
	return nil
}

// secretOf is the variable of the secret that someone meant by a key: gateway.token is MOSAIC_GATEWAY_TOKEN.
func secretOf(key string, settings []Setting) string {
	for _, name := range []string{strings.ReplaceAll(key, ".", "_"), last(key)} {
		for _, setting := range settings {
			if setting.Secret && strings.HasSuffix("_"+strings.ToLower(setting.Env), "_"+name) {
				return setting.Env
			}
		}
	}
	return ""
}

func last(key string) string { return key[strings.LastIndex(key, ".")+1:] }

// Validate implements kong.Resolver; Check does the work once the whole program is known.
func (f *File) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver: the file speaks only where the environment is silent.
func (f *File) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if os.Getenv(name) != "" {
			return nil, nil
		}
	}
	if value, ok := f.values[flag.Tag.Get("config")]; ok {
		return value, nil
	}
	return nil, nil
}
