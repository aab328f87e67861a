package gateway

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

// idleReaders is how many follow the log at once, and idleMiB what they may cost a gateway together.
const (
	idleReaders = 1000
	idleMiB     = 40
)

// BenchmarkIdleReaders counts what a thousand idle readers add to the resident memory of a gateway in a process of its own.
func BenchmarkIdleReaders(b *testing.B) {
	database := localtest.Database(b).Gateway
	program := filepath.Join(b.TempDir(), "mosaic-matrix")
	build := exec.Command("go", "build", "-tags", "goolm", "-o", program, "../..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	said, err := build.CombinedOutput()
	require.NoError(b, err, string(said))
	address := localtest.FreeAddress(b)
	gateway := exec.CommandContext(context.Background(), program, "gateway", "--listen", address, "--rate", "0", "--log-level", "warn")
	gateway.Env = append(os.Environ(), "MOSAIC_GATEWAY_DATABASE="+database, "MOSAIC_TENANT="+tenant)
	require.NoError(b, gateway.Start())
	b.Cleanup(func() { _ = gateway.Process.Kill(); _ = gateway.Wait() })
	require.Eventually(b, func() bool {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			_ = connection.Close()
		}
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	require.NoError(b, EnsureIdentity(b.Context(), database, tenant, "vera", "human", []string{"viewer"}))
	token, err := IssueToken(b.Context(), database, tenant, "vera", []string{"read"}, time.Hour)
	require.NoError(b, err)

	for b.Loop() {
		readIdly(b, address, token) // what the first connections bring into being is not the readers'
		before := resident(b, gateway.Process.Pid)
		var readers []net.Conn
		for range idleReaders {
			readers = append(readers, readIdly(b, address, token))
		}
		time.Sleep(20 * time.Second) // past a heartbeat each
		after := resident(b, gateway.Process.Pid)
		for _, reader := range readers {
			_ = reader.Close()
		}
		b.ReportMetric(float64(after-before)/(1<<20), "MiB-for-1000")
		b.ReportMetric(float64(after-before)/idleReaders/1024, "KiB/reader")
		require.Less(b, after-before, int64(idleMiB<<20), "%d idle readers", idleReaders)
	}
}

// readIdly opens the log and waits for its first line.
func readIdly(t testing.TB, address, token string) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	_, err = fmt.Fprintf(connection, "GET /api/fleet/events HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", address, token)
	require.NoError(t, err)
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		if lines.Text() == ": following" {
			return connection
		}
	}
	require.Fail(t, "the log was not opened", "%v", lines.Err())
	return nil
}

// resident is the memory of a process that is in use, in bytes.
func resident(t testing.TB, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if size, found := strings.CutPrefix(line, "VmRSS:"); found {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(size), " kB"), 10, 64)
			require.NoError(t, err)
			return kilobytes << 10
		}
	}
	require.Fail(t, "the process has no resident memory")
	return 0
}
