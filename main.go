// mosaic-matrix is the Matrix transport of a Mosaic fleet: a bot, the gateway API it talks to, and what runs them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/bot"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/terminal"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/config"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/demo"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/up"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/conformance"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/gateway"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/work"
)

// version is set at build time.
var version = "0.1.0-dev"

// program is the whole grammar of the binary. A flag with a config key may also stand in the settings file; one with a
// variable and no key is a secret.
type program struct {
	Config    string `help:"Settings file; without it mosaic-matrix.yaml if there is one." type:"path" placeholder:"FILE"`
	LogLevel  string `help:"Least severe line logged." enum:"trace,debug,info,warn,error" default:"info" env:"MOSAIC_LOG_LEVEL" config:"log.level"`
	LogFormat string `help:"How log lines look: json for machines, console for people." enum:"json,console" default:"json" env:"MOSAIC_LOG_FORMAT" config:"log.format"`
	Zone      string `help:"IANA zone in which times are read and shown." default:"UTC" env:"MOSAIC_ZONE" config:"zone" placeholder:"ZONE"`

	Demo     demoCommand     `cmd:"" help:"Show the main job, start to finish, on a private Postgres and homeserver; then stop."`
	Up       upCommand       `cmd:"" help:"Set up the same and stay, with a prompt that takes the same commands."`
	Gateway  gatewayCommand  `cmd:"" help:"Serve the gateway API, the only door to the register."`
	Bot      botCommand      `cmd:"" help:"Carry commands, notices and votes between Matrix rooms and the gateway."`
	Work     workCommand     `cmd:"" help:"Claim dispatches of a role and run a command on each brief."`
	Exec     execCommand     `cmd:"" help:"Carry out one command on this terminal, as in a room."`
	Token    tokenCommand    `cmd:"" help:"Issue, list, rotate and revoke bearer tokens; a new one is shown once and stored hashed."`
	Settings settingsCommand `cmd:"" help:"List every setting: file key, environment variable, default."`
	Version  versionCommand  `cmd:"" help:"Print the version."`

	Conformance conformanceCommand `cmd:"" help:"Run the contract of the gateway API against a gateway that is not in use, and print what it keeps."`
}

// client is how everything but the gateway itself reaches the register.
type client struct {
	URL   string `help:"The gateway to talk to." default:"http://127.0.0.1:14242" env:"MOSAIC_GATEWAY_URL" config:"gateway.url" name:"gateway-url"`
	Token string `help:"Bearer token for the gateway." env:"MOSAIC_GATEWAY_TOKEN" name:"gateway-token" hidden:""`
}

func (c client) api() (*register.API, error) {
	if c.Token == "" {
		return nil, errors.New("no token for the gateway: set MOSAIC_GATEWAY_TOKEN (`mosaic-matrix token --identity NAME` issues one)")
	}
	return register.NewAPI(c.URL, c.Token), nil
}

// terminal is a client that prints on this terminal.
func (c client) terminal(program *program) (terminal.Options, error) {
	api, err := c.api()
	if err != nil {
		return terminal.Options{}, err
	}
	zone, err := program.zone()
	return terminal.Options{API: api, Zone: zone, Out: os.Stdout, Err: os.Stderr}, err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// run parses and carries out one command line; the result is the exit code: 0 done, 1 not done, 2 not understood.
func run(ctx context.Context, arguments []string) int {
	file, err := config.Read(configFlag(arguments))
	if err != nil {
		fmt.Fprintln(os.Stderr, "mosaic-matrix:", err)
		return 2
	}
	var cli program
	parser := kong.Must(&cli, kong.Name("mosaic-matrix"), kong.UsageOnError(), kong.Resolvers(file), kong.Vars{"version": version},
		kong.Description("The Matrix transport of a Mosaic fleet: dispatch, budgets and board votes from a room."))
	if err := file.Check(parser.Model.Node); err != nil {
		fmt.Fprintln(os.Stderr, "mosaic-matrix:", err)
		return 2
	}
	parsed, err := parser.Parse(arguments)
	if err != nil {
		fmt.Fprintf(os.Stderr, "mosaic-matrix: %v\nTry `mosaic-matrix --help`.\n", err)
		return 2
	}
	ctx = cli.logger().WithContext(ctx)
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(&cli, settings(config.Settings(parser.Model.Node)))
	if err := parsed.Run(); err != nil {
		var code exitCode
		if errors.As(err, &code) {
			return int(code)
		}
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "mosaic-matrix: stopped when asked to; nothing it started is left running")
			return interrupted
		}
		fmt.Fprintln(os.Stderr, "mosaic-matrix:", err)
		return 1
	}
	return 0
}

// interrupted is what a shell expects of a program that ended on Ctrl-C.
const interrupted = 130

// exitCode ends the program with a code; what there is to say has been said.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// configFlag finds --config before parsing, since the file is part of what parsing needs.
func configFlag(arguments []string) string {
	for i, argument := range arguments {
		switch {
		case argument == "--" || argument == "exec":
			return os.Getenv("MOSAIC_CONFIG")
		case argument == "--config" && i+1 < len(arguments):
			return arguments[i+1]
		case len(argument) > 9 && argument[:9] == "--config=":
			return argument[9:]
		}
	}
	return os.Getenv("MOSAIC_CONFIG")
}

func (p *program) logger() zerolog.Logger {
	level, _ := zerolog.ParseLevel(p.LogLevel)
	zerolog.TimeFieldFormat = time.RFC3339Nano
	if p.LogFormat == "console" {
		return zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly}).Level(level).With().Timestamp().Logger()
	}
	return zerolog.New(os.Stderr).Level(level).With().Timestamp().Logger()
}

func (p *program) zone() (*time.Location, error) {
	zone, err := time.LoadLocation(p.Zone)
	if err != nil {
		return nil, fmt.Errorf("%q is not an IANA time zone; an example is Europe/Berlin", p.Zone)
	}
	return zone, nil
}

type demoCommand struct {
	State string `help:"State folder." default:".mosaic" type:"path" env:"MOSAIC_STATE" config:"state"`
}

func (c *demoCommand) Run(ctx context.Context) error {
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program's own file: %w", err)
	}
	return demo.Run(ctx, demo.Options{Directory: c.State, Binary: binary, Out: os.Stdout})
}

type upCommand struct {
	State      string   `help:"State folder." default:".mosaic" type:"path" env:"MOSAIC_STATE" config:"state"`
	Server     string   `help:"The local homeserver: dendrite, or synapse for Element X." enum:"dendrite,synapse" default:"dendrite" env:"MOSAIC_UP_SERVER" config:"up.server"`
	Host       string   `help:"Address the local homeserver listens on; 0.0.0.0 lets your network in." default:"127.0.0.1" env:"MOSAIC_UP_HOST" config:"up.host"`
	ServerName string   `help:"Part of user IDs after the colon; it cannot change later." default:"localhost" env:"MOSAIC_UP_SERVER_NAME" config:"up.server_name"`
	TLSCert    string   `help:"PEM certificate with which the local Dendrite also serves https." type:"path" env:"MOSAIC_UP_TLS_CERT" config:"up.tls_cert" name:"tls-cert"`
	TLSKey     string   `help:"Its key." type:"path" env:"MOSAIC_UP_TLS_KEY" config:"up.tls_key" name:"tls-key"`
	Homeserver string   `help:"URL of your own homeserver, instead of a local one." env:"MOSAIC_UP_HOMESERVER" config:"up.homeserver"`
	Operator   string   `help:"Your Matrix ID on your own homeserver." env:"MOSAIC_UP_OPERATOR" config:"up.operator"`
	Board      []string `help:"Matrix IDs of up to three board members on your own homeserver." env:"MOSAIC_UP_BOARD" config:"up.board"`
	BotID      string   `help:"The bot's Matrix ID." env:"MATRIX_USER_ID" config:"bot.user_id" name:"bot-id"`
	Password   string   `help:"The bot's password, used for the first login only." env:"MATRIX_PASSWORD" hidden:""`
}

func (c *upCommand) Run(ctx context.Context, program *program) error {
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program's own file: %w", err)
	}
	zone, err := program.zone()
	if err != nil {
		return err
	}
	return up.Run(ctx, up.Options{
		Directory: c.State, Binary: binary, Out: os.Stdout, Server: c.Server, Host: c.Host, ServerName: c.ServerName,
		TLSCertificate: c.TLSCert, TLSKey: c.TLSKey, Homeserver: c.Homeserver, Operator: c.Operator, Board: c.Board,
		BotID: c.BotID, BotPassword: c.Password, Zone: zone,
	})
}

// registerDatabase is where the register lies, for what works on it directly.
type registerDatabase struct {
	Database string `help:"Postgres URL of the role that owns schema fleet." env:"MOSAIC_GATEWAY_DATABASE" hidden:""`
	Tenant   string `help:"The tenant every row belongs to." default:"default" env:"MOSAIC_TENANT" config:"gateway.tenant"`
	Bound    int    `help:"How many dispatches may run at once per role and host of the worker." default:"8" env:"MOSAIC_GATEWAY_WORKER_BOUND" config:"gateway.worker_bound" name:"worker-bound"`
}

func (r registerDatabase) given() error {
	if r.Database == "" {
		return errors.New("no database for the gateway: set MOSAIC_GATEWAY_DATABASE, such as postgres://mosaic_gateway:…@127.0.0.1:5432/mosaic")
	}
	return nil
}

type gatewayCommand struct {
	registerDatabase
	Listen string  `help:"Address to serve on." default:"127.0.0.1:14242" env:"MOSAIC_GATEWAY_LISTEN" config:"gateway.listen"`
	Rate   float64 `help:"Requests a second one token may make; 0 sets no limit." default:"500" env:"MOSAIC_GATEWAY_RATE" config:"gateway.rate"`
	Burst  int     `help:"Requests one token may make at once." default:"1000" env:"MOSAIC_GATEWAY_BURST" config:"gateway.burst"`

	TLSCert string `help:"PEM certificate to serve https with, read anew when it changes." type:"path" env:"MOSAIC_GATEWAY_TLS_CERT" config:"gateway.tls_cert" name:"tls-cert"`
	TLSKey  string `help:"The key of the gateway's certificate." type:"path" env:"MOSAIC_GATEWAY_TLS_KEY" config:"gateway.tls_key" name:"tls-key"`
}

func (c *gatewayCommand) Run(ctx context.Context) error {
	if err := c.given(); err != nil {
		return err
	}
	host, _ := os.Hostname()
	server, err := gateway.New(ctx, gateway.Options{
		Listen: c.Listen, DatabaseURL: c.Database, Tenant: c.Tenant, Host: host, Version: version, Log: *zerolog.Ctx(ctx),
		RequestsPerSecond: c.Rate, RequestBurst: c.Burst, TLSCertificate: c.TLSCert, TLSKey: c.TLSKey,
		WorkerBound: c.Bound,
	})
	if err != nil {
		return err
	}
	return server.Run(ctx)
}

type botCommand struct {
	Client          client `embed:""`
	Homeserver      string `help:"The homeserver's URL." env:"MATRIX_HOMESERVER" config:"bot.homeserver"`
	UserID          string `help:"The bot's Matrix ID." env:"MATRIX_USER_ID" config:"bot.user_id"`
	Password        string `help:"The bot's password, used for the first login only." env:"MATRIX_PASSWORD" hidden:""`
	AccessToken     string `help:"The bot's access token, instead of a password." env:"MATRIX_ACCESS_TOKEN" hidden:""`
	Database        string `help:"Postgres URL of the role that owns schema bot." env:"MOSAIC_BOT_DATABASE" hidden:""`
	PickleKey       string `help:"Secret that encrypts the bot's keys at rest." env:"MOSAIC_BOT_PICKLE_KEY" hidden:""`
	RecoveryKeyFile string `help:"Where the recovery key is written once, mode 0600." default:"recovery-key" type:"path" env:"MOSAIC_BOT_RECOVERY_KEY_FILE" config:"bot.recovery_key_file"`
	Prefix          string `help:"What a command begins with." default:"!mosaic" env:"MOSAIC_BOT_PREFIX" config:"bot.prefix"`
	CreateRooms     bool   `help:"Create and bind the encrypted rooms fleet, budget and board if none is bound." env:"MOSAIC_BOT_CREATE_ROOMS" config:"bot.create_rooms"`
	Listen          string `help:"Address for /healthz, /readyz and /metrics; empty serves none." env:"MOSAIC_BOT_LISTEN" config:"bot.listen"`
}

func (c *botCommand) Run(ctx context.Context, program *program) error {
	api, err := c.Client.api()
	if err != nil {
		return err
	}
	zone, err := program.zone()
	if err != nil {
		return err
	}
	for _, needed := range [][2]string{
		{c.Homeserver, "MATRIX_HOMESERVER"},
		{c.UserID, "MATRIX_USER_ID"},
		{c.Password + c.AccessToken, "MATRIX_ACCESS_TOKEN or MATRIX_PASSWORD"},
		{c.Database, "MOSAIC_BOT_DATABASE"},
		{c.PickleKey, "MOSAIC_BOT_PICKLE_KEY"},
	} {
		if needed[0] == "" {
			return fmt.Errorf("the bot needs %s; `mosaic-matrix settings` explains each", needed[1])
		}
	}
	b, err := bot.New(ctx, bot.Options{
		Homeserver: c.Homeserver, UserID: c.UserID, Password: c.Password, AccessToken: c.AccessToken, DatabaseURL: c.Database,
		PickleKey: c.PickleKey, RecoveryKeyFile: c.RecoveryKeyFile, Prefix: c.Prefix, CreateRooms: c.CreateRooms, Listen: c.Listen,
		API: api, Zone: zone, Log: *zerolog.Ctx(ctx),
	})
	if err != nil {
		return err
	}
	return b.Run(ctx)
}

type workCommand struct {
	Client    client        `embed:""`
	Role      string        `help:"The role to claim for." required:"" env:"MOSAIC_WORK_ROLE" config:"work.role"`
	Name      string        `help:"The agent's name, <role>-<n>." env:"MOSAIC_WORK_NAME" config:"work.name"`
	Directory string        `help:"Where each run keeps its folder." default:"runs" type:"path" env:"MOSAIC_WORK_DIRECTORY" config:"work.directory"`
	TTL       time.Duration `help:"How long a claim lives without a heartbeat." default:"900s" env:"MOSAIC_WORK_TTL" config:"work.ttl"`
	Once      bool          `help:"Claim at most one dispatch, then exit (3 if none was ready)."`
	Command   []string      `arg:"" help:"The command that runs a brief; it gets the brief on standard input." passthrough:""`
}

func (c *workCommand) Run(ctx context.Context) error {
	api, err := c.Client.api()
	if err != nil {
		return err
	}
	command := c.Command
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	host, _ := os.Hostname()
	worker, err := work.New(work.Options{
		API: api, Role: c.Role, Worker: c.Name, Host: host, Command: command, Directory: c.Directory, TTL: c.TTL, Once: c.Once,
	})
	if err != nil {
		return err
	}
	err = worker.Run(ctx)
	if errors.Is(err, work.ErrNothingReady) {
		fmt.Fprintln(os.Stderr, "mosaic-matrix:", err)
		return exitCode(3)
	}
	return err
}

type execCommand struct {
	Client client   `embed:""`
	JSON   bool     `help:"Print the typed result." name:"json"`
	Key    string   `help:"Repeat the command that had no answer, under the key it was told: it happens at most once." placeholder:"KEY"`
	Words  []string `arg:"" optional:"" passthrough:"" help:"The command, such as: budget status"`
}

func (c *execCommand) Run(ctx context.Context, program *program) error {
	api, err := c.Client.api()
	if err != nil {
		return err
	}
	zone, err := program.zone()
	if err != nil {
		return err
	}
	return exitFrom(terminal.Exec(ctx, terminal.Options{API: api, Zone: zone, Out: os.Stdout, Err: os.Stderr, JSON: c.JSON, Key: c.Key}, c.Words))
}

// exitFrom turns how a command ended into an exit code.
func exitFrom(code int) error {
	if code == 0 {
		return nil
	}
	return exitCode(code)
}

// tokenCommand issues on the database itself, which the first token needs; everything else goes over the gateway.
type tokenCommand struct {
	Issue  tokenIssueCommand  `cmd:"" default:"withargs" help:"Issue a token on the database; the default."`
	List   tokenListCommand   `cmd:"" help:"List every token, its scopes and its last use; over the gateway, for admins."`
	Revoke tokenRevokeCommand `cmd:"" help:"End a token now."`
	Rotate tokenRotateCommand `cmd:"" help:"Replace a token by a new one and let both work for a while; the new one is shown once."`
}

type tokenIssueCommand struct {
	registerDatabase
	Identity string        `help:"Whose token it is." required:""`
	Kind     string        `help:"Create the identity as this kind if the register does not know it." enum:"human,agent,service," default:""`
	Roles    []string      `help:"Roles of a created identity: viewer, operator, board, admin, worker."`
	Scopes   []string      `help:"What the token may do: read, operate, worker, bot, admin." default:"operate"`
	Expires  time.Duration `help:"How long it is good for; 0 is until revoked." default:"0"`
}

func (c *tokenIssueCommand) Run(ctx context.Context) error {
	if err := c.given(); err != nil {
		return err
	}
	if c.Kind != "" {
		if err := gateway.EnsureIdentity(ctx, c.Database, c.Tenant, c.Identity, c.Kind, c.Roles); err != nil {
			return err
		}
	}
	token, err := gateway.IssueToken(ctx, c.Database, c.Tenant, c.Identity, c.Scopes, c.Expires)
	if err != nil {
		return err
	}
	fmt.Println(token)
	return nil
}

type tokenListCommand struct {
	Client client `embed:""`
}

func (c *tokenListCommand) Run(ctx context.Context, program *program) error {
	options, err := c.Client.terminal(program)
	if err != nil {
		return err
	}
	return terminal.ListTokens(ctx, options)
}

type tokenRevokeCommand struct {
	Client client `embed:""`
	ID     string `arg:"" help:"The token, such as T-3."`
}

func (c *tokenRevokeCommand) Run(ctx context.Context, program *program) error {
	options, err := c.Client.terminal(program)
	if err != nil {
		return err
	}
	return terminal.RevokeToken(ctx, options, c.ID)
}

type tokenRotateCommand struct {
	Client  client        `embed:""`
	ID      string        `arg:"" help:"The token, such as T-3."`
	Overlap time.Duration `help:"How long the old token still works, up to 720h." default:"1h"`
}

func (c *tokenRotateCommand) Run(ctx context.Context, program *program) error {
	options, err := c.Client.terminal(program)
	if err != nil {
		return err
	}
	return terminal.RotateToken(ctx, options, c.ID, c.Overlap)
}

// conformanceCommand makes what it needs through the API; tokens of narrower scopes are given, so that it need not issue any.
type conformanceCommand struct {
	URL         string `help:"The gateway to talk to." default:"http://127.0.0.1:14242" env:"MOSAIC_GATEWAY_URL" config:"gateway.url" name:"gateway"`
	Token       string `help:"Bearer token for the gateway." env:"MOSAIC_GATEWAY_TOKEN"`
	WorkerToken string `help:"For conformance: a token with only the scope worker, to claim with." env:"MOSAIC_CONFORMANCE_WORKER_TOKEN"`
	ReadToken   string `help:"For conformance: a token with only the scope read, which must not change anything." env:"MOSAIC_CONFORMANCE_READ_TOKEN"`
}

func (c *conformanceCommand) Run(ctx context.Context) error {
	if c.Token == "" {
		return errors.New("no token for the gateway: set MOSAIC_GATEWAY_TOKEN to one with the scope admin, of an identity with the role admin")
	}
	report, err := conformance.Run(ctx, conformance.Options{URL: c.URL, Token: c.Token, WorkerToken: c.WorkerToken, ReadToken: c.ReadToken})
	if err != nil {
		return err
	}
	if err := report.Write(os.Stdout); err != nil {
		return err
	}
	if len(report.Broken()) > 0 {
		return exitCode(1)
	}
	return nil
}

type settings []config.Setting

type settingsCommand struct{}

func (settingsCommand) Run(all settings) error {
	fmt.Print(config.Table(all))
	return nil
}

type versionCommand struct{}

func (versionCommand) Run() error {
	fmt.Println("mosaic-matrix", version)
	return nil
}
