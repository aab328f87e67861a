package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

// writePair writes a certificate for 127.0.0.1 with a serial number of its own, and its key.
func writePair(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600))
	stamp := time.Now().Add(time.Duration(serial) * time.Second)
	require.NoError(t, os.Chtimes(certFile, stamp, stamp))
}

func TestTheGatewayServesTLSFromFilesAndReadsThemAnewWhenTheyChange(t *testing.T) {
	t.Parallel()
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writePair(t, certFile, keyFile, 1)
	log := new(serial)
	gateway, err := New(t.Context(), Options{
		Listen: "127.0.0.1:0", DatabaseURL: localtest.Database(t).Gateway, TLSCertificate: certFile, TLSKey: keyFile, Log: zerolog.New(log),
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- gateway.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-ended) })
	served := func() int64 {
		// Which certificate it is, the test reads itself.
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec
		response, err := client.Get(gateway.URL() + "/healthz")
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
		return response.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	require.Contains(t, gateway.URL(), "https://")
	require.EqualValues(t, 1, served())
	writePair(t, certFile, keyFile, 2)
	require.EqualValues(t, 2, served())
	require.NoError(t, os.WriteFile(certFile, []byte("half a file"), 0o600))
	require.EqualValues(t, 2, served(), "a broken file leaves the last certificate in service")
	require.Contains(t, log.String(), "the last certificate stays in service")
	require.NoError(t, os.Remove(keyFile))
	require.EqualValues(t, 2, served())
	writePair(t, certFile, keyFile, 3)
	require.EqualValues(t, 3, served())
}

func TestTLSFilesThatCannotBeUsedStopTheStart(t *testing.T) {
	t.Parallel()
	database := localtest.Database(t).Gateway
	for want, options := range map[string]Options{
		"give both files or none":     {TLSCertificate: "cert.pem"},
		"looking for the TLS files: ": {TLSCertificate: "there-is-no.pem", TLSKey: "there-is-no.pem"},
	} {
		options.Listen, options.DatabaseURL = "127.0.0.1:0", database
		_, err := New(t.Context(), options)
		require.ErrorContains(t, err, want)
	}
}

func TestListeningBeyondLoopbackWithoutTLSIsWarnedAbout(t *testing.T) {
	t.Parallel()
	require.True(t, exposed(&net.TCPAddr{IP: net.IPv4zero}, false))
	require.True(t, exposed(&net.TCPAddr{IP: net.IPv6unspecified}, false))
	require.True(t, exposed(&net.TCPAddr{IP: net.IPv4(192, 168, 1, 2)}, false))
	require.False(t, exposed(&net.TCPAddr{IP: net.IPv4zero}, true))
	require.False(t, exposed(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, false))
	require.False(t, exposed(&net.TCPAddr{IP: net.IPv6loopback}, false))
}
