// Package system runs one Mosaic fleet from the outside, as an operator would: gateway, bot and workers are processes of
// the one binary, on a Postgres and a homeserver that are there already. Demo, up and the end-to-end tests share it.
package system

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// Person is someone the register shall know.
type Person struct {
	Name     string
	MatrixID string
	Kind     register.IdentityRequestKind
	Roles    []register.FleetRole
	// Seat and Lens, if set, seat the person on the board.
	Seat, Lens string
}

// Options are what a fleet runs on; all but Environment and Prefix are required.
type Options struct {
	// Binary is mosaic-matrix itself.
	Binary string
	// Directory holds logs, run folders and the bot's recovery key.
	Directory string
	// Secrets keep the tokens, so that a restart is the same fleet.
	Secrets *local.Secrets
	// GatewayDatabase and BotDatabase are Postgres URLs of the two roles.
	GatewayDatabase, BotDatabase string
	Homeserver                   string
	BotID, BotPassword           string
	// BotAccessToken is used instead of BotPassword where it is set.
	BotAccessToken string
	People         []Person
	// Board, if it is set, is how the board works.
	Board *register.BoardRequest
	// Zone is the IANA zone replies show times in; empty is UTC.
	Zone string
	// Listen is the gateway's address; empty is a free port on loopback.
	Listen string
	// Environment is added to every process.
	Environment []string
}

// System is a running fleet.
type System struct {
	options Options
	listen  string
	api     *register.API

	lock      sync.Mutex
	processes map[string]*local.Process
}

// Start brings up gateway and bot and returns once the three rooms are bound. On an error nothing is left running.
func Start(ctx context.Context, options Options) (*System, error) {
	s := &System{options: options, listen: options.Listen, processes: map[string]*local.Process{}}
	if s.listen == "" {
		port, err := local.FreePort("127.0.0.1")
		if err != nil {
			return nil, err
		}
		s.listen = fmt.Sprintf("127.0.0.1:%d", port)
	}
	if err := s.start(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *System) start(ctx context.Context) error {
	admin, err := s.token(ctx, "mosaic", "--kind", "service", "--roles", "admin", "--scopes", "admin")
	if err != nil {
		return err
	}
	s.api = register.NewAPI(s.URL(), admin)
	if err := s.StartGateway(ctx); err != nil {
		return err
	}
	if err := s.introduce(ctx); err != nil {
		return err
	}
	if err := s.StartBot(ctx); err != nil {
		return err
	}
	return s.waitForRooms(ctx)
}

// URL is where the gateway is reached.
func (s *System) URL() string { return "http://" + s.listen }

// API is a client of the gateway with an admin's token.
func (s *System) API() *register.API { return s.api }

// introduce tells the register who everyone is and who sits on the board.
func (s *System) introduce(ctx context.Context) error {
	people := append([]Person{{Name: "bot", MatrixID: s.options.BotID, Kind: register.IdentityRequestKindService, Roles: []register.FleetRole{register.FleetRoleViewer}}}, s.options.People...)
	for _, person := range people {
		err := s.api.Send(ctx, register.By{Key: key("identity", person)}, register.PutIdentity(person.Name, register.IdentityRequest{
			Kind: person.Kind, MatrixID: person.MatrixID, Roles: person.Roles,
		}), nil)
		if err != nil {
			return fmt.Errorf("introducing %s to the register: %w", person.Name, err)
		}
		if person.Seat == "" {
			continue
		}
		err = s.api.Send(ctx, register.By{Key: key("seat", person)}, register.PutSeat(person.Seat, register.SeatRequest{
			Lens: person.Lens, Identity: person.Name,
		}), nil)
		if err != nil {
			return fmt.Errorf("seating %s on the board: %w", person.Name, err)
		}
	}
	if s.options.Board == nil {
		return nil
	}
	if err := s.api.Send(ctx, register.By{Key: "how the board works"}, register.PutBoard(*s.options.Board), nil); err != nil {
		return fmt.Errorf("saying how the board works: %w", err)
	}
	return nil
}

// key names a set-up step: said again with the same content, it is the same step.
func key(step string, person Person) string {
	return fmt.Sprintf("up-%s-%s-%x", step, person.Name, hash(person))
}

// StartGateway starts the gateway, or starts it again, and returns once it is ready.
func (s *System) StartGateway(ctx context.Context, environment ...string) error {
	process, err := s.launch("gateway", append(environment, "MOSAIC_GATEWAY_DATABASE="+s.options.GatewayDatabase), "gateway", "--listen", s.listen)
	if err != nil {
		return err
	}
	return process.WaitUntil(ctx, time.Minute, func(ctx context.Context) error {
		health, err := s.api.Ready(ctx)
		if err == nil && health.Status != register.HealthStatusOk {
			return fmt.Errorf("not ready: %v", health.Parts)
		}
		return err
	})
}

// StartBot starts the bot, or starts it again; it does not wait until it hears and speaks.
func (s *System) StartBot(ctx context.Context, environment ...string) error {
	token, err := s.token(ctx, "bot", "--scopes", "bot")
	if err != nil {
		return err
	}
	pickle, err := s.options.Secrets.Generated("bot_pickle_key")
	if err != nil {
		return err
	}
	_, err = s.launch("bot", append(environment,
		"MOSAIC_GATEWAY_URL="+s.URL(), "MOSAIC_GATEWAY_TOKEN="+token,
		"MATRIX_HOMESERVER="+s.options.Homeserver, "MATRIX_USER_ID="+s.options.BotID, "MATRIX_PASSWORD="+s.options.BotPassword, "MATRIX_ACCESS_TOKEN="+s.options.BotAccessToken,
		"MOSAIC_BOT_DATABASE="+s.options.BotDatabase, "MOSAIC_BOT_PICKLE_KEY="+pickle, "MOSAIC_BOT_CREATE_ROOMS=true",
		"MOSAIC_BOT_RECOVERY_KEY_FILE="+filepath.Join(s.options.Directory, "bot-recovery-key"),
	), "bot")
	return err
}

// StartWorker starts a worker process that runs command on each brief of its role, and returns once the register has heard of it.
func (s *System) StartWorker(ctx context.Context, name, role string, command ...string) error {
	token, err := s.token(ctx, name, "--kind", "agent", "--roles", "worker", "--scopes", "worker")
	if err != nil {
		return err
	}
	process, err := s.launch(name, []string{"MOSAIC_GATEWAY_URL=" + s.URL(), "MOSAIC_GATEWAY_TOKEN=" + token},
		append([]string{"work", "--role", role, "--name", name, "--directory", filepath.Join(s.options.Directory, "runs"), "--"}, command...)...)
	if err != nil {
		return err
	}
	return process.WaitUntil(ctx, time.Minute, func(ctx context.Context) error {
		agent, err := s.api.Agent(ctx, register.By{}, name)
		if err == nil && agent.State != register.AgentStateLive {
			err = fmt.Errorf("%s is %s", name, agent.State)
		}
		return err
	})
}

// Process is the running process called gateway, bot or by a worker's name.
func (s *System) Process(name string) *local.Process {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.processes[name]
}

// Stop ends every process, the last started first, and returns when they are gone.
func (s *System) Stop() {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, name := range s.order() {
		s.processes[name].Stop()
	}
}

// order is workers, then the bot, then the gateway, so that each can still report to the next.
func (s *System) order() []string {
	var names []string
	for name := range s.processes {
		if name != "bot" && name != "gateway" {
			names = append(names, name)
		}
	}
	for _, name := range []string{"bot", "gateway"} {
		if s.processes[name] != nil {
			names = append(names, name)
		}
	}
	return names
}

// launch starts one process of the binary; one of the same name that still runs is stopped first.
func (s *System) launch(name string, environment []string, arguments ...string) (*local.Process, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if running := s.processes[name]; running != nil {
		running.Stop()
	}
	process, err := local.StartProcess(local.ProcessOptions{
		Name: name, Path: s.options.Binary, Args: arguments,
		Env:     append(s.environment(), environment...),
		LogFile: filepath.Join(s.options.Directory, name+".log"),
	})
	if err != nil {
		return nil, err
	}
	s.processes[name] = process
	return process, nil
}

// environment is this process's own without what would change what is started, and the caller's additions.
func (s *System) environment() []string {
	environment := append(withoutOurs(os.Environ()), "MOSAIC_CONFIG=", "MOSAIC_ZONE="+zoneName(s.options.Zone))
	return append(environment, s.options.Environment...)
}

// waitForRooms returns once a room is bound for each purpose.
func (s *System) waitForRooms(ctx context.Context) error {
	return s.Process("bot").WaitUntil(ctx, time.Minute, func(ctx context.Context) error {
		rooms, err := s.Rooms(ctx)
		if err == nil && len(rooms) < 3 {
			err = fmt.Errorf("%d of 3 rooms are bound", len(rooms))
		}
		return err
	})
}

// Rooms maps each purpose to the room bound to it.
func (s *System) Rooms(ctx context.Context) (map[register.RoomPurpose]register.RoomBinding, error) {
	list, err := s.api.Rooms(ctx, register.By{})
	if err != nil {
		return nil, err
	}
	rooms := map[register.RoomPurpose]register.RoomBinding{}
	for _, room := range list.Rooms {
		for _, purpose := range room.Purposes {
			rooms[purpose] = room
		}
	}
	return rooms, nil
}

// BotID is the bot's Matrix ID.
func (s *System) BotID() string { return s.options.BotID }
