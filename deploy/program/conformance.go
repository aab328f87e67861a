package program

import (
	"context"
	"errors"
	"os"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/conformance"
)

// conformanceCommand makes what it needs through the API; tokens of narrower scopes are given, so that it need not issue any.
type conformanceCommand struct {
	URL         string   `help:"The gateway to talk to." default:"http://127.0.0.1:14242" env:"MOSAIC_GATEWAY_URL" config:"gateway.url" name:"gateway"`
	Token       string   `help:"Bearer token for the gateway." env:"MOSAIC_GATEWAY_TOKEN"`
	WorkerToken string   `help:"For conformance: a token with only the scope worker, to claim with." env:"MOSAIC_CONFORMANCE_WORKER_TOKEN"`
	ReadToken   string   `help:"For conformance: a token with only the scope read, which must not change anything." env:"MOSAIC_CONFORMANCE_READ_TOKEN"`
	RateProbe   int      `help:"How many requests to send at once to meet the gateway's rate limit, with a token of its own; 0 does not try." default:"3000"`
	Only        []string `help:"For conformance: the areas to try, such as claims,board; without it all of them. Whoever the run acts for is always made first." placeholder:"AREA"`
}

func (c *conformanceCommand) Run(ctx context.Context) error {
	if c.Token == "" {
		return errors.New("no token for the gateway: set MOSAIC_GATEWAY_TOKEN to one with the scope admin, of an identity with the role admin")
	}
	report, err := conformance.Run(ctx, conformance.Options{
		URL: c.URL, Token: c.Token, WorkerToken: c.WorkerToken, ReadToken: c.ReadToken, RateProbe: c.RateProbe, Only: c.Only,
	})
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
