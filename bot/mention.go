package bot

import (
	"html"
	"net/url"
	"regexp"
	"strings"

	"maunium.net/go/mautrix/event"
)

// leadingLink is a link to a user at the very beginning of a formatted body, as clients write a mention.
var leadingLink = regexp.MustCompile(`^(?:\s|<p>)*<a\s[^>]*?href="https://matrix\.to/#/([^"?]+)[^"]*"[^>]*>([^<]{1,200})</a>`)

// mentioned is what a message calls the bot at its beginning, if its link says that it means the bot: a name that only one room or
// one client gives it.
func (b *Bot) mentioned(content *event.MessageEventContent) []string {
	if content.Format != event.FormatHTML {
		return nil
	}
	found := leadingLink.FindStringSubmatch(event.TrimReplyFallbackHTML(content.FormattedBody))
	if found == nil {
		return nil
	}
	user, err := url.PathUnescape(found[1])
	if err != nil || !strings.EqualFold(user, b.client.UserID.String()) {
		return nil
	}
	return []string{strings.TrimSpace(html.UnescapeString(found[2]))}
}
