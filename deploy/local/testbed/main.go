// testbed runs a command with a Postgres and a homeserver of its own, on free ports, and takes both away when it ends:
//
//	go run ./deploy/local/testbed -- go test ./...
//
// The command finds them in MOSAIC_TEST_POSTGRES (superuser URL), MOSAIC_TEST_HOMESERVER (URL) and
// MOSAIC_TEST_HOMESERVER_SECRET (registration secret). On Synapse MOSAIC_TEST_APPSERVICES is a folder of registration files, each for a
// bot that is an application service. Its exit code is passed on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
)

// interrupted is the exit code a shell gives for Ctrl-C.
const interrupted = 130

func main() {
	server := flag.String("server", "dendrite", "the homeserver: dendrite or synapse")
	limits := flag.Bool("limits", false, "leave the homeserver the rate limits it comes with; the command finds MOSAIC_TEST_LIMITS=stock")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: testbed [-server dendrite|synapse] [-limits] -- COMMAND [ARGUMENT…]")
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	go endWithParent(ctx, cancel)
	code, err := run(ctx, *server, *limits, flag.Args())
	if errors.Is(err, context.Canceled) {
		os.Exit(interrupted)
	}
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testbed:", err)
		code = 1
	}
	os.Exit(code)
}

func run(ctx context.Context, server string, limits bool, command []string) (int, error) {
	progress := local.NewProgress(os.Stderr)
	parts, err := local.NewParts(ctx, server, progress)
	if err != nil {
		return 1, err
	}
	parts.RateLimits = limits
	registrations := ""
	if server == "synapse" {
		if registrations, parts.Registrations, err = register(); err != nil {
			return 1, err
		}
		defer os.RemoveAll(registrations)
	}
	done := progress.Step("Starting a Postgres and a homeserver for the tests")
	database, homeserver, err := parts.Start()
	done(err)
	if err != nil {
		parts.Stop()
		return 1, err
	}
	defer parts.Stop(database.Process(), homeserver.Process())
	environment := append(os.Environ(),
		"MOSAIC_TEST_POSTGRES="+database.URL("postgres"),
		"MOSAIC_TEST_HOMESERVER="+homeserver.URL(),
		"MOSAIC_TEST_HOMESERVER_SECRET="+homeserver.SharedSecret())
	if limits {
		environment = append(environment, "MOSAIC_TEST_LIMITS=stock")
	}
	if registrations != "" {
		environment = append(environment, "MOSAIC_TEST_APPSERVICES="+registrations)
	}
	process, err := local.StartProcess(local.ProcessOptions{
		Name: command[0], Path: command[0], Args: command[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Family: true,
		Env: environment,
	})
	if err != nil {
		return 1, err
	}
	select {
	case <-process.Done():
	case <-ctx.Done():
		process.Stop()
	}
	return process.ExitCode(), nil
}

// endWithParent ends the testbed when `go run`, its usual parent, was killed: nothing else would tell it.
func endWithParent(ctx context.Context, end func()) {
	parent := os.Getppid()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if os.Getppid() != parent {
				end()
				return
			}
		}
	}
}
