package bot

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// hushMark has no width. It stands inside a name so that no push rule finds it there.
const hushMark = "\u2060"

// hush keeps text that rings some people from ringing others whose names it happens to contain: by the default rules of some
// homeservers a display name or a local part in a message's plain text rings its owner, whoever is mentioned.
func (b *Bot) hush(ctx context.Context, message *outgoing) error {
	body, _ := message.Content["body"].(string)
	if message.Content["msgtype"] != string(event.MsgText) || body == "" {
		return nil // notices ring nobody, whatever they contain
	}
	members, err := b.keys.members(ctx, message.Room)
	if err != nil {
		return err
	}
	var names []string
	for _, member := range members {
		if b.ours(member) || mentionsIn(message.Content, member) {
			continue
		}
		known, err := b.keys.rooms.TryGetMember(ctx, message.Room, member)
		if err != nil {
			return fmt.Errorf("reading the names of a room's members: %w", err)
		}
		names = append(names, member.Localpart())
		if known != nil && known.Displayname != "" {
			names = append(names, known.Displayname)
		}
	}
	message.Content["body"] = hushed(body, names)
	return nil
}

func mentionsIn(content map[string]any, user id.UserID) bool {
	mentions, _ := content["m.mentions"].(map[string]any)
	users, _ := mentions["user_ids"].([]any)
	return slices.Contains(users, any(user.String()))
}

// hushed marks each name that stands in text as a word of its own, in any case.
func hushed(text string, names []string) string {
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		if utf8.RuneCountInString(name) > 1 {
			text = hushedName(text, name)
		}
	}
	return text
}

func hushedName(text, name string) string {
	var out strings.Builder
	for at := 0; at < len(text); {
		length := foldedPrefix(text[at:], name)
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[at+max(length, 0):])
		_, size := utf8.DecodeRuneInString(text[at:])
		out.WriteString(text[at : at+size])
		if length > 0 && (at == 0 || !inWord(before)) && (at+length == len(text) || !inWord(after)) {
			out.WriteString(hushMark + text[at+size:at+length])
			size = length
		}
		at += size
	}
	return out.String()
}

// foldedPrefix is how many bytes of text are name at its start, in any case; 0 if they are not.
func foldedPrefix(text, name string) int {
	at := 0
	for range utf8.RuneCountInString(name) {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	if strings.EqualFold(text[:at], name) {
		return at
	}
	return 0
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }
