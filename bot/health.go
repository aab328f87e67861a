package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
)

// Health is how the bot's parts are. A part that is well is "ok"; any other text says what is wrong.
type Health struct {
	// Parts are homeserver, gateway, database and device (its verification).
	Parts map[string]string `json:"parts"`
	// JournalOpen and OutboxOpen count what was heard and not dealt with, and queued and not sent.
	JournalOpen int `json:"journal_open"`
	OutboxOpen  int `json:"outbox_open"`
	// JournalAside and OutboxFailed count what was given up on, each with its reason in the row.
	JournalAside int `json:"journal_aside"`
	OutboxFailed int `json:"outbox_failed"`
	// Encryption is what of end-to-end encryption someone has to look at.
	Encryption Encryption `json:"encryption"`
}

// Ready says whether every part is well.
func (h Health) Ready() bool {
	for _, state := range h.Parts {
		if state != "ok" {
			return false
		}
	}
	return true
}

// Health asks each part how it is; it takes at most some seconds.
func (b *Bot) Health(ctx context.Context) Health {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	health := Health{Parts: map[string]string{}}
	note := func(part string, err error) {
		health.Parts[part] = "ok"
		if err != nil {
			health.Parts[part] = err.Error()
		}
	}
	note("homeserver", b.syncer.state())
	gateway, err := b.api.Ready(ctx)
	if err == nil && gateway.Status != "ok" {
		err = fmt.Errorf("the gateway is not ready: %v", gateway.Parts)
	}
	note("gateway", err)
	verified, err := b.keys.verified(ctx)
	if err == nil && !verified {
		err = errors.New("the bot's device is not verified; clients may not share keys with it")
	}
	note("device", err)
	health.JournalOpen, health.JournalAside, err = b.journal.backlog(ctx)
	if err == nil {
		health.OutboxOpen, health.OutboxFailed, err = b.outbox.backlog(ctx)
	}
	if err == nil {
		health.Encryption, err = b.encryption(ctx)
	}
	note("database", err)
	return health
}

// metrics are what the bot counts for Prometheus.
type metrics struct {
	registry         *prometheus.Registry
	commands         *prometheus.CounterVec
	votes            prometheus.Counter
	events           prometheus.Counter
	sent             prometheus.Counter
	limited          prometheus.Counter
	poisoned         prometheus.Counter
	refusedPlaintext prometheus.Counter
	tooFast          prometheus.Counter
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "mosaic", Subsystem: "bot", Name: name, Help: help})
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "mosaic", Subsystem: "bot", Name: "commands_total", Help: "Commands answered, by how they ended.",
		}, []string{"mood"}),
		votes:            counter("votes_total", "Votes and withdrawals taken to the gateway."),
		events:           counter("events_total", "Events of the fleet heard."),
		sent:             counter("messages_sent_total", "Messages sent."),
		limited:          counter("rate_limited_total", "Times the homeserver asked for silence."),
		poisoned:         counter("sync_left_out_total", "Pieces of a sync that could not be stored and were left out."),
		refusedPlaintext: counter("plaintext_refused_total", "Messages not sent because their room is not encrypted."),
		tooFast:          counter("commands_too_fast_total", "Commands not carried out since their sender gave more than a minute allows."),
	}
	m.registry.MustRegister(m.commands, m.votes, m.events, m.sent, m.limited, m.poisoned, m.refusedPlaintext, m.tooFast)
	return m
}

// gauges are what the bot asks its parts when Prometheus asks it.
type gauges struct {
	bot                                                               *Bot
	ready, journal, aside, outbox, undelivered, unreadable, untrusted *prometheus.Desc
}

func newGauges(b *Bot) *gauges {
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("mosaic_bot_"+name, help, nil, nil)
	}
	return &gauges{
		bot:         b,
		ready:       describe("ready", "1 if every part is well."),
		journal:     describe("journal_open", "Events heard and not dealt with."),
		aside:       describe("journal_aside", "Events set aside with a reason."),
		outbox:      describe("outbox_open", "Messages queued and not sent."),
		undelivered: describe("outbox_failed", "Messages that cannot be sent."),
		unreadable:  describe("unreadable", "Messages whose key has not come in time."),
		untrusted:   describe("keys_reset", "People whose keys were reset and not accepted."),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, description := range []*prometheus.Desc{g.ready, g.journal, g.aside, g.outbox, g.undelivered, g.unreadable, g.untrusted} {
		out <- description
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	health := g.bot.Health(context.Background())
	ready := 0
	if health.Ready() {
		ready = 1
	}
	for description, value := range map[*prometheus.Desc]int{
		g.ready: ready, g.journal: health.JournalOpen, g.aside: health.JournalAside, g.outbox: health.OutboxOpen, g.undelivered: health.OutboxFailed,
		g.unreadable: health.Encryption.Unreadable, g.untrusted: health.Encryption.Untrusted,
	} {
		out <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, float64(value))
	}
}

// standingBy answers /healthz and /readyz while a bot waits: it is alive, and not ready.
func standingBy(listen string, wait func() error) error {
	if listen == "" {
		return wait()
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listening on %s for health: %w", listen, err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /healthz", alive)
	routes.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(Health{Parts: map[string]string{"leader": "another bot is active; this one stands by"}})
	})
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	return wait()
}

func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintln(w, `{"status":"ok"}`)
}

// serve answers /healthz, /readyz and /metrics until ctx ends.
func (b *Bot) serve(ctx context.Context, listener net.Listener) error {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /healthz", alive)
	routes.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		health := b.Health(r.Context())
		w.Header().Set("Content-Type", "application/json")
		if !health.Ready() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		if err := json.NewEncoder(w).Encode(health); err != nil {
			zerolog.Ctx(ctx).Debug().Err(err).Msg("Health answer not written")
		}
	})
	routes.Handle("GET /metrics", promhttp.HandlerFor(b.metrics.registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving health: %w", err)
	}
	return nil
}
