package program

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/gateway"
)

// registerDatabase is where the register lies, for what works on it directly.
type registerDatabase struct {
	Database string `help:"Postgres URL of the role that owns schema fleet." env:"MOSAIC_GATEWAY_DATABASE" hidden:""`
	Tenant   string `help:"The tenant every row belongs to." default:"default" env:"MOSAIC_TENANT" config:"gateway.tenant"`
	Bound    int    `help:"How many dispatches may run at once per role and host of the worker." default:"8" env:"MOSAIC_GATEWAY_WORKER_BOUND" config:"gateway.worker_bound" name:"worker-bound"`
}

func (r registerDatabase) given() error {
	if r.Database == "" {
		return errors.New("no database for the gateway: set MOSAIC_GATEWAY_DATABASE, such as postgres://mosaic_gateway:…@127.0.0.1:5432/mosaic")
	}
	return nil
}

type gatewayCommand struct {
	registerDatabase
	Listen  string  `help:"Address to serve on." default:"127.0.0.1:14242" env:"MOSAIC_GATEWAY_LISTEN" config:"gateway.listen"`
	Rate    float64 `help:"Requests a second one token may make; 0 sets no limit." default:"500" env:"MOSAIC_GATEWAY_RATE" config:"gateway.rate"`
	Context int64   `help:"How many tokens of context one session of a run may have." default:"200000" env:"MOSAIC_GATEWAY_CONTEXT_CAP" config:"gateway.context_cap" name:"context-cap"`
	Burst   int     `help:"Requests one token may make at once." default:"1000" env:"MOSAIC_GATEWAY_BURST" config:"gateway.burst"`

	Unclaimed time.Duration `help:"How long ready work waits for a claim before it returns its hold and says which worker is missing." default:"15m" env:"MOSAIC_GATEWAY_UNCLAIMED_AFTER" config:"gateway.unclaimed_after" name:"unclaimed-after"`
	Retention time.Duration `help:"How long events are replayed to readers; the audit keeps them for good." default:"720h" env:"MOSAIC_GATEWAY_RETENTION" config:"gateway.retention"`

	TLSCert string `help:"PEM certificate to serve https with, read anew when it changes." type:"path" env:"MOSAIC_GATEWAY_TLS_CERT" config:"gateway.tls_cert" name:"tls-cert"`
	TLSKey  string `help:"The key of the gateway's certificate." type:"path" env:"MOSAIC_GATEWAY_TLS_KEY" config:"gateway.tls_key" name:"tls-key"`
}

func (c *gatewayCommand) Run(ctx context.Context, version versionNumber) error {
	if err := c.given(); err != nil {
		return err
	}
	host, _ := os.Hostname()
	server, err := gateway.New(ctx, gateway.Options{
		Listen: c.Listen, DatabaseURL: c.Database, Tenant: c.Tenant, Host: host, Version: string(version), Log: *zerolog.Ctx(ctx),
		RequestsPerSecond: c.Rate, RequestBurst: c.Burst, TLSCertificate: c.TLSCert, TLSKey: c.TLSKey,
		WorkerBound: c.Bound, UnclaimedAfter: c.Unclaimed, Retention: c.Retention, ContextCap: c.Context,
	})
	if err != nil {
		return err
	}
	return server.Run(ctx)
}
