package gateway

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// metrics is what Prometheus may read: requests as they come, the register as it stands when it is read.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(store *fleet.Store, log zerolog.Logger) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mosaic_gateway_requests_total", Help: "Requests by operation and status.",
		}, []string{"operation", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mosaic_gateway_request_seconds", Help: "How long requests took, by operation.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"operation"}),
	}
	m.registry.MustRegister(m.requests, m.duration, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &standing{store: store, log: log})
	return m
}

func (m *metrics) observe(operation string, status int, took time.Duration) {
	m.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	if operation != "streamEvents" {
		m.duration.WithLabelValues(operation).Observe(took.Seconds())
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// standing reads the register's state when it is scraped.
type standing struct {
	store *fleet.Store
	log   zerolog.Logger
}

var (
	dispatchesDesc = prometheus.NewDesc("mosaic_dispatches", "Dispatches by state.", []string{"state"}, nil)
	usedDesc       = prometheus.NewDesc("mosaic_window_used_ratio", "Committed and reserved as a share of the limit above the floor.", windowLabels, nil)
	allowanceDesc  = prometheus.NewDesc("mosaic_window_allowance_ratio", "What even spread allows by now as a share of the limit above the floor.", windowLabels, nil)
	waitingDesc    = prometheus.NewDesc("mosaic_window_waiting", "Dispatches that wait on the window.", windowLabels, nil)
	unsealedDesc   = prometheus.NewDesc("mosaic_audit_unsealed", "Entries of the audit that wait for their seal.", nil, nil)
	waitedDesc     = prometheus.NewDesc("mosaic_audit_unsealed_seconds", "How long the oldest of them has waited.", nil, nil)
	wrongDesc      = prometheus.NewDesc("mosaic_accounts_wrong", "Windows that did not show what their holds and their ledger add up to, when they were last compared.", nil, nil)
	checkedDesc    = prometheus.NewDesc("mosaic_accounts_checked_timestamp_seconds", "When the accounts were last compared.", nil, nil)
	windowLabels   = []string{"provider", "subscription", "window", "unit"}
)

// Describe names the metrics.
func (s *standing) Describe(into chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{dispatchesDesc, usedDesc, allowanceDesc, waitingDesc, unsealedDesc, waitedDesc, wrongDesc, checkedDesc} {
		into <- desc
	}
}

// Collect reads the register; if it cannot, the metrics are absent rather than wrong.
func (s *standing) Collect(into chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	counts, err := s.store.DispatchCounts(ctx)
	if err != nil {
		s.log.Error().Err(err).Msg("Reading the dispatches for metrics failed")
		return
	}
	for state, count := range counts {
		into <- prometheus.MustNewConstMetric(dispatchesDesc, prometheus.GaugeValue, float64(count), state)
	}
	s.collectAudit(ctx, into)
	status, err := s.store.Budgets(ctx, "")
	if err != nil {
		s.log.Error().Err(err).Msg("Reading the windows for metrics failed")
		return
	}
	for _, w := range status.Windows {
		labels := []string{w.Provider, w.Subscription, w.Window, w.Unit}
		capacity := float64(w.LimitMicros - w.FloorMicros)
		into <- prometheus.MustNewConstMetric(usedDesc, prometheus.GaugeValue, float64(w.UsedMicros)/capacity, labels...)
		into <- prometheus.MustNewConstMetric(allowanceDesc, prometheus.GaugeValue, float64(w.AllowanceMicros)/capacity, labels...)
		into <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(w.Waiting), labels...)
	}
}

// collectAudit reads how far the audit is sealed, and what the last comparison of the accounts found, by whichever gateway.
func (s *standing) collectAudit(ctx context.Context, into chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64) {
		into <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	head, err := s.store.AuditHead(ctx)
	if err != nil {
		s.log.Error().Err(err).Msg("Reading the seals for metrics failed")
		return
	}
	gauge(unsealedDesc, float64(head.Unsealed))
	gauge(waitedDesc, head.Waiting.Seconds())
	check, err := s.store.LastCheck(ctx)
	if err != nil {
		s.log.Error().Err(err).Msg("Reading the comparison of the accounts for metrics failed")
		return
	}
	if !check.At.IsZero() {
		gauge(wrongDesc, float64(check.Wrong))
		gauge(checkedDesc, float64(check.At.Unix()))
	}
}
