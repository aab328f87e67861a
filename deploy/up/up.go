// Package up sets a whole fleet up to stay: Postgres, homeserver, gateway, bot and a sample worker, with a prompt that takes the
// same commands as the rooms.
package up

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/terminal"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/demo"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/system"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// Options say where and on what the fleet stays. Directory, Binary and Out are required.
type Options struct {
	Directory string // the state folder, such as .mosaic
	Binary    string
	Out       io.Writer

	// Server is the local homeserver: dendrite or synapse. Unused with Homeserver.
	Server string
	// Host is the address the local homeserver listens on; anything but loopback is reachable from the network.
	Host string
	// ServerName is the part of user IDs after the colon; it cannot change later.
	ServerName string
	// TLSCertificate and TLSKey make the local homeserver (Dendrite) serve https too.
	TLSCertificate, TLSKey string

	// Homeserver is the URL of the operator's own homeserver; then BotID, BotPassword and Operator name accounts there.
	Homeserver         string
	BotID, BotPassword string
	Operator           string
	Board              []string

	Zone *time.Location
}

// Run sets up, says how to get in, and stays until ctx ends or the prompt is left.
func Run(ctx context.Context, options Options) error {
	folder := filepath.Join(options.Directory, options.folder())
	lock, err := local.LockState(folder)
	if err != nil {
		return err
	}
	defer lock.Release()
	secrets, err := local.OpenSecrets(filepath.Join(folder, "secrets.yaml"))
	if err != nil {
		return err
	}
	progress := local.NewProgress(options.Out)

	home, err := options.homeserver(ctx, folder, secrets, progress)
	if err != nil {
		return err
	}
	defer home.stop()
	done := progress.Step("starting Postgres, the gateway and the bot")
	postgres, fleet, err := start(ctx, folder, options, secrets, home)
	if postgres != nil {
		defer postgres.Stop()
	}
	if fleet != nil {
		defer fleet.Stop()
	}
	done(err)
	if err != nil {
		return err
	}
	token, err := fleet.Token(ctx, "operator")
	if err != nil {
		return err
	}
	if err := tell(ctx, options, home, fleet, secrets); err != nil {
		return err
	}
	return stay(ctx, options, folder, fleet, token)
}

// start brings up the database, gateway, bot and the sample worker.
func start(ctx context.Context, folder string, options Options, secrets *local.Secrets, home *home) (*local.Postgres, *system.System, error) {
	postgres, err := local.StartPostgres(ctx, filepath.Join(folder, "postgres"), local.PostgresOptions{})
	if err != nil {
		return nil, nil, err
	}
	database, err := system.Database(ctx, postgres, secrets)
	if err != nil {
		return postgres, nil, err
	}
	listen, err := gatewayAddress(folder)
	if err != nil {
		return postgres, nil, err
	}
	fleet, err := system.Start(ctx, system.Options{
		Binary: options.Binary, Directory: folder, Secrets: secrets, Listen: listen, GatewayDatabase: database.Gateway, BotDatabase: database.Bot,
		Homeserver: home.url, BotID: home.bot.UserID, BotPassword: home.bot.Password, People: home.people, Zone: options.zone(),
	})
	if err != nil {
		return postgres, nil, err
	}
	script, err := demo.Agent(folder)
	if err != nil {
		return postgres, fleet, err
	}
	name, err := workerName(ctx, fleet)
	if err != nil {
		return postgres, fleet, err
	}
	return postgres, fleet, fleet.StartWorker(ctx, name, "coder", "/bin/sh", script)
}

// workerName is the first coder that nobody has retired.
func workerName(ctx context.Context, fleet *system.System) (string, error) {
	for number := 1; ; number++ {
		name := fmt.Sprintf("coder-%d", number)
		agent, err := fleet.API().Agent(ctx, register.By{}, name)
		if register.CodeOf(err) == register.ProblemCodeNotFound || err == nil && agent.State != register.AgentStateRetired {
			return name, nil
		}
		if err != nil {
			return "", fmt.Errorf("looking for a name for the worker: %w", err)
		}
	}
}

// gatewayAddress is where the gateway is reached, the same across restarts while nobody else takes it: at first the port of
// Mosaic's own gateway, if that is free.
func gatewayAddress(folder string) (string, error) {
	const host = "127.0.0.1"
	note := filepath.Join(folder, "gateway-port")
	if _, err := os.Stat(note); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(note, []byte("14242\n"), 0o600); err != nil {
			return "", fmt.Errorf("noting the gateway's port: %w", err)
		}
	}
	port, err := local.RememberedPort(note, host)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// stay takes commands at a prompt, or, without a terminal, just waits.
func stay(ctx context.Context, options Options, folder string, fleet *system.System, token string) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	for _, name := range []string{"gateway", "bot"} {
		process := fleet.Process(name)
		go func() {
			select {
			case <-process.Done():
				stop(fmt.Errorf("the %s ended: %w; its log: %s", name, process.Err(), filepath.Join(folder, name+".log")))
			case <-ctx.Done():
			}
		}()
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		<-ctx.Done()
		return unlessAsked(ctx)
	}
	err := terminal.Prompt(ctx, terminal.Options{
		API: register.NewAPI(fleet.URL(), token), Zone: options.Zone, Out: os.Stdout, Err: os.Stderr,
	}, filepath.Join(folder, "history"))
	return errors.Join(err, unlessAsked(ctx))
}

// unlessAsked is why ctx ended, unless someone asked for it.
func unlessAsked(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// folder is the state's name: a fleet belongs to the homeserver its bot and rooms live on, so each has its own.
func (o Options) folder() string {
	address, err := url.Parse(o.Homeserver)
	switch {
	case o.Homeserver != "" && err == nil && address.Host != "":
		return "up-" + strings.ReplaceAll(address.Host, ":", "-")
	case o.Server == "synapse":
		return "up-synapse"
	}
	return "up"
}

func (o Options) zone() string {
	if o.Zone == nil {
		return "UTC"
	}
	return o.Zone.String()
}

// external says whether the operator's own homeserver is used, and checks what that needs.
func (o Options) external() (bool, error) {
	if o.Homeserver == "" {
		return false, nil
	}
	address, err := url.Parse(o.Homeserver)
	if err != nil || address.Host == "" || (address.Scheme != "https" && address.Scheme != "http") {
		return false, fmt.Errorf("%q is not the URL of a homeserver; an example is https://matrix.example.org", o.Homeserver)
	}
	var missing []string
	for _, needed := range [][2]string{
		{o.BotID, "MATRIX_USER_ID (the bot's account there)"},
		{o.BotPassword, "MATRIX_PASSWORD (its password, used for the first login, and for a new device after a restore)"},
		{o.Operator, "OPERATOR (your own Matrix ID there)"},
	} {
		if needed[0] == "" {
			missing = append(missing, needed[1])
		}
	}
	if len(missing) > 0 {
		return false, fmt.Errorf("on your own homeserver the fleet needs %s; example: MATRIX_USER_ID=@mosaic:example.org MATRIX_PASSWORD=… make up HOMESERVER=%s OPERATOR=@you:example.org",
			strings.Join(missing, ", "), o.Homeserver)
	}
	return true, nil
}
