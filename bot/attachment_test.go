package bot

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
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

func TestADispatchThatAnswersAFileOfItsSenderTakesItAsTheBriefOnceThatIsConfirmed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	ben := b.talkOfThree(t)
	const brief = "# Fix the parser\n\nIt is slow — *very*.\n"
	file := b.sendsFile(t, "brief.md", brief, nil)
	asked, err := b.ada.Reply(t.Context(), b.room, file, "!mosaic dispatch coder --estimate 4")
	require.NoError(t, err)
	prompt := b.answered(t, asked, "Dispatch to coder with brief.md as the brief?")
	require.Contains(t, prompt.Body, "It has 3 lines and begins: # Fix the parser")
	require.Empty(t, b.fleet.listDispatches(t), "nobody signs where an answer points to")
	b.answered(t, b.say(t, "!mosaic confirm C1"), "D-1 ready")
	require.Equal(t, brief, b.fleet.listDispatches(t)[0].Brief)

	others, err := ben.Reply(t.Context(), b.room, file, "!mosaic dispatch coder --estimate 4")
	require.NoError(t, err)
	b.answered(t, others, "brief")
	typed, err := b.ada.Reply(t.Context(), b.room, file, `!mosaic dispatch coder "As typed" --estimate 4`)
	require.NoError(t, err)
	b.answered(t, typed, "D-2 ready")
	require.Equal(t, "As typed", b.fleet.listDispatches(t)[0].Brief)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM question`), "of someone else's file nothing is made")
}
