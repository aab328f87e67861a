package local_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
)

// sharedBinaries lets tests use the homeserver the checkout has built already.
func sharedBinaries(t *testing.T) string {
	t.Helper()
	module, err := local.FindUpwards(filepath.Join("deploy", "homeserver", "go.mod"))
	require.NoError(t, err)
	return filepath.Join(filepath.Dir(module), "..", "..", local.StateFolder, "bin")
}

func startDendrite(t *testing.T, dir string, options local.HomeserverOptions) *local.Dendrite {
	t.Helper()
	options.Binaries, options.Volatile = sharedBinaries(t), true
	homeserver, err := local.StartDendrite(t.Context(), dir, options)
	require.NoError(t, err)
	t.Cleanup(homeserver.Stop)
	return homeserver
}

func TestARestartedHomeserverKeepsItsUsersAndItsAddress(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "homeserver")
	user := local.User{Name: "alice", Password: "correct horse", DisplayName: "Alice"}
	started := time.Now()
	first := startDendrite(t, dir, local.HomeserverOptions{})
	t.Logf("cold start: %s", time.Since(started))
	made, err := local.RegisterUser(t.Context(), first.URL(), first.SharedSecret(), user)
	require.NoError(t, err)
	require.Equal(t, "@alice:localhost", made)
	first.Process().Kill9()

	started = time.Now()
	second := startDendrite(t, dir, local.HomeserverOptions{})
	t.Logf("warm start: %s", time.Since(started))
	require.Equal(t, first.URL(), second.URL())
	again, err := local.RegisterUser(t.Context(), second.URL(), second.SharedSecret(), user)
	require.NoError(t, err, "registering again is no error if the password is right")
	require.Equal(t, made, again)

	user.Password = "another password"
	_, err = local.RegisterUser(t.Context(), second.URL(), second.SharedSecret(), user)
	require.ErrorContains(t, err, "registered already, but with another password")
}

func TestNobodyRegistersWithoutTheSecret(t *testing.T) {
	t.Parallel()
	homeserver := startDendrite(t, filepath.Join(t.TempDir(), "homeserver"), local.HomeserverOptions{})
	_, err := local.RegisterUser(t.Context(), homeserver.URL(), "guessed", local.User{Name: "eve", Password: "correct horse"})
	require.Error(t, err)
	response, err := http.Post(homeserver.URL()+"/_matrix/client/v3/register", "application/json", http.NoBody)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.NotEqual(t, http.StatusOK, response.StatusCode)
}

func TestOnlyHalfOfAnHTTPSPairIsRefused(t *testing.T) {
	t.Parallel()
	_, err := local.StartDendrite(t.Context(), t.TempDir(), local.HomeserverOptions{TLSCertificate: "cert.pem"})
	require.ErrorContains(t, err, "give both or neither")
}

func TestACertificateMakesTheHomeserverSpeakHTTPS(t *testing.T) {
	t.Parallel()
	certificate, key, pool := selfSigned(t)
	port, err := local.FreePort("127.0.0.1")
	require.NoError(t, err)
	homeserver := startDendrite(t, filepath.Join(t.TempDir(), "homeserver"), local.HomeserverOptions{
		TLSCertificate: certificate, TLSKey: key, TLSHost: "127.0.0.1", TLSPort: port,
	})
	require.Equal(t, port, homeserver.HTTPSPort())
	trusting := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	require.Eventually(t, func() bool {
		response, err := trusting.Get(fmt.Sprintf("https://127.0.0.1:%d/_matrix/client/versions", port))
		return err == nil && response.StatusCode == http.StatusOK && response.Body.Close() == nil
	}, time.Minute, 50*time.Millisecond)
	require.Contains(t, local.PhoneAdvice(homeserver), fmt.Sprintf("https on port %d", port))
}

// Clients go away in the middle of requests all the time; with an older SQLite library that ended in a panic.
func TestCancelledRequestsDoNotUpsetTheHomeserver(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "homeserver")
	homeserver := startDendrite(t, dir, local.HomeserverOptions{})
	user := local.User{Name: "alice", Password: "correct horse"}
	_, err := local.RegisterUser(t.Context(), homeserver.URL(), homeserver.SharedSecret(), user)
	require.NoError(t, err)
	alice, err := client.Connect(t.Context(), client.Options{Homeserver: homeserver.URL(), Username: user.Name, Password: user.Password})
	require.NoError(t, err)
	defer alice.Close()
	room, err := alice.CreateRoom(t.Context(), client.Room{Name: "Hasty", Plain: true})
	require.NoError(t, err)

	var hasty sync.WaitGroup
	for worker := range 8 {
		hasty.Go(func() {
			for turn := range 60 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+(worker+turn)%12)*time.Millisecond)
				_, _ = alice.Matrix.CreateFilter(ctx, &mautrix.Filter{Room: &mautrix.RoomFilter{Timeline: &mautrix.FilterPart{Limit: worker*100 + turn}}})
				_, _ = alice.Matrix.SendMessageEvent(ctx, room, event.EventMessage, map[string]any{"msgtype": "m.text", "body": "never mind"})
				cancel()
			}
		})
	}
	hasty.Wait()

	said, err := alice.Say(t.Context(), room, "still there?")
	require.NoError(t, err)
	_, err = alice.WaitFor(t.Context(), client.Is(said))
	require.NoError(t, err)
	log := read(t, filepath.Join(dir, "dendrite.log"))
	require.NotContains(t, log, "SQLITE_BUSY")
	require.NotContains(t, log, "within a transaction")
	require.NotContains(t, log, "panic")
}

func selfSigned(t *testing.T) (certificateFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(raw)
	require.NoError(t, err)
	rawKey, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certificateFile, keyFile, pool = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), x509.NewCertPool()
	pool.AddCert(parsed)
	require.NoError(t, os.WriteFile(certificateFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawKey}), 0o600))
	return certificateFile, keyFile, pool
}
