package program

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/terminal"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/gateway"
)

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
