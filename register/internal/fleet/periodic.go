package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// riverSchema is where River keeps its tables: beside the register's own.
const riverSchema = "fleet"

// quietDriver lets River neither listen nor notify: a notification takes a lock that every commit in the database waits for.
type quietDriver struct{ *riverpgxv5.Driver }

func (quietDriver) SupportsListener() bool     { return false }
func (quietDriver) SupportsListenNotify() bool { return false }

// chore is work that comes around by itself and that one gateway does for all of them, for each tenant in turn.
type chore struct {
	kind  string
	every time.Duration
	do    func(*Store, context.Context) error
}

// chores never runs per dispatch: it forgets, tells and compares. What has to happen within a second stays in each gateway.
var chores = []chore{
	{"forget", time.Hour, (*Store).Forget},
	{"retain", time.Hour, (*Store).Retain},
	// It comes around more often than it speaks, so that a gateway that was down at midnight is not a day late.
	{"audit_head", 10 * time.Minute, (*Store).tellHead},
	{"warn", burnPoll, (*Store).Warn},
	{"check", 10 * time.Minute, (*Store).checkAndComplain},
}

func (s *Store) tellHead(ctx context.Context) error {
	_, err := s.TellHead(ctx)
	return err
}

func (s *Store) checkAndComplain(ctx context.Context) error {
	wrong, err := s.CheckAccounts(ctx)
	for _, w := range wrong {
		zerolog.Ctx(ctx).Error().Str("tenant", s.options.Tenant).Int64("window", w.Window).
			Int64("reserved_micros", w.Reserved).Int64("held_micros", w.Held).
			Int64("margin_micros", w.Margin).Int64("held_margin_micros", w.HeldMargin).
			Int64("committed_micros", w.Committed).Int64("booked_micros", w.Recorded).
			Msg("A window does not show what its holds and its ledger add up to")
	}
	return err
}

// choreArgs is a job of River's: one chore, one time.
type choreArgs struct {
	Chore string `json:"chore" river:"unique"`
}

// Kind implements river.JobArgs.
func (choreArgs) Kind() string { return "chore" }

// choreWorker does a chore for every tenant of the database, since whichever gateway has the lead knows only its own.
type choreWorker struct {
	river.WorkerDefaults[choreArgs]
	store *Store
	log   zerolog.Logger
}

// Work implements river.Worker.
func (w *choreWorker) Work(ctx context.Context, job *river.Job[choreArgs]) error {
	tenants, err := query.New(w.store.pool).ListTenants(ctx)
	if err != nil {
		return fmt.Errorf("listing the tenants: %w", err)
	}
	ctx = w.log.WithContext(ctx)
	for _, c := range chores {
		if c.kind != job.Args.Chore {
			continue
		}
		for _, tenant := range tenants {
			if err := c.do(w.store.of(tenant), ctx); err != nil {
				return fmt.Errorf("%s for %s: %w", c.kind, tenant, err)
			}
		}
	}
	return nil
}

// of is the same store for another tenant.
func (s *Store) of(tenant string) *Store {
	options := s.options
	options.Tenant = tenant
	return &Store{pool: s.pool, options: options, ladders: &ladders{}, memory: &memory{}}
}

// DoChores does the periodic work until ctx ends. Any number of gateways may call it: River elects one that says when work is
// due, and gives each piece of it to one of them.
func (s *Store) DoChores(ctx context.Context, log zerolog.Logger) error {
	return s.doChores(ctx, log, 5*time.Second)
}

func (s *Store) doChores(ctx context.Context, log zerolog.Logger, poll time.Duration) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, &choreWorker{store: s, log: log})
	client, err := river.NewClient(quietDriver{riverpgxv5.New(s.pool)}, &river.Config{
		Schema: riverSchema, PollOnly: true, FetchPollInterval: poll, Workers: workers,
		Queues:       map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}},
		PeriodicJobs: periodicJobs(),
		JobTimeout:   5 * time.Minute,
		// Its own words go into the gateway's log from warnings up.
		Logger:                      slog.New(zerolog.NewSlogHandler(log.Level(max(zerolog.WarnLevel, log.GetLevel())))),
		CompletedJobRetentionPeriod: 24 * time.Hour,
		ReindexerIndexNames:         []string{}, // its tables stay small
	})
	if err != nil {
		return fmt.Errorf("preparing the periodic work: %w", err)
	}
	if err := client.Start(ctx); err != nil {
		return fmt.Errorf("starting the periodic work: %w", err)
	}
	<-client.Stopped()
	return nil
}

func periodicJobs() []*river.PeriodicJob {
	jobs := make([]*river.PeriodicJob, 0, len(chores))
	for _, c := range chores {
		jobs = append(jobs, river.NewPeriodicJob(river.PeriodicInterval(c.every), func() (river.JobArgs, *river.InsertOpts) {
			// A new lead starts counting anew; within one period the job is there already.
			return choreArgs{Chore: c.kind}, &river.InsertOpts{MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: c.every}}
		}, &river.PeriodicJobOpts{ID: c.kind, RunOnStart: true}))
	}
	return jobs
}
