package e2e

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

// upRun is `mosaic-matrix up` or `demo` as a user starts it, without a terminal.
type upRun struct {
	t       *testing.T
	command *exec.Cmd
	said    chan string
	text    strings.Builder
}

func start(t *testing.T, state string, environment []string, arguments ...string) *upRun {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	r := &upRun{t: t, command: exec.Command(path, append(arguments, "--state", state)...), said: make(chan string, 1000)}
	r.command.Env = append(os.Environ(), environment...)
	r.command.Dir = "../.."
	r.command.WaitDelay = time.Second
	out, in := io.Pipe()
	r.command.Stdout, r.command.Stderr = in, in
	require.NoError(t, r.command.Start())
	go func() {
		defer close(r.said)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			r.said <- lines.Text()
		}
	}()
	t.Cleanup(func() { _ = r.command.Process.Kill(); _ = in.Close() })
	return r
}

// says waits for a line that matches and returns what its first group caught.
func (r *upRun) says(pattern string) string {
	r.t.Helper()
	matcher := regexp.MustCompile(pattern)
	limit := time.After(3 * time.Minute)
	for {
		select {
		case line, more := <-r.said:
			require.True(r.t, more, "it ended without saying %q:\n%s", pattern, r.text.String())
			r.text.WriteString(line + "\n")
			if match := matcher.FindStringSubmatch(line); match != nil {
				return match[len(match)-1]
			}
		case <-limit:
			require.FailNow(r.t, "silence", "it did not say %q:\n%s", pattern, r.text.String())
		}
	}
}

// stop interrupts it as Ctrl-C does and returns its exit code.
func (r *upRun) stop() int {
	r.t.Helper()
	require.NoError(r.t, r.command.Process.Signal(os.Interrupt))
	_ = r.command.Wait()
	return r.command.ProcessState.ExitCode()
}

// leftOver lists processes that still name the state folder on their command line.
func leftOver(t *testing.T, state string) []string {
	t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	var left []string
	for _, file := range folders {
		words, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(words), state) {
			left = append(left, strings.ReplaceAll(string(words), "\x00", " "))
		}
	}
	return left
}

func requireNothingLeft(t *testing.T, state string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(leftOver(t, state)) == 0 }, time.Minute, 50*time.Millisecond, "%v", leftOver(t, state))
}

// stateFolder is a state folder with the built homeserver in it, as after a first run.
func stateFolder(t *testing.T) string {
	t.Helper()
	state := t.TempDir()
	built, err := filepath.Abs("../../.mosaic/bin")
	require.NoError(t, err)
	if _, err := os.Stat(built); err == nil {
		require.NoError(t, os.Symlink(built, filepath.Join(state, "bin")))
	}
	return state
}

func TestUpStaysTellsHowToGetInAndKeepsItsStateAcrossARestart(t *testing.T) {
	state := stateFolder(t)
	fleet := start(t, state, nil, "up")
	homeserver := fleet.says(`homeserver +(http://\S+) `)
	secrets := fleet.says(`passwords +(\S+) \(only you`)
	fleet.says(`Element.*not Element X.*SERVER=synapse`)
	room := fleet.says(`room fleet .*(!\S+)`)
	gateway := fleet.says(`gateway +(http\S+)`)
	fleet.says(`From a phone`)
	fleet.says(`Type a command`)
	info, err := os.Stat(secrets)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	text, err := os.ReadFile(secrets)
	require.NoError(t, err)
	secret := func(name string) string {
		match := regexp.MustCompile(`(?m)^` + name + `: (\S+)$`).FindStringSubmatch(string(text))
		require.NotNil(t, match, name)
		return strings.Trim(match[1], `"'`)
	}
	say := func(words ...string) string {
		path, err := binary()
		require.NoError(t, err)
		exec := exec.CommandContext(t.Context(), path, append([]string{"exec"}, words...)...)
		exec.Env = append(os.Environ(), "MOSAIC_GATEWAY_URL="+gateway, "MOSAIC_GATEWAY_TOKEN="+secret("token_operator"))
		out, err := exec.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	say("budget", "set", "--provider", "claude", "--limit", "500", "--unit", "credits", "--reset-at", "+2h")
	require.Contains(t, say("dispatch", "coder", "Survey ./budget"), "D-1")
	require.Eventually(t, func() bool { return strings.Contains(say("show", "D-1"), "D-1 done") }, time.Minute, 200*time.Millisecond,
		"the sample worker did not run it")

	person, err := client.Connect(t.Context(), client.Options{Homeserver: homeserver, Username: "operator", Password: secret("password_operator")})
	require.NoError(t, err)
	require.NoError(t, person.WaitUntilJoined(t.Context(), id.RoomID(room), person.UserID))
	person.Close()
	require.Equal(t, 0, fleet.stop())
	requireNothingLeft(t, state)

	again := start(t, state, nil, "up")
	require.Equal(t, homeserver, again.says(`homeserver +(http://\S+) `))
	require.Equal(t, room, again.says(`room fleet .*(!\S+)`))
	require.Equal(t, gateway, again.says(`gateway +(http\S+)`))
	again.says(`Type a command`)
	require.Contains(t, say("show", "D-1"), "D-1 done")

	second, err := exec.Command(again.command.Path, "up", "--state", state).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(second), "in use by process")

	require.NoError(t, again.command.Process.Signal(syscall.SIGKILL))
	_ = again.command.Wait()
	requireNothingLeft(t, state)
}

func TestUpOnAHomeserverOfYourOwnInvitesYouToEncryptedRooms(t *testing.T) {
	homeserver := localtest.Homeserver(t)
	bot, operator, member := localtest.Register(t, "mosaic"), localtest.Register(t, "olga"), localtest.Register(t, "ada")
	you := localtest.LogIn(t, operator)
	state := stateFolder(t)
	fleet := start(t, state, []string{"MATRIX_USER_ID=" + bot.UserID, "MATRIX_PASSWORD=" + bot.Password},
		"up", "--homeserver", homeserver.URL, "--operator", operator.UserID, "--board", member.UserID)
	fleet.says(`homeserver .*your own`)
	room := id.RoomID(fleet.says(`room budget .*(!\S+)`))
	fleet.says(`Type a command`)
	require.NoError(t, you.WaitUntilJoined(t.Context(), room, you.UserID, id.UserID(bot.UserID)))
	asked, err := you.Say(t.Context(), room, "!mosaic budget set --provider claude --limit 500 --unit credits --reset-at +2h")
	require.NoError(t, err)
	reply, err := you.WaitFor(t.Context(), client.From(id.UserID(bot.UserID)), client.InThread(asked), notice)
	require.NoError(t, err)
	require.True(t, reply.WasEncrypted)
	require.Contains(t, reply.Body, "500 credits")
	require.Equal(t, 0, fleet.stop())
	requireNothingLeft(t, state)
}

func TestUpOnYourOwnHomeserverSaysWhatIsMissing(t *testing.T) {
	path, err := binary()
	require.NoError(t, err)
	for _, test := range []struct{ arguments, says []string }{
		{[]string{"--homeserver", "https://matrix.example.org"}, []string{"MATRIX_USER_ID", "MATRIX_PASSWORD", "OPERATOR", "example: MATRIX_USER_ID="}},
		{[]string{"--homeserver", "matrix.example.org"}, []string{"not the URL of a homeserver", "https://matrix.example.org"}},
	} {
		out, err := exec.CommandContext(t.Context(), path, append([]string{"up", "--state", t.TempDir()}, test.arguments...)...).CombinedOutput()
		require.Error(t, err)
		for _, words := range test.says {
			require.Contains(t, string(out), words)
		}
	}
}

func TestCtrlCOrKillAtAnyMomentOfTheDemoLeavesNoProcessBehind(t *testing.T) {
	for _, moment := range []struct {
		told   string
		signal syscall.Signal
	}{
		{`starting Postgres`, syscall.SIGINT},
		{`making users`, syscall.SIGKILL},
		{`making users`, syscall.SIGINT},
		{`reacts ✅`, syscall.SIGINT},
		{`D-2 running`, syscall.SIGKILL},
	} {
		state := stateFolder(t)
		tour := start(t, state, nil, "demo")
		tour.says(moment.told)
		require.NoError(t, tour.command.Process.Signal(moment.signal))
		ended, cancel := context.WithTimeout(t.Context(), time.Minute)
		go func() { _ = tour.command.Wait(); cancel() }()
		<-ended.Done()
		require.ErrorIs(t, ended.Err(), context.Canceled, "it did not end on %s at %q", moment.signal, moment.told)
		requireNothingLeft(t, state)
	}
}
