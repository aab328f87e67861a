package local

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// section is a part of a YAML configuration.
type section = map[string]any

// writeDendriteConfig writes dir/dendrite.yaml anew on every start, and the signing key once. Paths in it are relative to
// dir, the server's working folder.
func writeDendriteConfig(dir string, options HomeserverOptions, secret string) error {
	if err := ensureSigningKey(filepath.Join(dir, "matrix_key.pem")); err != nil {
		return err
	}
	raw, err := yaml.Marshal(dendriteConfig(options, secret))
	if err != nil {
		return fmt.Errorf("writing the homeserver's configuration: %w", err)
	}
	if err := writePrivate(filepath.Join(dir, "dendrite.yaml"), raw); err != nil {
		return fmt.Errorf("writing the homeserver's configuration: %w", err)
	}
	return nil
}

func dendriteConfig(options HomeserverOptions, secret string) section {
	database := func(name string) section { return section{"connection_string": "file:" + name + ".db"} }
	exempt := options.Exempt
	if exempt == nil {
		exempt = []string{}
	}
	passwordCost := 10
	if options.Volatile {
		passwordCost = 4
	}
	return section{
		"version": 2,
		"global": section{
			"server_name": options.ServerName, "private_key": "matrix_key.pem", "disable_federation": true,
			"trusted_third_party_id_servers": []string{},
			"cache":                          section{"max_size_estimated": "64mb", "max_age": "1h"},
			"jetstream":                      section{"storage_path": "./jetstream"},
			"report_stats":                   section{"enabled": false},
		},
		"client_api": section{
			"registration_disabled": true, "guests_disabled": true, "registration_shared_secret": secret,
			"rate_limiting": section{"enabled": options.RateLimits, "threshold": 20, "cooloff_ms": 500, "exempt_user_ids": exempt},
		},
		"federation_api": section{"database": database("federationapi"), "key_perspectives": []section{}},
		"key_server":     section{"database": database("keyserver")},
		"media_api":      section{"database": database("mediaapi"), "base_path": "./media", "max_file_size_bytes": 10 << 20},
		"mscs":           section{"database": database("mscs")},
		"relay_api":      section{"database": database("relayapi")},
		"room_server":    section{"database": database("roomserver")},
		"sync_api":       section{"database": database("syncapi"), "search": section{"enabled": false}},
		"user_api":       section{"account_database": database("userapi_accounts"), "bcrypt_cost": passwordCost},
		"logging":        []section{{"type": "std", "level": "warn"}},
	}
}

// ensureSigningKey makes the ed25519 key with which the server signs events, in the PEM form Dendrite reads.
func ensureSigningKey(path string) error {
	_, err := os.Stat(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	seed := make([]byte, 32)
	_, _ = rand.Read(seed)
	block := &pem.Block{
		Type: "MATRIX PRIVATE KEY", Headers: map[string]string{"Key-ID": "ed25519:" + randomKeyName()}, Bytes: seed,
	}
	if err := writePrivate(path, pem.EncodeToMemory(block)); err != nil {
		return fmt.Errorf("making the homeserver's signing key: %w", err)
	}
	return nil
}

func randomKeyName() string {
	raw := make([]byte, 3)
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}
