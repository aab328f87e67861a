package up

import (
	"context"
	"fmt"
	"io"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/system"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// tell prints how to get in: addresses, users, where their passwords lie, which clients work, and what to type.
func tell(ctx context.Context, options Options, home *home, fleet *system.System, secrets *local.Secrets) error {
	out := options.Out
	rooms, err := fleet.Rooms(ctx)
	if err != nil {
		return err
	}
	line := func(label, text string) { _, _ = fmt.Fprintf(out, "  %-12s %s\n", label, text) }
	_, _ = fmt.Fprintln(out, "\nThe fleet is up.")
	if home.server != nil {
		line("homeserver", fmt.Sprintf("%s  (%s, server name %s)", home.url, home.server.Software(), home.server.ServerName()))
		line("users", names(home))
		line("passwords", fmt.Sprintf("%s (only you may read it); the operator's is password_operator", secrets.Path()))
		line("clients", clients(home.server))
	} else {
		line("homeserver", home.url+"  (your own)")
		line("bot", home.bot.UserID)
		line("members", names(home)+", invited to the rooms below")
	}
	for _, purpose := range []register.RoomPurpose{register.RoomPurposeFleet, register.RoomPurposeBudget, register.RoomPurposeBoard} {
		line("room "+string(purpose), strings.TrimSpace(rooms[purpose].Alias+"  "+rooms[purpose].Room))
	}
	line("gateway", fleet.URL())
	line("terminal", fmt.Sprintf("MOSAIC_GATEWAY_URL=%s MOSAIC_GATEWAY_TOKEN=<token_operator in %s> mosaic-matrix exec status", fleet.URL(), secrets.Path()))
	line("worker", "coder-1, a sample that surveys a folder of Go code: dispatch coder \"Survey ./budget\"")
	if home.server != nil {
		_, _ = fmt.Fprintln(out, "\n"+local.PhoneAdvice(home.server))
	}
	_, _ = io.WriteString(out, "\nType a command, such as: help, status, budget set --provider claude --limit 500 --unit credits --reset-at +5h\nLeave with exit or Ctrl-D; the state stays.\n\n")
	return nil
}

func names(home *home) string {
	var all []string
	for _, person := range home.people {
		all = append(all, person.MatrixID)
	}
	return strings.Join(all, ", ")
}

func clients(server local.Homeserver) string {
	if server.SlidingSync() {
		return "Element Web, Desktop and X, FluffyChat, and others"
	}
	return "Element Web and Desktop, Element (classic) on a phone, FluffyChat; not Element X, which needs sliding sync: make up SERVER=synapse"
}
