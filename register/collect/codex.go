package collect

import (
	"encoding/json"
	"fmt"
	"time"
)

// Codex is the Codex CLI, which keeps a log per session in sessions/YYYY/MM/DD under ~/.codex or CODEX_HOME. Its token counts add
// up from the start of the session, are written again when nothing has changed, and are copied into a session that is forked.
func Codex() Tool {
	return Tool{Name: "codex", Provider: "codex", read: readCodex, marks: [][]byte{
		[]byte(`"token_count"`), []byte(`"session_meta"`), []byte(`"turn_context"`),
	}}
}

// codexLine is what is read of a line; messages are of other types.
type codexLine struct {
	Timestamp time.Time `json:"timestamp"`
	Type      string    `json:"type"`
	Payload   struct {
		Type       string       `json:"type"`
		ID         string       `json:"id"`
		ForkedFrom string       `json:"forked_from_id"`
		Directory  string       `json:"cwd"`
		Model      string       `json:"model"`
		Info       *codexInfo   `json:"info"`
		Limits     *codexLimits `json:"rate_limits"`
	} `json:"payload"`
}

type codexInfo struct {
	Total codexUsage  `json:"total_token_usage"`
	Last  *codexUsage `json:"last_token_usage"`
}

type codexUsage struct {
	Input  int64 `json:"input_tokens"`
	Cached int64 `json:"cached_input_tokens"` // part of the input
	Output int64 `json:"output_tokens"`       // with what it reasoned
	Total  int64 `json:"total_tokens"`
}

type codexLimits struct {
	ID        string       `json:"limit_id"`
	Primary   *codexWindow `json:"primary"`
	Secondary *codexWindow `json:"secondary"`
}

type codexWindow struct {
	Percent  float64 `json:"used_percent"`
	Minutes  int64   `json:"window_minutes"`
	ResetsAt int64   `json:"resets_at"`
	ResetsIn *int64  `json:"resets_in_seconds"` // of earlier versions
}

func readCodex(session *session, text []byte) (entry, bool) {
	var line codexLine
	if json.Unmarshal(text, &line) != nil {
		return entry{}, false
	}
	payload := line.Payload
	switch {
	case line.Type == "session_meta":
		if session.ID != "" {
			return entry{}, false // a copy from the session it was forked from
		}
		session.ID, session.Root, session.Directory = payload.ID, payload.ForkedFrom, payload.Directory
		if session.Root == "" {
			session.Root = session.ID
		}
	case line.Type == "turn_context":
		if payload.Model != "" {
			session.Model = payload.Model
		}
		if payload.Directory != "" {
			session.Directory = payload.Directory
		}
	case line.Type == "event_msg" && payload.Type == "token_count" && !line.Timestamp.IsZero():
		return session.counted(line)
	}
	return entry{}, false
}

// counted is what a token count says. It is known by the totals up to it, which a fork repeats.
func (s *session) counted(line codexLine) (entry, bool) {
	out := entry{at: line.Timestamp, model: s.Model, limits: line.Payload.Limits.windows(line.Timestamp)}
	if info := line.Payload.Info; info != nil && info.Total.Total != s.Total {
		total := info.Total
		used := codexUsage{Input: total.Input, Cached: total.Cached, Output: total.Output}
		if info.Last != nil {
			used = *info.Last
		} else if s.Total > 0 {
			used = codexUsage{Input: max(0, total.Total-s.Total)} // how it splits is not said
		}
		s.Total = total.Total
		out.call = fmt.Sprintf("%s/%d/%d/%d/%d", s.Root, total.Input, total.Cached, total.Output, total.Total)
		out.fresh, out.cached = max(0, used.Input-used.Cached)+used.Output, used.Cached
	}
	return out, out.call != "" || len(out.limits) > 0
}

// windows are the account's own windows, told apart by their length: which of them comes first has changed. Those of single
// models have an ID of their own and are left out.
func (l *codexLimits) windows(at time.Time) []limit {
	if l == nil || l.ID != "" && l.ID != "codex" {
		return nil
	}
	var out []limit
	for _, window := range []*codexWindow{l.Primary, l.Secondary} {
		if window == nil || window.Minutes <= 0 {
			continue
		}
		length := time.Duration(window.Minutes) * time.Minute
		reset := time.Time{}
		switch {
		case window.ResetsAt > 0:
			reset = time.Unix(window.ResetsAt, 0).UTC()
		case window.ResetsIn != nil:
			reset = at.Add(time.Duration(*window.ResetsIn) * time.Second).UTC()
		}
		out = append(out, limit{window: windowName(length), length: length, percent: window.Percent, reset: reset, takenAt: at.UTC()})
	}
	return out
}
