package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// certificate is the key pair of two files, read anew when one of them changes. A pair that cannot be read leaves the last good
// one in service.
type certificate struct {
	certFile, keyFile string
	log               zerolog.Logger

	mutex sync.Mutex
	state [2]fileState
	pair  *tls.Certificate
}

// fileState is what tells one content of a file from the next.
type fileState struct {
	changed time.Time
	size    int64
}

// newCertificate reads the pair; it is nil where there are no files.
func newCertificate(certFile, keyFile string, log zerolog.Logger) (*certificate, error) {
	if certFile == "" && keyFile == "" {
		return nil, nil
	}
	if certFile == "" || keyFile == "" {
		return nil, errors.New("TLS needs a certificate and its key; give both files or none")
	}
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	state, err := c.look()
	if err != nil {
		return nil, err
	}
	return c, c.read(state)
}

func (c *certificate) look() ([2]fileState, error) {
	var state [2]fileState
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return state, fmt.Errorf("looking for the TLS files: %w", err)
		}
		state[i] = fileState{info.ModTime(), info.Size()}
	}
	return state, nil
}

func (c *certificate) read(state [2]fileState) error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("reading the TLS certificate and its key: %w", err)
	}
	c.pair, c.state = &pair, state
	return nil
}

// current looks at the files at every handshake, which costs less than the handshake's own arithmetic.
func (c *certificate) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	state, err := c.look()
	if err == nil && state != c.state {
		if err = c.read(state); err == nil {
			c.log.Info().Str("file", c.certFile).Msg("Read the TLS certificate anew")
		}
	}
	if err != nil {
		c.log.Warn().Err(err).Msg("The TLS files changed and cannot be read; the last certificate stays in service")
	}
	return c.pair, nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.current}
}

// exposed says whether whoever reaches the address could read tokens on their way.
func exposed(address net.Addr, secure bool) bool {
	tcp, ok := address.(*net.TCPAddr)
	return !secure && ok && !tcp.IP.IsLoopback()
}
