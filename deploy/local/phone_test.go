package local_test

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
)

func TestPhoneAdviceNamesTheAddressAndTheNeedForACertificate(t *testing.T) {
	t.Parallel()
	homeserver := startDendrite(t, filepath.Join(t.TempDir(), "homeserver"), local.HomeserverOptions{})
	advice := local.PhoneAdvice(homeserver)
	require.Contains(t, advice, "https only")
	require.Contains(t, advice, "tailscale serve")
	require.Contains(t, advice, "SERVER=synapse", "Element X does not work with this server")
	for _, address := range local.AddressesForPhone() {
		require.Contains(t, advice, address)
		ip := net.ParseIP(address)
		require.NotNil(t, ip)
		require.False(t, ip.IsLoopback())
	}
}
