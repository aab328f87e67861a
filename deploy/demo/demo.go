// Package demo plays the main job, start to finish, on real parts: an operator dispatches work, the budget ladder steps,
// and a board votes, in encrypted Matrix rooms. It fails if any step did not happen as told.
package demo

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/system"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

//go:embed agent.sh
var agent []byte

// Agent writes the sample agent, a shell script that surveys a folder of Go code, into a folder and returns its path.
func Agent(folder string) (string, error) {
	path := filepath.Join(folder, "agent.sh")
	if err := os.WriteFile(path, agent, 0o700); err != nil { //nolint:gosec // it is a program
		return "", fmt.Errorf("writing the sample agent: %w", err)
	}
	return path, nil
}

// Options are what the demo needs; all are required.
type Options struct {
	// Directory is the state folder, such as .mosaic; what is built lies in bin/ there, what the demo makes in demo/.
	Directory string
	// Binary is mosaic-matrix itself.
	Binary string
	Out    io.Writer
}

// Run plays the tour once, from nothing, and leaves nothing running.
func Run(ctx context.Context, options Options) error {
	started := time.Now()
	ctx = zerolog.Nop().WithContext(ctx) // the page belongs to the conversation; processes log to their files
	folder := filepath.Join(options.Directory, "demo")
	lock, err := local.LockState(folder)
	if err != nil {
		return err
	}
	defer lock.Release()
	// Every run starts from nothing: the tour counts on the first dispatch being D-1.
	state := filepath.Join(folder, "state")
	if err := local.RemoveState(state); err != nil {
		return err
	}

	progress := local.NewProgress(options.Out)
	postgres, homeserver, err := servers(ctx, state, filepath.Join(options.Directory, "bin"), progress)
	if postgres != nil {
		defer postgres.Stop()
	}
	if homeserver != nil {
		defer homeserver.Stop()
	}
	if err != nil {
		return err
	}
	stage, err := setUp(ctx, state, options.Binary, postgres, homeserver, progress)
	if stage != nil {
		defer stage.close()
	}
	if err != nil {
		return err
	}
	progress.Say("")
	if err := stage.play(ctx, options.Out, progress); err != nil {
		return fmt.Errorf("the demo did not go as told: %w (logs: %s)", err, state)
	}
	progress.Say(fmt.Sprintf("\n✓ Every step happened as told, in %s. Try it yourself: make up", time.Since(started).Round(time.Second)))
	return nil
}

// servers starts Postgres and the homeserver side by side.
func servers(ctx context.Context, folder, binaries string, progress *local.Progress) (*local.Postgres, local.Homeserver, error) {
	// The homeserver is built first: it says how long that takes, and has the machine to itself.
	if _, _, err := local.BuildDendrite(ctx, binaries, progress); err != nil {
		return nil, nil, err
	}
	done := progress.Step("starting Postgres and the homeserver")
	var postgres *local.Postgres
	var homeserver local.Homeserver
	both, starting := errgroup.WithContext(ctx)
	both.Go(func() (err error) {
		postgres, err = local.StartPostgres(starting, filepath.Join(folder, "postgres"), local.PostgresOptions{})
		return err
	})
	both.Go(func() (err error) {
		homeserver, err = local.StartHomeserver(starting, "dendrite", filepath.Join(folder, "homeserver"), local.HomeserverOptions{Binaries: binaries})
		return err
	})
	err := both.Wait()
	done(err)
	return postgres, homeserver, err
}

// cast is who plays: the operator and three seats of the board.
var cast = []system.Person{
	{Name: "operator", Kind: register.IdentityRequestKindHuman, Roles: []register.FleetRole{register.FleetRoleOperator}},
	{Name: "ceo", Kind: register.IdentityRequestKindHuman, Roles: []register.FleetRole{register.FleetRoleBoard}, Seat: "CEO", Lens: "mission"},
	{Name: "cto", Kind: register.IdentityRequestKindHuman, Roles: []register.FleetRole{register.FleetRoleBoard}, Seat: "CTO", Lens: "feasibility"},
	{Name: "cfo", Kind: register.IdentityRequestKindHuman, Roles: []register.FleetRole{register.FleetRoleBoard}, Seat: "CFO", Lens: "cost"},
}

// stage is a running fleet and the people at their clients.
type stage struct {
	system *system.System
	people map[string]*client.Client
	rooms  rooms
}

func (s *stage) close() {
	for _, person := range s.people {
		person.Close()
	}
	if s.system != nil {
		s.system.Stop()
	}
}

// setUp makes the accounts, brings gateway, bot and a worker up, and sits the people down at their clients.
func setUp(ctx context.Context, folder, binary string, postgres *local.Postgres, homeserver local.Homeserver, progress *local.Progress) (*stage, error) {
	secrets, err := local.OpenSecrets(filepath.Join(folder, "secrets.yaml"))
	if err != nil {
		return nil, err
	}
	done := progress.Step("making users, gateway, bot and encrypted rooms")
	s := &stage{people: map[string]*client.Client{}}
	err = s.build(ctx, folder, binary, secrets, postgres, homeserver)
	done(err)
	return s, err
}

func (s *stage) build(ctx context.Context, folder, binary string, secrets *local.Secrets, postgres *local.Postgres, homeserver local.Homeserver) error {
	accounts := system.Accounts{Homeserver: homeserver, Secrets: secrets}
	people := make([]system.Person, len(cast))
	for i, person := range cast {
		account, err := accounts.Make(ctx, person.Name)
		if err != nil {
			return err
		}
		person.MatrixID = account.UserID
		people[i] = person
		phone, err := client.Connect(ctx, client.Options{
			Homeserver: homeserver.URL(), Username: person.Name, Password: account.Password, DeviceName: person.Name + "'s phone",
		})
		if err != nil {
			return fmt.Errorf("opening %s's client: %w", person.Name, err)
		}
		s.people[person.Name] = phone
	}
	bot, err := accounts.Make(ctx, "mosaic")
	if err != nil {
		return err
	}
	database, err := system.Database(ctx, postgres, secrets)
	if err != nil {
		return err
	}
	s.system, err = system.Start(ctx, system.Options{
		Binary: binary, Directory: folder, Secrets: secrets, GatewayDatabase: database.Gateway, BotDatabase: database.Bot,
		Homeserver: homeserver.URL(), BotID: bot.UserID, BotPassword: bot.Password, People: people,
		Board: &register.BoardRequest{SettleSeconds: new(int)}, // the tour does not wait for second thoughts
	})
	if err != nil {
		return err
	}
	script, err := Agent(folder)
	if err != nil {
		return err
	}
	if err := s.system.StartWorker(ctx, "coder-1", "coder", "/bin/sh", script); err != nil {
		return err
	}
	return s.enter(ctx)
}
