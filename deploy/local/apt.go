package local

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// canInstall says whether packages can be installed without asking anybody: apt-get is there, and we are root or may
// become it without a password.
func canInstall() bool {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return false
	}
	return os.Geteuid() == 0 || exec.Command("sudo", "-n", "true").Run() == nil
}

// aptInstall installs Debian packages. The lists are refreshed once per process.
func aptInstall(ctx context.Context, packages ...string) error {
	if err := refreshed(ctx); err != nil {
		return err
	}
	return asRoot(ctx, nil, append([]string{"apt-get", "install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=180"}, packages...)...)
}

var (
	refreshLock sync.Mutex
	isRefreshed bool
)

func refreshed(ctx context.Context) error {
	refreshLock.Lock()
	defer refreshLock.Unlock()
	if isRefreshed {
		return nil
	}
	if err := asRoot(ctx, nil, "apt-get", "update", "-q"); err != nil {
		return err
	}
	isRefreshed = true
	return nil
}

func asRoot(ctx context.Context, input []byte, words ...string) error {
	words = append([]string{"env", "DEBIAN_FRONTEND=noninteractive"}, words...)
	if os.Geteuid() != 0 {
		words = append([]string{"sudo", "-n"}, words...)
	}
	command := exec.CommandContext(ctx, words[0], words[1:]...)
	command.Stdin = bytes.NewReader(input)
	said, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("`%s`: %w: %s", strings.Join(words, " "), err, lastLine(said))
	}
	return nil
}

func writeAsRoot(ctx context.Context, path string, content []byte) error {
	return asRoot(ctx, content, "sh", "-c", `cat > "$1"`, "sh", path)
}

func lastLine(said []byte) string {
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
