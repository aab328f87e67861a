package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// StatusLine are what posting from Claude Code's status line needs. What a run's tool starts has no token, so that API may be nil:
// the follower then posts what it left.
type StatusLine struct {
	API                    *register.API
	Provider, Subscription string
	// State is the follower's file; this keeps its own ones beside it.
	State string
	In    io.Reader
	Out   io.Writer
}

// piped is what is read of what Claude Code pipes into its status line, and into a hook.
type piped struct {
	SessionID string `json:"session_id"`
	Limits    *struct {
		FiveHour *pipedWindow `json:"five_hour"`
		SevenDay *pipedWindow `json:"seven_day"`
	} `json:"rate_limits"`
}

type pipedWindow struct {
	Percent  *float64 `json:"used_percentage"`
	ResetsAt int64    `json:"resets_at"`
}

// patience is how long a status line may take; Claude Code shows the old one until then.
const patience = 3 * time.Second

// Run notes which run the session belongs to, prints how full the windows are, and posts it if it is news. Started by a run's own
// tool it inherits that run's environment, which is how a session is told apart for certain.
func (s StatusLine) Run(ctx context.Context) error {
	var in piped
	text, err := io.ReadAll(io.LimitReader(s.In, 1<<20))
	if err != nil {
		return fmt.Errorf("reading the status line: %w", err)
	}
	if json.Unmarshal(text, &in) != nil {
		return errors.New("what was piped in is not the JSON of Claude Code's status line; set in its settings: " +
			`{"statusLine": {"type": "command", "command": "mosaic-matrix collect claude-code --status-line"}}`)
	}
	if err := noteSession(sessionsOf(s.State), in.SessionID, runHere()); err != nil {
		return fmt.Errorf("noting the session's run: %w", err)
	}
	limits := in.windows(time.Now())
	said := make([]string, len(limits))
	for i, limit := range limits {
		said[i] = fmt.Sprintf("%s %.0f %%", limit.window, limit.percent)
	}
	fmt.Fprintln(s.Out, strings.Join(said, " · "))
	if s.API == nil {
		return s.leave(limits)
	}
	return s.post(ctx, limits)
}

// leave keeps the windows for the follower.
func (s StatusLine) leave(limits []limit) error {
	if len(limits) == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.State), 0o700); err != nil {
		return fmt.Errorf("keeping the windows for the collector: %w", err)
	}
	if err := replace(leftFor(s.State), left(limits)); err != nil {
		return fmt.Errorf("keeping the windows for the collector: %w", err)
	}
	return nil
}

// left are windows that a status line kept for the follower.
type left []limit

func leftFor(state string) string { return state + ".windows" }

func (l left) MarshalJSON() ([]byte, error) {
	out := make([]spooled, len(l))
	for i, limit := range l {
		out[i] = spooled{limit.window, limit.length, limit.percent, limit.reset, limit.takenAt}
	}
	return json.Marshal(out)
}

type spooled struct {
	Window  string        `json:"window"`
	Length  time.Duration `json:"length"`
	Percent float64       `json:"percent"`
	Reset   time.Time     `json:"reset"`
	TakenAt time.Time     `json:"taken_at"`
}

// leftBehind are the windows a status line left, if they are new.
func (c *Collector) leftBehind() []limit {
	var kept []spooled
	text, err := os.ReadFile(leftFor(c.State))
	if err != nil || json.Unmarshal(text, &kept) != nil {
		return nil
	}
	var out []limit
	for _, s := range kept {
		if limit := (limit{s.Window, s.Length, s.Percent, s.Reset, s.TakenAt}); c.state.isNews(limit, time.Now()) {
			out = append(out, limit)
		}
	}
	return out
}

func (s StatusLine) post(ctx context.Context, limits []limit) error {
	state, err := openState(s.State+".status", time.Now())
	if err != nil {
		return err
	}
	for _, limit := range limits {
		if state.news(limit, time.Now()) {
			state.put(register.RecordReading(limit.reading(s.Provider, s.Subscription, ClaudeCode().Name)))
		}
	}
	if len(state.Pending) == 0 {
		return nil
	}
	// Only the newest of each window counts; what was not answered before is older.
	state.Pending = state.Pending[max(0, len(state.Pending)-len(limits)):]
	if err := state.save(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return (&Collector{Options: Options{API: s.API}, state: state}).post(ctx)
}

func (p piped) windows(now time.Time) []limit {
	if p.Limits == nil {
		return nil
	}
	var out []limit
	for _, w := range []struct {
		window *pipedWindow
		length time.Duration
	}{{p.Limits.FiveHour, 5 * time.Hour}, {p.Limits.SevenDay, 7 * 24 * time.Hour}} {
		if w.window == nil || w.window.Percent == nil || math.IsNaN(*w.window.Percent) {
			continue
		}
		limit := limit{window: windowName(w.length), length: w.length, percent: *w.window.Percent, takenAt: now.UTC()}
		if w.window.ResetsAt > 0 {
			limit.reset = time.Unix(w.window.ResetsAt, 0).UTC()
		}
		out = append(out, limit)
	}
	return out
}

// runHere is the run whose environment this process has; zero if it has none.
func runHere() note {
	attempt, _ := strconv.Atoi(os.Getenv("MOSAIC_ATTEMPT"))
	began, _ := time.Parse(time.RFC3339Nano, os.Getenv("MOSAIC_RUN_BEGAN"))
	if attempt == 0 {
		return note{}
	}
	return note{Dispatch: os.Getenv("MOSAIC_DISPATCH"), Attempt: attempt, Claim: os.Getenv("MOSAIC_RUN_ID"), Began: began}
}
