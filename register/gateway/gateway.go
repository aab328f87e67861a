// Package gateway is the HTTP server of the gateway API, the only door to the register. It says who asks, checks the
// request against the contract, lets the register decide and answers; it has no rules of its own.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// Options say which register a gateway serves, and where.
type Options struct {
	// Listen is the address, such as 127.0.0.1:14242; port 0 takes a free one.
	Listen      string
	DatabaseURL string
	Tenant      string
	// Host names this machine in every row the gateway writes.
	Host    string
	Version string
	// Ladder is the tiers from the highest to the lowest; empty takes budget.DefaultLadder.
	Ladder budget.Ladder
	// BurstPPM is the slack of new windows in parts per million of their capacity; 0 takes budget.DefaultBurstPPM.
	BurstPPM int64
	// RequestsPerSecond is how many requests one token may make a second, and RequestBurst how many at once; 0 sets no limit.
	RequestsPerSecond float64
	RequestBurst      int
	// TLSCertificate and TLSKey are PEM files, read anew when they change; without them the gateway serves plain HTTP.
	TLSCertificate string
	TLSKey         string
	// WorkerBound is how many dispatches may run at once per role and host of the worker; 0 takes 8.
	WorkerBound int
	// UnclaimedAfter is how long ready work waits for a claim before it returns its hold; 0 takes 15 minutes.
	UnclaimedAfter time.Duration
	// Retention is how long events are replayed to readers; 0 takes 30 days. The audit keeps them for good.
	Retention time.Duration
	// ContextCap is how many tokens of context one session of a run may have; 0 takes 200000.
	ContextCap int64
	Log        zerolog.Logger
	// Now is the machine's clock, time.Now if it is nil. It decides nothing: the register's instants are the database's.
	Now func() time.Time
}

const (
	defaultWorkerBound    = 8
	defaultUnclaimedAfter = 15 * time.Minute
)

// connections bounds the gateway's connections to its database.
const connections = 16

// Gateway serves the gateway API until its Run ends. Several may serve one database.
type Gateway struct {
	options  Options
	store    *fleet.Store
	listener net.Listener
	server   *http.Server
	stream   *stream
	changed  chan struct{} // events wait for their numbers
	replan   chan struct{} // waiting work should be judged anew
	schedule chan struct{} // the next wake-up may have moved
	metrics  *metrics
	patience patience
	swept    atomic.Int64 // when the sweep last succeeded, in Unix nanoseconds
	limits   *limits
	secure   *certificate // nil: plain HTTP
}

// New migrates the database, connects to it and begins to listen; Run serves.
func New(ctx context.Context, options Options) (*Gateway, error) {
	options = withDefaults(options)
	if err := fleet.Migrate(ctx, options.DatabaseURL); err != nil {
		return nil, err
	}
	g := &Gateway{
		options:  options,
		stream:   newStream(),
		changed:  make(chan struct{}, 1),
		replan:   make(chan struct{}, 1),
		schedule: make(chan struct{}, 1),
		patience: usualPatience,
		limits:   newLimits(options.RequestsPerSecond, options.RequestBurst),
	}
	g.swept.Store(g.options.Now().UnixNano())
	var err error
	g.store, err = fleet.Open(ctx, options.DatabaseURL, fleet.Options{
		Tenant: options.Tenant, Host: options.Host, Ladder: options.Ladder, BurstPPM: options.BurstPPM, Changed: g.onChange, Connections: connections,
		WorkerBound: options.WorkerBound, UnclaimedAfter: options.UnclaimedAfter, Retention: options.Retention,
		ContextCap: options.ContextCap,
	})
	if err != nil {
		return nil, err
	}
	g.metrics = newMetrics(g.store, options.Log)
	g.secure, err = newCertificate(options.TLSCertificate, options.TLSKey, options.Log)
	var handler http.Handler
	if err == nil {
		handler, err = g.handler()
	}
	if err == nil {
		g.listener, err = net.Listen("tcp", options.Listen)
	}
	if err != nil {
		g.store.Close()
		return nil, fmt.Errorf("starting the gateway on %s: %w", options.Listen, err)
	}
	g.server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	if g.secure != nil {
		g.server.TLSConfig = g.secure.config()
	}
	g.server.RegisterOnShutdown(g.stream.end)
	return g, nil
}

func withDefaults(options Options) Options {
	if options.Tenant == "" {
		options.Tenant = "default"
	}
	if options.Host == "" {
		options.Host = "localhost"
	}
	if options.Version == "" {
		options.Version = "dev"
	}
	if len(options.Ladder) == 0 {
		options.Ladder = budget.DefaultLadder()
	}
	if options.WorkerBound <= 0 {
		options.WorkerBound = defaultWorkerBound
	}
	if options.UnclaimedAfter <= 0 {
		options.UnclaimedAfter = defaultUnclaimedAfter
	}
	if options.BurstPPM == 0 {
		options.BurstPPM = budget.DefaultBurstPPM
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	return options
}

// URL is where the gateway listens.
func (g *Gateway) URL() string {
	if g.secure != nil {
		return "https://" + g.listener.Addr().String()
	}
	return "http://" + g.listener.Addr().String()
}

// Run serves until ctx ends, then lets running requests finish for up to ten seconds.
func (g *Gateway) Run(ctx context.Context) error {
	defer g.store.Close()
	ctx, stop := context.WithCancel(g.options.Log.WithContext(ctx))
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.serve() })
	group.Go(func() error { return g.number(ctx) })
	group.Go(func() error { return g.wake(ctx) })
	group.Go(func() error { return g.sweep(ctx) })
	group.Go(func() error { return g.seal(ctx) })
	group.Go(func() error { return g.chores(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return g.server.Shutdown(grace)
	})
	g.options.Log.Info().Str("url", g.URL()).Str("tenant", g.options.Tenant).Msg("The gateway listens")
	if exposed(g.listener.Addr(), g.secure != nil) {
		g.options.Log.Warn().Msg("Tokens cross the network unencrypted: this address is beyond loopback and has no TLS; give --tls-cert and --tls-key, or keep it behind a proxy that has TLS")
	}
	return group.Wait()
}

func (g *Gateway) serve() error {
	serve := g.server.Serve
	if g.secure != nil {
		serve = func(listener net.Listener) error { return g.server.ServeTLS(listener, "", "") }
	}
	if err := serve(g.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the gateway API: %w", err)
	}
	return nil
}

// onChange is called after every commit that wrote an event.
func (g *Gateway) onChange(change fleet.Change) {
	poke(g.changed)
	if change.Replan {
		poke(g.replan)
	}
	if change.Schedule {
		poke(g.schedule)
	}
}

func poke(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}
