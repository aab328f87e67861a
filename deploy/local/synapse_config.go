package local

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// writeSynapseConfig writes homeserver.yaml and log.yaml anew on every start, and the signing key once.
func writeSynapseConfig(dir string, options HomeserverOptions, secret string) error {
	key := filepath.Join(dir, "signing.key")
	if _, err := os.Stat(key); errors.Is(err, fs.ErrNotExist) {
		seed := make([]byte, 32)
		_, _ = rand.Read(seed)
		line := "ed25519 a_" + randomKeyName() + " " + base64.RawStdEncoding.EncodeToString(seed) + "\n"
		if err := writePrivate(key, []byte(line)); err != nil {
			return fmt.Errorf("making the homeserver's signing key: %w", err)
		}
	}
	for name, content := range map[string]section{"homeserver.yaml": synapseConfig(dir, options, secret), "log.yaml": synapseLog()} {
		raw, err := yaml.Marshal(content)
		if err == nil {
			err = writePrivate(filepath.Join(dir, name), raw)
		}
		if err != nil {
			return fmt.Errorf("writing the homeserver's configuration: %w", err)
		}
	}
	return nil
}

func synapseConfig(dir string, options HomeserverOptions, secret string) section {
	resources := []section{{"names": []string{"client"}, "compress": false}}
	listeners := []section{{
		"type": "http", "port": options.Port, "bind_addresses": []string{options.Host}, "tls": false, "x_forwarded": true, "resources": resources,
	}}
	config := section{
		"server_name": options.ServerName, "report_stats": false, "pid_file": filepath.Join(dir, "synapse.pid"),
		"database":         section{"name": "sqlite3", "args": section{"database": filepath.Join(dir, "homeserver.db")}},
		"media_store_path": filepath.Join(dir, "media"), "max_upload_size": "10M",
		"signing_key_path": filepath.Join(dir, "signing.key"), "log_config": filepath.Join(dir, "log.yaml"),
		"registration_shared_secret": secret, "enable_registration": false, "allow_guest_access": false,
		"trusted_key_servers": []section{}, "federation_domain_whitelist": []string{}, "allow_public_rooms_over_federation": false,
		"presence": section{"enabled": false},
		// Who may remove a message may read what it was, so that a vote counts that a moderator removed before the bot read it.
		"experimental_features": section{"msc2815_enabled": true},
	}
	if options.TLSCertificate != "" {
		host := options.TLSHost
		if host == "" {
			host = "0.0.0.0"
		}
		config["tls_certificate_path"], config["tls_private_key_path"] = options.TLSCertificate, options.TLSKey
		listeners = append(listeners, section{"type": "http", "port": options.TLSPort, "bind_addresses": []string{host}, "tls": true, "resources": resources})
	}
	config["listeners"] = listeners
	if options.Volatile {
		config["bcrypt_rounds"] = 4
		config["refreshable_access_token_lifetime"] = "20s" // of those who ask for a refresh token; the other tokens do not end
	}
	if len(options.Registrations) > 0 {
		config["app_service_config_files"] = options.Registrations
		// What end-to-end encryption of an application service takes; devices without a login are in the registration file.
		config["experimental_features"] = section{"msc2409_to_device_messages_enabled": true, "msc3202_transaction_extensions": true}
	}
	switch {
	case !options.RateLimits:
		liftSynapseLimits(config)
	case options.Volatile: // many people of a test log in from one address
		config["rc_login"] = lifted("address", "account", "failed_attempts")
	}
	return config
}

// liftSynapseLimits: stock limits let a user say one thing in five seconds and log in once in five minutes.
func liftSynapseLimits(config section) {
	for _, name := range []string{"rc_message", "rc_registration", "rc_admin_redaction", "rc_3pid_validation", "rc_presence", "rc_delayed_event_mgmt", "rc_room_creation", "rc_key_requests"} {
		config[name] = noLimit()
	}
	config["rc_login"] = lifted("address", "account", "failed_attempts")
	config["rc_joins"] = lifted("local", "remote")
	config["rc_joins_per_room"] = noLimit()
	config["rc_invites"] = lifted("per_room", "per_user", "per_issuer")
	config["rc_presence"] = lifted("per_user")
}

func noLimit() section { return section{"per_second": 10000, "burst_count": 10000} }

func lifted(names ...string) section {
	out := section{}
	for _, name := range names {
		out[name] = noLimit()
	}
	return out
}

func synapseLog() section {
	return section{
		"version":    1,
		"formatters": section{"line": section{"format": "%(asctime)s %(levelname)s %(name)s - %(message)s"}},
		"handlers":   section{"console": section{"class": "logging.StreamHandler", "formatter": "line"}},
		"root":       section{"level": "WARNING", "handlers": []string{"console"}}, "disable_existing_loggers": false,
	}
}
