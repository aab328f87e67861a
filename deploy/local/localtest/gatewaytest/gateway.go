// Package gatewaytest gives a test a real gateway on a register of its own, and a line to it that can be broken, so that a test of
// whoever talks to a gateway need not know the gateway.
package gatewaytest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/gateway"
)

// Tenant and Host are the gateway's, unless its options say otherwise.
const (
	Tenant = "acme"
	Host   = "alpha"
)

// Options are the gateway's own.
type Options = gateway.Options

// Gateway runs until its test ends or Stop is called.
type Gateway struct {
	Database localtest.DB
	URL      string
	Stop     func() // waits for its end; may be called again
	tenant   string
}

// Register makes a register without a gateway.
func Register(t testing.TB) localtest.DB {
	t.Helper()
	return localtest.Migrated(t, gateway.Migrate)
}

// Start runs a gateway on a register of its own; alter changes its options.
func Start(t testing.TB, alter ...func(*Options)) *Gateway {
	t.Helper()
	return On(t, Register(t), alter...)
}

// On runs a gateway on a register that there is.
func On(t testing.TB, database localtest.DB, alter ...func(*Options)) *Gateway {
	t.Helper()
	options := Options{Listen: "127.0.0.1:0", DatabaseURL: database.Gateway, Tenant: Tenant, Host: Host, Log: zerolog.Nop()}
	for _, change := range alter {
		change(&options)
	}
	server, err := gateway.New(t.Context(), options)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return &Gateway{Database: database, URL: server.URL(), Stop: stop, tenant: options.Tenant}
}

// Identify makes sure that there is an identity of a kind: human, agent or service.
func (g *Gateway) Identify(t testing.TB, name, kind string, roles ...string) {
	t.Helper()
	require.NoError(t, gateway.EnsureIdentity(t.Context(), g.Database.Gateway, g.tenant, name, kind, roles))
}

// Token issues a token, good for an hour, to an identity that there is.
func (g *Gateway) Token(t testing.TB, name string, scopes ...string) string {
	t.Helper()
	token, err := gateway.IssueToken(t.Context(), g.Database.Gateway, g.tenant, name, scopes, time.Hour)
	require.NoError(t, err)
	return token
}

// caller is what one of a role is and may ask.
var callers = map[string]struct{ kind, scope string }{
	"admin": {"human", "admin"}, "operator": {"human", "operate"}, "viewer": {"human", "read"}, "worker": {"agent", "worker"},
}

// TokenAs makes an identity with one role and issues its token.
func (g *Gateway) TokenAs(t testing.TB, role, name string) string {
	t.Helper()
	caller, known := callers[role]
	require.True(t, known, "no token is made for the role %q", role)
	g.Identify(t, name, caller.kind, role)
	return g.Token(t, name, caller.scope)
}

// BotToken makes the bot's identity and issues its token.
func (g *Gateway) BotToken(t testing.TB) string {
	t.Helper()
	g.Identify(t, "mosaic-bot", "service")
	return g.Token(t, "mosaic-bot", "bot")
}

// As talks to the gateway with a token of one who has a role.
func (g *Gateway) As(t testing.TB, role, name string) *register.API {
	t.Helper()
	return register.NewAPI(g.URL, g.TokenAs(t, role, name))
}
