package collect

import (
	"encoding/json"
	"time"
)

// ClaudeCode is Claude Code, which keeps a log per session in projects/ under ~/.claude or CLAUDE_CONFIG_DIR. It writes a line per
// content block, and while an answer streams in lines with fewer tokens than there are in the end, all under the message's ID; a
// session that goes on in another file begins with copies.
func ClaudeCode() Tool {
	return Tool{Name: "claude-code", Provider: "claude", read: readClaude, marks: [][]byte{[]byte(`"usage"`)}}
}

// claudeLine is what is read of a line; the content of the message is not.
type claudeLine struct {
	Type      string    `json:"type"`
	SessionID string    `json:"sessionId"`
	Directory string    `json:"cwd"`
	RequestID string    `json:"requestId"`
	Timestamp time.Time `json:"timestamp"`
	Message   struct {
		ID    string `json:"id"`
		Model string `json:"model"`
		Usage *struct {
			Input         int64 `json:"input_tokens"`
			CacheCreation int64 `json:"cache_creation_input_tokens"`
			CacheRead     int64 `json:"cache_read_input_tokens"`
			Output        int64 `json:"output_tokens"`
		} `json:"usage"`
	} `json:"message"`
}

// synthetic is the model of messages Claude Code writes itself.
const synthetic = "<synthetic>"

func readClaude(session *session, text []byte) (entry, bool) {
	var line claudeLine
	if json.Unmarshal(text, &line) != nil || line.Type != "assistant" || line.Message.Usage == nil || line.Message.Model == synthetic {
		return entry{}, false
	}
	if line.SessionID != "" {
		session.ID = line.SessionID
	}
	if line.Directory != "" {
		session.Directory = line.Directory
	}
	if line.Message.ID == "" && line.RequestID == "" || line.Timestamp.IsZero() {
		return entry{}, false // without an ID it could not be told from its own copy
	}
	usage := line.Message.Usage
	return entry{
		call: line.Message.ID, request: line.RequestID, at: line.Timestamp, model: line.Message.Model,
		fresh: usage.Input + usage.CacheCreation + usage.Output, cached: usage.CacheRead,
	}, true
}
