package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/event"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
)

// attachKey holds, in a queued message, the text that is uploaded before the message is sent. It never leaves the outbox.
const attachKey = "dev.mosaicstack.attach"

// attached is a message with a text file. The file goes up encrypted when the message goes out.
func attached(file commands.File) map[string]any {
	return map[string]any{
		"msgtype": string(event.MsgFile), "body": file.Name, "filename": file.Name, "m.mentions": map[string]any{}, attachKey: file.Text,
		"info": map[string]any{"mimetype": "text/plain", "size": len(file.Text)},
	}
}

// errNotUploaded says that the homeserver will never take a message's file.
var errNotUploaded = errors.New("the homeserver does not take the file")

// upload puts a message's file on the homeserver, encrypted with a key that only the encrypted message holds, and keeps where it
// lies before the message is sent. A crash in between leaves a file that nobody can read.
func (s *sender) upload(ctx context.Context, message *outgoing) error {
	text, waits := message.Content[attachKey].(string)
	if !waits {
		return nil
	}
	file := attachment.NewEncryptedFile()
	sealed := file.Encrypt([]byte(text))
	answer, err := s.bot.client.UploadMedia(ctx, mautrix.ReqUploadMedia{ContentBytes: sealed, ContentType: "application/octet-stream"})
	if err != nil {
		var failure mautrix.HTTPError
		if errors.As(err, &failure) && failure.Response != nil && failure.Response.StatusCode != http.StatusTooManyRequests && !unanswered(err) {
			return fmt.Errorf("%w: %w", errNotUploaded, err)
		}
		return fmt.Errorf("uploading a file: %w", err)
	}
	var read map[string]any
	if err := json.Unmarshal([]byte(message.raw), &read); err != nil {
		return fmt.Errorf("reading queued message %d: %w", message.ID, err)
	}
	where := fields(event.EncryptedFileInfo{EncryptedFile: *file, URL: answer.ContentURI.CUString()})
	for _, content := range []map[string]any{read, message.Content} {
		delete(content, attachKey)
		content["file"] = where
	}
	return s.bot.outbox.rewritten(ctx, message, read)
}
