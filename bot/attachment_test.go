package bot

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// sendsFile posts a file with a caption, sealed as clients do in encrypted rooms.
func (b *bench) sendsFile(t *testing.T, caption, text string, change func(*event.MessageEventContent)) id.EventID {
	t.Helper()
	seal := attachment.NewEncryptedFile()
	sealed := []byte(text)
	seal.EncryptInPlace(sealed)
	uploaded, err := b.ada.Matrix.UploadMedia(t.Context(), mautrix.ReqUploadMedia{ContentBytes: sealed, ContentType: "application/octet-stream"})
	require.NoError(t, err)
	content := &event.MessageEventContent{
		MsgType: event.MsgFile, Body: caption, FileName: "brief.md", Info: &event.FileInfo{MimeType: "text/markdown", Size: len(text)},
		File: &event.EncryptedFileInfo{EncryptedFile: *seal, URL: uploaded.ContentURI.CUString()},
	}
	if change != nil {
		change(content)
	}
	sent, err := b.ada.SayRaw(t.Context(), b.room, event.EventMessage, content)
	require.NoError(t, err)
	return sent
}

func TestAnAttachedTextFileIsTheBriefToTheLetter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	const brief = "# Fix it\n\n“Curly”, --exact and\n```go\nfunc main() {}\n```\n"
	b.answered(t, b.sendsFile(t, "!mosaic dispatch coder --estimate 4", brief, nil), "D-1 ready")
	b.answered(t, b.sendsFile(t, "!mosaic dispatch coder \"Read this first\" --estimate 4", brief, nil), "D-2 ready")
	dispatches := b.fleet.listDispatches(t)
	require.Len(t, dispatches, 2)
	require.Equal(t, brief, dispatches[1].Brief)
	require.Equal(t, "Read this first\n\n"+brief, dispatches[0].Brief)
	require.Equal(t, int64(4_000_000), dispatches[1].Estimate[0].Micros)

	bare := b.sendsFile(t, "brief.md", brief, nil)
	b.answered(t, b.say(t, "!mosaic status"), "")
	require.Empty(t, b.replies(bare), "a file without a command under it is none")
}

func TestAnAttachedFileThatCannotBeABriefIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	const command = "!mosaic dispatch coder --estimate 4"
	for why, asked := range map[string]id.EventID{
		"larger than the 64 KiB": b.sendsFile(t, command, strings.Repeat("a", largestBrief+1), nil),
		"not a text file":        b.sendsFile(t, command, "PK\x03\x04\x00\xff", nil),
		"only as the brief":      b.sendsFile(t, "!mosaic budget status", "text", nil),
		"checksum is another": b.sendsFile(t, command, "text", func(c *event.MessageEventContent) {
			c.File.Hashes.SHA256 = attachment.NewEncryptedFile().InitVector + "AAAAAAAAAAAAAAAAAAAAA"
		}),
		"sent in clear":     b.sendsFile(t, command, "text", func(c *event.MessageEventContent) { c.URL, c.File = c.File.URL, nil }),
		"cannot be fetched": b.sendsFile(t, command, "text", func(c *event.MessageEventContent) { c.File.URL = "mxc://localhost/nothingishere" }),
	} {
		b.answered(t, asked, why)
	}
	require.Empty(t, b.fleet.listDispatches(t))
}

func TestBodiesOfKnownClientsAreUnderstood(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	b.bind(t, b.room, register.RoomPurposeFleet)
	b.answered(t, b.say(t, "!mosaic status"), "")
	us := id.UserID(b.options.UserID)
	link := "https://matrix.to/#/" + us.String()
	html := func(body, formatted string) map[string]any {
		return map[string]any{"msgtype": "m.text", "body": body, "format": "org.matrix.custom.html", "formatted_body": formatted, "m.mentions": map[string]any{"user_ids": []string{us.String()}}}
	}
	first := b.say(t, "hello")
	replied := html("> <"+us.String()+"> hello\n> there\n\n!mosaic whoami", "<mx-reply><blockquote><a href=\""+link+"\">x</a><br>hello</blockquote></mx-reply>!mosaic whoami")
	replied["m.relates_to"] = map[string]any{"m.in_reply_to": map[string]any{"event_id": first}}
	for client, content := range map[string]map[string]any{
		"Element Web, a pill and a colon":       html("Mosaic: whoami", `<a href="`+link+`">Mosaic</a>: whoami`),
		"Element Web, a room's own name":        html("Our Fleet Bot whoami", `<a href="`+link+`">Our Fleet Bot</a> whoami`),
		"Element X, a Markdown link":            html("["+us.String()+"]("+link+") whoami", `<a href="`+link+`">`+us.String()+`</a> whoami`),
		"Element X, an escaped link":            html("[@mosaic](https://matrix.to/#/%40"+us.String()[1:]+") whoami", `<a href="https://matrix.to/#/%40`+us.String()[1:]+`">@mosaic</a> whoami`),
		"FluffyChat, a bracketed name":          html("@[Mosaic] whoami", `<a href="`+link+`">Mosaic</a> whoami`),
		"FluffyChat, the Matrix ID":             html(us.String()+" whoami", `<a href="`+link+`">`+us.String()+`</a> whoami`),
		"a reply with its fallback":             replied,
		"a phone that begins with a capital":    {"msgtype": "m.text", "body": "!Mosaic Whoami."},
		"a non-breaking space after the prefix": {"msgtype": "m.text", "body": "!mosaic\u00a0whoami"},
	} {
		asked, err := b.ada.SayRaw(t.Context(), b.room, event.EventMessage, content)
		require.NoError(t, err)
		b.answered(t, asked, "You are ada")
		t.Log(client)
	}
	typed, err := b.ada.SayRaw(t.Context(), b.room, event.EventMessage, html(
		"!Dispatch coder “Rename the collector—carefully” —estimate=4 —deadline +2h", "<p>!Dispatch coder “Rename the collector—carefully” —estimate=4 —deadline +2h</p>"))
	require.NoError(t, err)
	b.answered(t, typed, "D-1")
	require.Equal(t, "Rename the collector—carefully", b.fleet.listDispatches(t)[0].Brief)
}
