package bot

import (
	"encoding/json"
	"regexp"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/format"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
)

// words renders Markdown as a message with HTML and plain bodies. Only the people in ring are mentioned, and with anyone
// to ring it is text, which push rules act on; else it is a notice, which they keep silent.
func words(markdown string, ring []id.UserID) map[string]any {
	plain := commands.Plain(markdown)
	if len(ring) > 0 {
		markdown += "\n\n" + mentions(ring)
		plain += "\n\n" + mentionsPlain(ring)
	}
	content := format.RenderMarkdown(markdown, true, false)
	content.FormattedBody = datesWhole(content.FormattedBody)
	content.Body = plain // what a client without HTML, and a phone's notification, shows
	content.MsgType = event.MsgNotice
	content.Mentions = &event.Mentions{UserIDs: ring}
	if len(ring) > 0 {
		content.MsgType = event.MsgText
	}
	return fields(content)
}

// dateOrCode finds code, which is left alone since people copy it, and dates, as commands writes them.
var dateOrCode = regexp.MustCompile(`<code>[^<]*</code>|\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)(?: \d{4})?(?: \d\d:\d\d(?: [A-Z]{3,5}\b)?)?`)

// datesWhole keeps a date from being broken over two lines, as a phone would.
func datesWhole(html string) string {
	return dateOrCode.ReplaceAllStringFunc(html, func(found string) string {
		if strings.HasPrefix(found, "<code>") {
			return found
		}
		return strings.ReplaceAll(found, " ", "\u00a0")
	})
}

func mentions(people []id.UserID) string {
	links := make([]string, len(people))
	for i, person := range people {
		links[i] = format.MarkdownMentionWithName("@"+person.Localpart(), person)
	}
	return strings.Join(links, " ")
}

func mentionsPlain(people []id.UserID) string {
	names := make([]string, len(people))
	for i, person := range people {
		names[i] = "@" + person.Localpart()
	}
	return strings.Join(names, " ")
}

// fields is content as the JSON object it is sent as.
func fields(content any) map[string]any {
	raw, err := json.Marshal(content)
	if err != nil {
		panic(err) // our own types of strings
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

// inThread puts a message into the thread of root, as an answer to it for clients without threads. An empty root is the
// event of the outbox row the message is about.
func inThread(content map[string]any, root, answered id.EventID) map[string]any {
	content["m.relates_to"] = map[string]any{
		"rel_type": string(event.RelThread), "event_id": root,
		"is_falling_back": true, "m.in_reply_to": map[string]any{"event_id": answered},
	}
	return content
}

// replacing is content as an edit of the message of the outbox row it is about. An edit mentions nobody anew, and is a notice
// to push rules whatever it replaces: not every homeserver has the rule that keeps edits silent.
func replacing(content map[string]any) map[string]any {
	plain, _ := content["body"].(string)
	return map[string]any{
		"msgtype": string(event.MsgNotice), "body": "* " + plain, "m.mentions": map[string]any{},
		"m.new_content": content,
		"m.relates_to":  map[string]any{"rel_type": string(event.RelReplace), "event_id": ""},
	}
}

// reaction annotates an event; an empty target is the event of the outbox row the reaction is about.
func reaction(target id.EventID, key string) map[string]any {
	return map[string]any{"m.relates_to": map[string]any{"rel_type": string(event.RelAnnotation), "event_id": target, "key": key}}
}
