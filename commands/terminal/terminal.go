// Package terminal carries out the same commands on a TTY as the bot does in a room: operations never depend on chat being up.
package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// Exit codes of a command.
const (
	Done       = 0 // carried out, or accepted and waiting
	Refused    = 1 // understood and not done; nothing was changed
	Misread    = 2 // not understood; nothing was sent
	Unanswered = 4 // no answer; a command that changes something may have been carried out
)

// Options are what a terminal needs; API, Out and Err are required.
type Options struct {
	API *register.API
	// Actor is set where the token may act for others; empty is the token's own identity.
	Actor string
	Zone  *time.Location
	// In is what Prompt reads; nil is the standard input.
	In   io.Reader
	Out  io.Writer
	Err  io.Writer
	JSON bool
	// Key makes a repeated command the same command, for Exec; empty makes a new one.
	Key string
	// Patience is how long the gateway is waited for, and asked again; default 10 s.
	Patience time.Duration
}

// Exec carries out one command given as words and returns its exit code.
func Exec(ctx context.Context, options Options, words []string) int {
	if options.Key == "" {
		options.Key = newKey()
	}
	again := fmt.Sprintf("Repeat it with `exec --key %s …`: it then happens at most once.", options.Key)
	return carryOut(ctx, options, commands.Asked{Words: words}, manner{prefix: "mosaic-matrix exec", again: again})
}

// manner is how commands are given here.
type manner struct {
	prefix string // what a command in a reply begins with
	again  string // how the same command is repeated
}

// carryOut understands one command, runs it under options.Key, prints the reply and returns the exit code.
func carryOut(ctx context.Context, options Options, asked commands.Asked, as manner) int {
	asked.At, asked.Zone, asked.Origin = givenAt(options.Key), options.Zone, register.Origin{Transport: register.OriginTransportTty}
	call, err := commands.Prepare(asked)
	var usage *commands.UsageError
	if errors.As(err, &usage) {
		fmt.Fprintln(options.Err, as.plain(usage.Markdown()))
		return Misread
	}
	if err != nil {
		fmt.Fprintln(options.Err, err)
		return Misread
	}
	reply, lost, err := insist(ctx, options, call)
	if err != nil {
		return explain(options, err, lost && call.Mutation != nil, as.again)
	}
	if err := write(reply.Picture); err != nil {
		fmt.Fprintln(options.Err, err)
		return Refused
	}
	switch {
	case options.JSON:
		fmt.Fprintln(options.Out, commands.JSON(reply))
	case reply.File.Text != "":
		fmt.Fprint(options.Out, as.plain(reply.Markdown), "\n\n", printable(reply.File.Text))
	default:
		fmt.Fprintln(options.Out, as.plain(reply.Markdown))
	}
	if reply.Mood == commands.MoodRefused {
		return Refused
	}
	return Done
}

// printable is text without what would steer the terminal, since a run's output is whatever its command wrote.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
}

// plain is a reply's Markdown as plain text, with the commands in it as they are given here.
func (m manner) plain(markdown string) string {
	return commands.Plain(commands.WithPrefix(markdown, m.prefix))
}

// insist asks again with the same key and bytes while the gateway gives no answer that stands. lost says that an attempt may
// have reached the gateway without its answer reaching us.
func insist(ctx context.Context, options Options, call commands.Call) (reply commands.Reply, lost bool, err error) {
	patience := options.Patience
	if patience == 0 {
		patience = 10 * time.Second
	}
	trying, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	by := register.By{Actor: options.Actor, Key: options.Key}
	for told := false; ; {
		reply, err = commands.Run(trying, options.API, by, call)
		if err == nil {
			return reply, lost, nil
		}
		lost = lost || mayHaveArrived(err)
		if !register.Retryable(err) || register.CodeOf(err) == register.ProblemCodeUnauthorized || trying.Err() != nil {
			return reply, lost, err
		}
		if !told {
			fmt.Fprintf(options.Err, "No answer from the gateway at %s; asking again for %s.\n", options.API.Base(), patience)
			told = true
		}
		select {
		case <-trying.Done():
			return reply, lost, err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// mayHaveArrived is false where the gateway has said that it did nothing.
func mayHaveArrived(err error) bool {
	var failure *register.Error
	return !errors.As(err, &failure) || failure.Status < 400 || failure.Status >= 500
}

// explain says what it means for the command that it has no answer.
func explain(options Options, err error, unknown bool, again string) int {
	said := err.Error()
	if errors.Is(err, context.Canceled) {
		said = "Interrupted before the gateway answered."
	}
	fmt.Fprintln(options.Err, said)
	switch {
	case unknown:
		fmt.Fprintln(options.Err, "It is not known whether it was carried out.", again)
		return Unanswered
	case register.CodeOf(err) == register.ProblemCodeUnauthorized:
		fmt.Fprintln(options.Err, "Nothing was changed. Set MOSAIC_GATEWAY_TOKEN to a token the gateway knows.")
		return Refused
	case mayHaveArrived(err):
		fmt.Fprintln(options.Err, "Nothing was changed: this command only reads.")
		return Unanswered
	}
	fmt.Fprintln(options.Err, "Nothing was changed.")
	return Refused
}
