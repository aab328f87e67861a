package bot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
)

// largestBrief is the most bytes of a text file that is read as a brief; the gateway takes as many characters.
const largestBrief = 64 << 10

// captioned says whether a message is a file that a command was written under.
func captioned(content *event.MessageEventContent) bool {
	return content.MsgType == event.MsgFile && content.GetCaption() != ""
}

// attachment is the text of the file a command was written under, or why it is refused. The error of a homeserver that gives no answer
// leaves the command for another attempt.
func (b *Bot) attachment(ctx context.Context, said *said, content *event.MessageEventContent) (text, refusal string, err error) {
	if !captioned(content) {
		return "", "", nil
	}
	return b.textOf(ctx, said, content)
}

// textOf is the text of a file, or why it is refused.
func (b *Bot) textOf(ctx context.Context, said *said, content *event.MessageEventContent) (text, refusal string, err error) {
	name := plain(content.GetFileName())
	url := content.URL
	switch {
	case content.File != nil:
		url = content.File.URL
	case said.Mautrix.WasEncrypted:
		return "", name + " was sent in clear, so nobody can tell whether it is what you sent. Send it encrypted, as clients do in encrypted rooms.", nil
	}
	at, err := url.Parse()
	if err != nil {
		return "", name + " has no address that can be read. Send it again.", nil
	}
	raw, refusal, err := b.download(ctx, at, name)
	if err != nil || refusal != "" {
		return "", refusal, err
	}
	if content.File != nil {
		if err := content.File.DecryptInPlace(raw); err != nil {
			return "", name + " is not what you sent: its checksum is another. Send it again.", nil
		}
	}
	text = strings.TrimPrefix(string(raw), "\ufeff")
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) || strings.TrimSpace(text) == "" {
		return "", name + " is not a text file with something in it; accepted is UTF-8 text, such as brief.md.", nil
	}
	return text, "", nil
}

// pointedAt makes the file that a dispatch without a brief answers its brief, for clients that cannot write under a file. It has to be
// a file of the same sender. Where an answer points to is signed by nobody, so the file is asked back before it is dispatched.
func (b *Bot) pointedAt(ctx context.Context, h *heard, content *event.MessageEventContent, given *commands.Asked) (refusal string, err error) {
	target := content.RelatesTo.GetNonFallbackReplyTo()
	if target == "" || given.Attachment != "" || given.Structured != nil || !commands.LacksBrief(*given) {
		return "", nil
	}
	file, err := b.journal.find(ctx, target)
	if err != nil {
		return "", fmt.Errorf("reading what a command answers: %w", err)
	}
	if file == nil || file.Room != h.Room || file.Sender != h.Sender {
		return "", nil
	}
	shown, err := b.understand(ctx, file)
	if err != nil || !shown.Trusted {
		return "", nil // then the brief is missing, and the answer says so
	}
	attached, ok := shown.Content.Parsed.(*event.MessageEventContent)
	if !ok || attached.MsgType != event.MsgFile {
		return "", nil
	}
	given.Attachment, refusal, err = b.textOf(ctx, shown, attached)
	h.Pointed = plain(attached.GetFileName())
	return refusal, err
}

func (b *Bot) download(ctx context.Context, at id.ContentURI, name string) (raw []byte, refusal string, err error) {
	response, err := b.client.Download(ctx, at)
	if errors.Is(err, mautrix.MNotFound) || errors.Is(err, mautrix.MForbidden) || errors.Is(err, mautrix.MTooLarge) {
		return nil, name + " cannot be fetched from the homeserver. Send it again.", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("fetching an attached file: %w", err)
	}
	defer response.Body.Close()
	raw, err = io.ReadAll(http.MaxBytesReader(nil, response.Body, largestBrief))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, fmt.Sprintf("%s is larger than the %d KiB a brief may have. Shorten it, or say where the work is described.", name, largestBrief>>10), nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading an attached file: %w: %w", context.DeadlineExceeded, err)
	}
	return raw, "", nil
}
