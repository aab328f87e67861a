package bot

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

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

// pictureKey holds, in a queued message, the picture that is uploaded before the message is sent, in base64.
const pictureKey = "dev.mosaicstack.picture"

// pictured is a message with a picture, which says the same in words. The picture goes up encrypted when the message goes out.
func pictured(picture *commands.Picture) map[string]any {
	return map[string]any{
		"msgtype": string(event.MsgImage), "body": picture.Alt, "m.mentions": map[string]any{}, pictureKey: base64.StdEncoding.EncodeToString(picture.PNG),
		"info": map[string]any{"mimetype": "image/png", "size": len(picture.PNG), "w": picture.Width, "h": picture.Height},
	}
}

// waiting is the file a queued message still has to upload, if it has one.
func waiting(content map[string]any) (file []byte, waits bool, err error) {
	if text, waits := content[attachKey].(string); waits {
		return []byte(text), true, nil
	}
	encoded, waits := content[pictureKey].(string)
	if !waits {
		return nil, false, nil
	}
	if file, err = base64.StdEncoding.DecodeString(encoded); err != nil {
		return nil, false, fmt.Errorf("reading a queued picture: %w", err)
	}
	return file, true, nil
}

// errNotUploaded says that the homeserver will never take a message's file.
var errNotUploaded = errors.New("the homeserver does not take the file")

// upload puts a message's file on the homeserver, encrypted with a key that only the encrypted message holds, and keeps where it
// lies before the message is sent. A crash in between leaves a file that nobody can read.
func (s *sender) upload(ctx context.Context, message *outgoing) error {
	plain, waits, err := waiting(message.Content)
	if err != nil || !waits {
		return err
	}
	file := attachment.NewEncryptedFile()
	sealed := slices.Clone(plain)
	file.EncryptInPlace(sealed)
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
		delete(content, pictureKey)
		content["file"] = where
	}
	return s.bot.outbox.rewritten(ctx, message, read)
}
