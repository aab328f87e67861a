package client

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Seen is one timeline event as the person's client shows it.
type Seen struct {
	EventID id.EventID
	Room    id.RoomID
	Sender  id.UserID
	At      time.Time // by the homeserver's clock
	Type    string    // such as m.room.message, m.reaction, m.room.redaction; state events too

	MsgType       event.MessageType // m.text, m.notice, …
	Body          string            // of an edit, the new text
	FormattedBody string            // HTML; empty if there is none

	ThreadRoot id.EventID // empty outside threads
	InReplyTo  id.EventID // of a rich reply; empty for a thread's fallback
	EditOf     id.EventID // what this event edits
	Reaction   string     // the key; empty if it is no reaction
	ReactionTo id.EventID
	Redacts    id.EventID

	Mentions     []id.UserID // who is mentioned intentionally (m.mentions)
	MentionsRoom bool

	WasEncrypted   bool
	Trust          id.TrustState // of the sending device, of encrypted events
	Undecrypted    bool          // the keys have not come; Body is empty
	WhyUndecrypted string

	StateKey *string
	Content  map[string]any // as received, after decryption
}

// SeenOf is a timeline event, parsed and decrypted, as a client shows it.
func SeenOf(evt *event.Event) Seen {
	s := Seen{
		EventID: evt.ID, Room: evt.RoomID, Sender: evt.Sender, At: time.UnixMilli(evt.Timestamp).UTC(), Type: evt.Type.Type,
		WasEncrypted: evt.Type == event.EventEncrypted || evt.Mautrix.WasEncrypted, Trust: evt.Mautrix.TrustState,
		StateKey: evt.StateKey, Content: evt.Content.Raw, Redacts: evt.Redacts,
	}
	switch content := evt.Content.Parsed.(type) {
	case *event.MessageEventContent:
		s.fromMessage(content)
	case *event.ReactionEventContent:
		s.Reaction, s.ReactionTo = content.RelatesTo.Key, content.RelatesTo.EventID
	case *event.RedactionEventContent:
		if content.Redacts != "" {
			s.Redacts = content.Redacts
		}
	}
	return s
}

func (s *Seen) fromMessage(content *event.MessageEventContent) {
	if relation := content.RelatesTo; relation != nil {
		s.ThreadRoot, s.InReplyTo, s.EditOf = relation.GetThreadParent(), relation.GetNonFallbackReplyTo(), relation.GetReplaceID()
	}
	shown := content
	if s.EditOf != "" && content.NewContent != nil {
		shown = content.NewContent
	}
	s.MsgType, s.Body, s.FormattedBody = shown.MsgType, shown.Body, shown.FormattedBody
	if content.Mentions != nil {
		s.Mentions, s.MentionsRoom = content.Mentions.UserIDs, content.Mentions.Room
	}
}

// String is the event in one line, for error messages and transcripts.
func (s Seen) String() string {
	who := NameOf(s.Sender)
	switch {
	case s.Undecrypted:
		return fmt.Sprintf("%s %s: (cannot decrypt: %s)", s.EventID, who, s.WhyUndecrypted)
	case s.Reaction != "":
		return fmt.Sprintf("%s %s: reacts %s to %s", s.EventID, who, s.Reaction, s.ReactionTo)
	case s.Redacts != "":
		return fmt.Sprintf("%s %s: redacts %s", s.EventID, who, s.Redacts)
	case s.EditOf != "":
		return fmt.Sprintf("%s %s: edits %s: %s", s.EventID, who, s.EditOf, oneLine(s.Body))
	case s.ThreadRoot != "":
		return fmt.Sprintf("%s %s: in thread %s (%s): %s", s.EventID, who, s.ThreadRoot, s.MsgType, oneLine(s.Body))
	case s.MsgType != "":
		return fmt.Sprintf("%s %s (%s): %s", s.EventID, who, s.MsgType, oneLine(s.Body))
	}
	raw, _ := json.Marshal(s.Content)
	return fmt.Sprintf("%s %s: %s %s", s.EventID, who, s.Type, oneLine(string(raw)))
}

func oneLine(text string) string {
	text = strings.ReplaceAll(text, "\n", " ⏎ ")
	if runes := []rune(text); len(runes) > 240 {
		return string(runes[:240]) + "…"
	}
	return text
}
