package bot

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// The ways in which the gateway may fail the bot as a whole.
const (
	troubleAway    = "away"
	troubleToken   = "token"
	troubleLimited = "limited"
)

// alertAfter is how long the gateway may be away before those who run the fleet are told.
const alertAfter = 30 * time.Second

// trouble is what is wrong with the gateway now, so that it is told once, and once more when it is over.
type trouble struct {
	mutex sync.Mutex
	kind  string // told; empty if all is well
	away  time.Time
}

// gatewayFailed notes that the gateway did not take a request, and tells the admins if that is theirs to mend.
func (b *Bot) gatewayFailed(ctx context.Context, failure error) {
	kind := troubleOf(failure)
	if kind == "" {
		return
	}
	b.trouble.mutex.Lock()
	if b.trouble.away.IsZero() {
		b.trouble.away = b.now()
	}
	since := b.trouble.away
	known := b.trouble.kind == kind || kind == troubleAway && (b.trouble.kind != "" || b.now().Sub(since) < b.options.AlertAfter)
	if !known {
		b.trouble.kind = kind
	}
	b.trouble.mutex.Unlock()
	if !known {
		b.tellAdmins(ctx, kind, since)
	}
}

// gatewayAnswered notes that the gateway took a request.
func (b *Bot) gatewayAnswered(ctx context.Context) {
	b.trouble.mutex.Lock()
	over, since := b.trouble.kind, b.trouble.away
	b.trouble.kind, b.trouble.away = "", time.Time{}
	b.trouble.mutex.Unlock()
	if over != "" {
		b.tellAdmins(ctx, "over", since)
	}
}

func troubleOf(failure error) string {
	var answer *register.Error
	switch {
	case !errors.As(failure, &answer) || !register.Retryable(failure):
		return ""
	case answer.Status == http.StatusUnauthorized:
		return troubleToken
	case answer.Status == http.StatusTooManyRequests:
		return troubleLimited
	}
	return troubleAway
}

// tellAdmins queues one message for the admins' rooms; the instant makes it another when the same befalls the bot again.
func (b *Bot) tellAdmins(ctx context.Context, what string, since time.Time) {
	text := map[string]string{
		troubleAway: "**The gateway cannot be reached** at " + plain(b.api.Base()) + ". Commands are kept, and carried out once it answers.\n\n" +
			"Start it with `mosaic-matrix gateway`; `mosaic-matrix doctor` says what else is amiss.",
		troubleToken: "**The gateway does not accept my token.** Commands are kept, and carried out once it does.\n\n" +
			"Issue another with `mosaic-matrix token --identity mosaic-bot --kind service --scopes bot`, set MOSAIC_GATEWAY_TOKEN and start me again.",
		troubleLimited: "**The gateway takes no more requests of mine for now.** Commands are kept, and carried out when it does.\n\n" +
			"If this comes often, raise `gateway.rate` and `gateway.burst`.",
		"over": "**The gateway takes my requests again.** What was kept is carried out now.",
	}[what]
	err := b.alert(ctx, "gateway "+what+" "+since.UTC().Format(time.RFC3339Nano), text)
	if err == nil {
		err = b.queueAlerts(ctx)
	}
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Str("what", what).Msg("The admins cannot be told of the gateway yet")
	}
}

// watchGateway asks the gateway how it is, so that its absence is noticed while nobody commands.
func (b *Bot) watchGateway(ctx context.Context) {
	for ctx.Err() == nil {
		asked, cancel := context.WithTimeout(ctx, callPatience)
		_, err := b.api.WhoAmI(asked, register.By{})
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			b.gatewayAnswered(ctx)
		default:
			b.gatewayFailed(ctx, err)
		}
		pause(ctx, min(b.options.AlertAfter, 10*time.Second))
	}
}
