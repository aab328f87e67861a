package system

import (
	"context"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
)

// Accounts makes Matrix accounts on a homeserver of ours, with generated passwords that are kept.
type Accounts struct {
	Homeserver local.Homeserver
	Secrets    *local.Secrets
}

// Account is a Matrix account and its password.
type Account struct {
	UserID, Password string
}

// Make makes the account called name, or checks that it is there with the kept password.
func (a Accounts) Make(ctx context.Context, name string) (Account, error) {
	password, err := a.Secrets.Generated("password_" + name)
	if err != nil {
		return Account{}, err
	}
	userID, err := local.RegisterUser(ctx, a.Homeserver.URL(), a.Homeserver.SharedSecret(), local.User{Name: name, Password: password, DisplayName: name})
	return Account{UserID: userID, Password: password}, err
}

// Database makes the fleet's database with its two roles on a cluster of ours, or completes one that is there.
func Database(ctx context.Context, postgres *local.Postgres, secrets *local.Secrets) (local.Database, error) {
	gateway, err := secrets.Generated("database_gateway")
	if err != nil {
		return local.Database{}, err
	}
	bot, err := secrets.Generated("database_bot")
	if err != nil {
		return local.Database{}, err
	}
	return local.PrepareDatabase(ctx, postgres.URL("postgres"), "mosaic", local.Passwords{Gateway: gateway, Bot: bot})
}
