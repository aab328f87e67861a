package local

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// RememberedPort returns the port kept in file if it is still free on host, else a free one, which it keeps there.
func RememberedPort(file, host string) (int, error) {
	if text, err := os.ReadFile(file); err == nil {
		if port, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && isFree(host, port) {
			return port, nil
		}
	}
	port, err := FreePort(host)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return 0, fmt.Errorf("keeping the port: %w", err)
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(port)+"\n"), 0o600); err != nil {
		return 0, fmt.Errorf("keeping the port: %w", err)
	}
	return port, nil
}

// Ports that are handed out lie below those from which systems take the near ends of connections (from 32768 on Linux), so that whoever ends
// and listens again at its port does not find a connection of somebody else there.
const (
	firstPort = 10000
	lastPort  = 32767
)

// FreePort is a TCP port nobody listened on a moment ago.
func FreePort(host string) (int, error) {
	for range 100 {
		if port := firstPort + rand.IntN(lastPort-firstPort+1); isFree(host, port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("looking for a free port on %s: 100 of %d to %d are taken, or %s is no address of this machine", host, firstPort, lastPort, host)
}

func isFree(host string, port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
