package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// The verdicts on a reading.
const (
	ReadingBelieved = "believed"
	ReadingDoubted  = "doubted"
)

// Why a reading is doubted. Only an unlikely one is confirmed by a second that agrees.
const (
	doubtFuture   = "future"
	doubtStale    = "stale"
	doubtOlder    = "older"
	doubtReset    = "reset-past"
	doubtLapsed   = "lapsed"
	doubtUnlikely = "unlikely"
)

// skew is how far ahead of ours a reporter's clock may be.
const skew = time.Minute

// WindowReading is what a provider was read to say of a window, and what became of it.
type WindowReading struct {
	ID           int64     `json:"id"`
	Provider     string    `json:"provider"`
	Subscription string    `json:"subscription"`
	Window       string    `json:"window"`
	Unit         string    `json:"unit"`
	UsedMicros   int64     `json:"used_micros"`
	LimitMicros  *int64    `json:"limit_micros,omitempty"`
	ResetAt      time.Time `json:"reset_at,omitzero"`
	EverySeconds int64     `json:"every_seconds,omitempty"`
	Source       string    `json:"source"`
	Confidence   float64   `json:"confidence"`
	Reporter     string    `json:"reporter"`
	Actor        string    `json:"actor"`
	TakenAt      time.Time `json:"taken_at"`
	RecordedAt   time.Time `json:"recorded_at"`
	Verdict      string    `json:"verdict"`
	Cause        string    `json:"cause"`
	BookedMicros int64     `json:"booked_micros"`

	doubt    string
	redeemed bool
}

// ReadingAnswer is a reading and what it changed.
type ReadingAnswer struct {
	Reading   WindowReading `json:"reading"`
	Before    *Window       `json:"before,omitempty"`
	After     *Window       `json:"after,omitempty"`
	Replanned []DispatchID  `json:"replanned"`
	Now       time.Time     `json:"now"`
}

// ReadingPage is a page of readings, newest first.
type ReadingPage struct {
	Readings []WindowReading `json:"readings"`
	Next     string          `json:"next,omitempty"`
}

// Readings lists readings before an ID, newest first; 0 is from the newest on. Next is the last one's ID if there are more.
func (s *Store) Readings(ctx context.Context, provider string, before int64, page int) (ReadingPage, error) {
	rows, err := query.New(s.pool).ListReadings(ctx, query.ListReadingsParams{
		TenantID: s.options.Tenant, Provider: provider, Before: before, Page: int32(page) + 1,
	})
	if err != nil {
		return ReadingPage{}, fmt.Errorf("reading the readings: %w", err)
	}
	out := ReadingPage{Readings: make([]WindowReading, 0, len(rows))}
	for i := range rows {
		if i == page {
			out.Next = fmt.Sprint(rows[i-1].ID)
			break
		}
		out.Readings = append(out.Readings, readingOf(&rows[i]))
	}
	return out, nil
}

func readingOf(row *query.Reading) WindowReading {
	out := WindowReading{
		ID: row.ID, Provider: row.Provider, Subscription: row.Subscription, Window: row.WindowName, Unit: row.Unit,
		UsedMicros: row.UsedMicros, LimitMicros: row.LimitMicros, ResetAt: instant(row.ResetAt), Source: row.Source,
		Confidence: row.Confidence, Reporter: row.Reporter, Actor: row.Actor, TakenAt: row.TakenAt.UTC(), RecordedAt: row.RecordedAt.UTC(),
		Verdict: row.Verdict, Cause: row.Cause, BookedMicros: row.BookedMicros, doubt: row.Doubt,
	}
	if row.EverySeconds != nil {
		out.EverySeconds = *row.EverySeconds
	}
	return out
}

// ReadingReport is a reading as it is reported. Empty names mean the provider's own subscription and DefaultWindow.
type ReadingReport struct {
	Provider, Subscription, Window string
	Unit                           string // empty is the window's
	UsedMicros                     int64
	LimitMicros                    int64 // 0 if it does not say
	ResetAt                        time.Time
	Every                          time.Duration // how long the provider's window is; 0 if it does not say
	TakenAt                        time.Time     // zero is now
	Source                         string
	Confidence                     *float64
	Reporter                       string // empty is the actor
	Redeemed                       bool
}

// RecordReading keeps a reading and, if it is believed, corrects its window in the same transaction.
func (s *Store) RecordReading(ctx context.Context, m Mutation, report ReadingReport) (ReadingAnswer, error) {
	report.fill(m.Actor)
	return once(ctx, s, m, func(t *transaction) (ReadingAnswer, error) { return t.recordReading(ctx, report) })
}

func (r *ReadingReport) fill(actor string) {
	if r.Subscription == "" {
		r.Subscription = r.Provider
	}
	if r.Window == "" {
		r.Window = DefaultWindow
	}
	if r.Source == "" {
		r.Source = budget.ProviderDetected.String()
	}
	if r.Confidence == nil {
		r.Confidence = new(1.0)
		if r.Source == budget.Estimated.String() {
			*r.Confidence = 0.5
		}
	}
	if r.Reporter == "" {
		r.Reporter = actor
	}
	if r.Every == 0 {
		r.Every = map[string]time.Duration{"5h": 5 * time.Hour, "weekly": 7 * 24 * time.Hour}[r.Window]
	}
	r.ResetAt, r.TakenAt = r.ResetAt.UTC().Truncate(time.Microsecond), r.TakenAt.UTC().Truncate(time.Microsecond)
}

func (t *transaction) recordReading(ctx context.Context, report ReadingReport) (ReadingAnswer, error) {
	known, err := t.AnyDefinition(ctx, query.AnyDefinitionParams{
		TenantID: t.Tenant, Provider: report.Provider, Subscription: report.Subscription, Name: report.Window,
	})
	if err != nil {
		return ReadingAnswer{}, fmt.Errorf("looking for the window: %w", err)
	}
	if !known { // it may have to be made, for which the set of windows is taken before the windows
		if err := t.lockWindowSet(ctx); err != nil {
			return ReadingAnswer{}, err
		}
	}
	b, err := t.openBook(ctx)
	if err != nil {
		return ReadingAnswer{}, err
	}
	window := b.find(report.Provider, report.Subscription, report.Window)
	if err := report.check(window); err != nil {
		return ReadingAnswer{}, err
	}
	reading := report.reading(window, t.actor, b.now)
	answer := ReadingAnswer{Now: b.now, Replanned: []DispatchID{}}
	if window == nil {
		if reading.doubt, reading.Cause = reading.implausible(b.now); reading.doubt != "" {
			return ReadingAnswer{}, &Error{
				Code: CodeInvalid, Field: "taken_at", Detail: "There is no such window yet, and this reading cannot make it. " + reading.Cause,
				Example: b.now.Format(time.RFC3339), NextStep: "Read it anew.",
			}
		}
		id, err := t.makeWindow(ctx, &reading)
		if err != nil {
			return ReadingAnswer{}, err
		}
		return t.concludeReading(ctx, id, reading, answer)
	}
	answer.Before = new(b.show(window.ID))
	watch, err := t.watch(ctx, window)
	if err != nil {
		return ReadingAnswer{}, err
	}
	if belief := watch.judge(&reading, window, b.now); reading.doubt != "" {
		return t.keepDoubted(ctx, b, window, reading, watch, answer)
	} else if belief == budget.NewEpoch {
		id, err := t.readEpoch(ctx, b, window, &reading)
		if err != nil {
			return ReadingAnswer{}, err
		}
		return t.concludeReading(ctx, id, reading, answer)
	}
	if err := t.correct(ctx, b, window, &reading, watch.first); err != nil {
		return ReadingAnswer{}, err
	}
	return t.concludeReading(ctx, window.ID, reading, answer)
}

// check refuses what no reading of the window can be.
func (r *ReadingReport) check(window *budget.Window) error {
	switch {
	case window == nil && r.ResetAt.IsZero():
		return &Error{
			Code: CodeInvalid, Field: "reset_at", Example: "2026-11-30T09:00:00Z",
			Detail:   fmt.Sprintf("There is no window %s of %s yet, and a reading makes one only if it says when that resets.", r.Window, r.Subscription),
			NextStep: "Say when it resets, or set the window first with: budget set",
		}
	case window == nil && r.Unit != "" && r.Unit != "percent" && r.LimitMicros == 0:
		return &Error{
			Code: CodeInvalid, Field: "limit_micros", Example: "500000000",
			Detail:   fmt.Sprintf("There is no window %s of %s yet, and a reading in %s makes one only if it says the limit.", r.Window, r.Subscription, r.Unit),
			NextStep: "Say the limit, or set the window first with: budget set",
		}
	case window != nil && r.Unit != "" && r.Unit != window.Unit:
		return &Error{
			Code: CodeUnitMismatch, Field: "unit", Example: window.Unit,
			Detail:   fmt.Sprintf("The window %s counts %s, not %s; one unit never enters a window of another.", window.Name, window.Unit, r.Unit),
			NextStep: "Give the reading in the window's unit, or name another window.",
		}
	}
	return nil
}

func (r *ReadingReport) reading(window *budget.Window, actor string, now time.Time) WindowReading {
	out := WindowReading{
		Provider: r.Provider, Subscription: r.Subscription, Window: r.Window, Unit: r.Unit, UsedMicros: r.UsedMicros, ResetAt: r.ResetAt,
		EverySeconds: int64(r.Every / time.Second), Source: r.Source, Confidence: *r.Confidence, Reporter: r.Reporter, Actor: actor,
		TakenAt: r.TakenAt, RecordedAt: now, Verdict: ReadingBelieved, redeemed: r.Redeemed,
	}
	if r.LimitMicros > 0 {
		out.LimitMicros = new(r.LimitMicros)
	}
	if out.TakenAt.IsZero() || out.TakenAt.After(now) && out.TakenAt.Sub(now) <= skew {
		out.TakenAt = now
	}
	if window != nil {
		out.Unit = window.Unit
	}
	if out.Unit == "" {
		out.Unit = "percent"
	}
	return out
}

// rules is the reading in the form the rules judge.
func (r *WindowReading) rules() budget.Reading {
	return budget.Reading{
		Used: r.UsedMicros, At: r.TakenAt, Reset: r.ResetAt, Every: time.Duration(r.EverySeconds) * time.Second, Redeemed: r.redeemed,
	}
}

// keepDoubted keeps a reading that changes nothing. Of several that are doubted for one reason in a row the first is told.
func (t *transaction) keepDoubted(ctx context.Context, b *book, window *budget.Window, reading WindowReading, watch watched, answer ReadingAnswer) (ReadingAnswer, error) {
	reading.Verdict = ReadingDoubted
	if err := t.keepReading(ctx, window.ID, &reading); err != nil {
		return ReadingAnswer{}, err
	}
	answer.Reading = reading
	if watch.lastDoubt != reading.doubt {
		event := Event{Type: "budget.doubted", Cause: reading.Cause, Reading: &reading, Window: answer.Before}
		if err := t.tell(ctx, event); err != nil {
			return ReadingAnswer{}, err
		}
	}
	return answer, t.closeBook(ctx, b)
}

// concludeReading keeps a believed reading, judges waiting work by the corrected window and tells about it.
func (t *transaction) concludeReading(ctx context.Context, window int64, reading WindowReading, answer ReadingAnswer) (ReadingAnswer, error) {
	if err := t.keepReading(ctx, window, &reading); err != nil {
		return ReadingAnswer{}, err
	}
	if err := t.bookReading(ctx, window, &reading); err != nil {
		return ReadingAnswer{}, err
	}
	if err := t.learnRatio(ctx, window, reading.Unit); err != nil {
		return ReadingAnswer{}, err
	}
	b, err := t.openBook(ctx) // as it was written
	if err != nil {
		return ReadingAnswer{}, err
	}
	if answer.Replanned, err = t.replanLine(ctx, b); err != nil {
		return ReadingAnswer{}, err
	}
	if err := t.closeBook(ctx, b); err != nil {
		return ReadingAnswer{}, err
	}
	answer.Reading, answer.After = reading, new(b.show(window))
	return answer, t.tell(ctx, Event{Type: "budget.reading", Cause: reading.Cause, Reading: &reading, Window: answer.After})
}

func (t *transaction) keepReading(ctx context.Context, window int64, r *WindowReading) error {
	params := query.InsertReadingParams{
		TenantID: t.Tenant, Host: t.Host, Provider: r.Provider, Subscription: r.Subscription, WindowName: r.Window, WindowID: window,
		Unit: r.Unit, UsedMicros: r.UsedMicros, LimitMicros: r.LimitMicros, ResetAt: pointer(r.ResetAt), Source: r.Source,
		Confidence: r.Confidence, Reporter: r.Reporter, Actor: r.Actor, TakenAt: r.TakenAt, RecordedAt: r.RecordedAt,
		Verdict: r.Verdict, Doubt: r.doubt, Cause: r.Cause, BookedMicros: r.BookedMicros,
	}
	if r.EverySeconds > 0 {
		params.EverySeconds = &r.EverySeconds
	}
	var err error
	if r.ID, err = t.InsertReading(ctx, params); err != nil {
		return fmt.Errorf("keeping the reading: %w", err)
	}
	return nil
}

// bookReading books what a reading moved its window by.
func (t *transaction) bookReading(ctx context.Context, window int64, r *WindowReading) error {
	if r.BookedMicros == 0 {
		return nil
	}
	err := t.InsertUnexplained(ctx, query.InsertUnexplainedParams{
		TenantID: t.Tenant, Host: t.Host, WindowID: &window, ReadingID: &r.ID, Reporter: r.Reporter, Unit: r.Unit,
		Micros: r.BookedMicros, Kind: kindUnattributed, Actor: t.actor, At: t.now,
	})
	if err != nil {
		return fmt.Errorf("booking what the reading shows: %w", err)
	}
	return nil
}
