package up

import (
	"context"
	"fmt"
	"path/filepath"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/system"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// home is the homeserver the fleet lives on, and who lives there.
type home struct {
	url    string
	server local.Homeserver // nil if it is the operator's own
	bot    system.Account
	people []system.Person
	stop   func()
}

// The board of a new fleet; the operator may seat others later.
var board = []system.Person{
	{Name: "ceo", Seat: "CEO", Lens: "mission"},
	{Name: "cto", Seat: "CTO", Lens: "feasibility"},
	{Name: "cfo", Seat: "CFO", Lens: "cost"},
}

func operator(userID string) system.Person {
	return system.Person{
		Name: "operator", MatrixID: userID, Kind: register.IdentityRequestKindHuman,
		Roles: []register.FleetRole{register.FleetRoleOperator, register.FleetRoleAdmin},
	}
}

func member(person system.Person, userID string) system.Person {
	person.MatrixID, person.Kind = userID, register.IdentityRequestKindHuman
	person.Roles = []register.FleetRole{register.FleetRoleBoard}
	return person
}

// homeserver finds or starts the homeserver and makes sure of the accounts on it.
func (o Options) homeserver(ctx context.Context, folder string, secrets *local.Secrets, progress *local.Progress) (*home, error) {
	external, err := o.external()
	if err != nil {
		return nil, err
	}
	if external {
		return o.ownHomeserver()
	}
	server, err := o.startServer(ctx, folder, progress)
	if err != nil {
		return nil, err
	}
	h := &home{url: server.URL(), server: server, stop: server.Stop}
	if err := h.populate(ctx, system.Accounts{Homeserver: server, Secrets: secrets}); err != nil {
		server.Stop()
		return nil, err
	}
	return h, nil
}

// ownHomeserver takes the accounts the operator named; nothing is made there but the rooms the bot makes.
func (o Options) ownHomeserver() (*home, error) {
	if len(o.Board) > len(board) {
		return nil, fmt.Errorf("a new board has %d seats (CEO, CTO, CFO), and %d members were named; seat the others once it runs", len(board), len(o.Board))
	}
	h := &home{url: o.Homeserver, bot: system.Account{UserID: o.BotID, Password: o.BotPassword}, people: []system.Person{operator(o.Operator)}, stop: func() {}}
	for i, userID := range o.Board {
		h.people = append(h.people, member(board[i], userID))
	}
	return h, nil
}

func (o Options) startServer(ctx context.Context, folder string, progress *local.Progress) (local.Homeserver, error) {
	options := local.HomeserverOptions{
		ServerName: o.ServerName, Host: o.Host, TLSCertificate: o.TLSCertificate, TLSKey: o.TLSKey,
		RateLimits: true, Exempt: []string{"@mosaic:" + o.serverName()}, Binaries: filepath.Join(o.Directory, "bin"), Progress: progress,
	}
	kind := o.Server
	if kind == "" {
		kind = "dendrite"
	}
	return local.StartHomeserver(ctx, kind, filepath.Join(folder, kind), options)
}

func (o Options) serverName() string {
	if o.ServerName == "" {
		return "localhost"
	}
	return o.ServerName
}

// populate makes the bot's, the operator's and the board's accounts.
func (h *home) populate(ctx context.Context, accounts system.Accounts) error {
	bot, err := accounts.Make(ctx, "mosaic")
	if err != nil {
		return err
	}
	h.bot = bot
	account, err := accounts.Make(ctx, "operator")
	if err != nil {
		return err
	}
	h.people = []system.Person{operator(account.UserID)}
	for _, person := range board {
		account, err := accounts.Make(ctx, person.Name)
		if err != nil {
			return err
		}
		h.people = append(h.people, member(person, account.UserID))
	}
	return nil
}
