// Package program is the command line of the binary: one file a subcommand, which reads its settings and starts what it names.
package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/config"
)

// program is the whole grammar of the binary. A flag with a config key may also stand in the settings file; one with a
// variable and no key is a secret.
type program struct {
	Config    string `help:"Settings file; without it mosaic-matrix.yaml if there is one." type:"path" placeholder:"FILE"`
	LogLevel  string `help:"Least severe line logged." enum:"trace,debug,info,warn,error" default:"info" env:"MOSAIC_LOG_LEVEL" config:"log.level"`
	LogFormat string `help:"How log lines look: json for machines, console for people." enum:"json,console" default:"json" env:"MOSAIC_LOG_FORMAT" config:"log.format"`
	Zone      string `help:"IANA zone in which times are read and shown." default:"UTC" env:"MOSAIC_ZONE" config:"zone" placeholder:"ZONE"`

	Demo       demoCommand       `cmd:"" help:"Show the main job, start to finish, on a private Postgres and homeserver; then stop."`
	Up         upCommand         `cmd:"" help:"Set up the same and stay, with a prompt that takes the same commands."`
	Gateway    gatewayCommand    `cmd:"" help:"Serve the gateway API, the only door to the register."`
	Bot        botCommand        `cmd:"" help:"Carry commands, notices and votes between Matrix rooms and the gateway."`
	Work       workCommand       `cmd:"" help:"Claim dispatches of a role and run a command on each brief."`
	Collect    collectCommand    `cmd:"" help:"Report what agents' own tools log of their use and their windows."`
	Appservice appserviceCommand `cmd:"" help:"Write the registration file that makes the bot an application service of Synapse."`
	Login      loginCommand      `cmd:"" help:"Log the bot in at a homeserver with OAuth 2.0, by a code that is confirmed in a browser."`
	Doctor     doctorCommand     `cmd:"" help:"Look at every part the bot needs; each line is OK or says how it is mended."`
	Exec       execCommand       `cmd:"" help:"Carry out one command on this terminal, as in a room."`
	Token      tokenCommand      `cmd:"" help:"Issue, list, rotate and revoke bearer tokens; a new one is shown once and stored hashed."`
	Audit      auditCommand      `cmd:"" help:"Check that the fleet's audit is whole."`
	Simulate   simulateCommand   `cmd:"" help:"Play generated work against the budget's rules and against simpler ones, and compare."`
	Settings   settingsCommand   `cmd:"" help:"List every setting: file key, environment variable, default."`
	Completion completionCommand `cmd:"" help:"Print what completes this program's words in a shell: bash, zsh or fish."`
	Complete   completeCommand   `cmd:"" hidden:"" help:"Offer the words that may come next; for what completion prints."`
	Version    versionCommand    `cmd:"" help:"Print the version."`

	Conformance conformanceCommand `cmd:"" help:"Run the contract of the gateway API against a gateway that is not in use, and print what it keeps."`
}

// Run parses and carries out one command line; the result is the exit code: 0 done, 1 not done, 2 not understood.
func Run(ctx context.Context, version string, arguments []string) int {
	file, err := config.Read(configFlag(arguments))
	if err != nil {
		fmt.Fprintln(os.Stderr, "mosaic-matrix:", err)
		return 2
	}
	var cli program
	parser := kong.Must(&cli, kong.Name("mosaic-matrix"), kong.UsageOnError(), kong.Resolvers(file),
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
	parsed.Bind(&cli, parser, versionNumber(version), settings(config.Settings(parser.Model.Node)))
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
		case argument == "--" || argument == "exec" || argument == "complete":
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
