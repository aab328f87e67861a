package system

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os/exec"
	"strings"
)

// token returns the token of an identity: the kept one, or one that `mosaic-matrix token` issues now.
func (s *System) token(ctx context.Context, identity string, arguments ...string) (string, error) {
	name := "token_" + identity
	if token, kept := s.options.Secrets.Get(name); kept {
		return token, nil
	}
	var out, problems bytes.Buffer
	command := exec.CommandContext(ctx, s.options.Binary, append([]string{"token", "--identity", identity}, arguments...)...)
	command.Env = append(s.environment(), "MOSAIC_GATEWAY_DATABASE="+s.options.GatewayDatabase)
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("issuing a token for %s: %w: %s", identity, err, strings.TrimSpace(problems.String()))
	}
	token := strings.TrimSpace(out.String())
	return token, s.options.Secrets.Put(name, token)
}

// Token returns the token of a person the register knows, for use on a TTY.
func (s *System) Token(ctx context.Context, identity string) (string, error) {
	return s.token(ctx, identity, "--scopes", "operate")
}

func hash(person Person) []byte {
	sum := sha256.Sum256(fmt.Append(nil, person))
	return sum[:8]
}

func zoneName(zone string) string {
	if zone == "" {
		return "UTC"
	}
	return zone
}

// withoutOurs drops what a shell may have set for another fleet.
func withoutOurs(environment []string) []string {
	var kept []string
	for _, entry := range environment {
		if !strings.HasPrefix(entry, "MOSAIC_") && !strings.HasPrefix(entry, "MATRIX_") {
			kept = append(kept, entry)
		}
	}
	return kept
}
