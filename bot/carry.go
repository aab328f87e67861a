package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

const (
	// slow is how long a command may take before the bot shows that it is at work.
	slow = time.Second
	// callPatience bounds one attempt at the gateway.
	callPatience = 30 * time.Second
	// longest is the most characters of a message; an event may hold 64 KiB, in two forms and encrypted.
	longest = 12000
)

// The signs the bot puts on a command, readable by all.
const (
	signDone      = "✅"
	signRefused   = "❌"
	signWaiting   = "⏸️"
	signHourglass = "⏳"
	signLock      = "🔒"
	signTooLate   = "⌛"
	signKey       = "🔑"
)

func signOf(mood commands.Mood) string {
	switch mood {
	case commands.MoodRefused:
		return signRefused
	case commands.MoodWaiting:
		return signWaiting
	}
	return signDone
}

// hearMessage carries out a command, or drops what is none.
func (b *Bot) hearMessage(ctx context.Context, h *heard, said *said) error {
	content, ok := said.Content.Parsed.(*event.MessageEventContent)
	if !ok || content.MsgType != event.MsgText && !captioned(content) {
		return b.journal.end(ctx, h, stateDropped, "") // notices are other bots'
	}
	if original := content.RelatesTo.GetReplaceID(); original != "" {
		return b.hearEdit(ctx, h, said, content, original)
	}
	text, addressed := b.addressed(ctx, said.Event, content)
	text, addressed, err := b.askedInThread(ctx, said.Event, text, addressed)
	if err != nil {
		return err
	}
	if !addressed {
		if taken, err := b.hearCondition(ctx, h, said, text); err != nil || taken {
			return err
		}
		return b.journal.end(ctx, h, stateDropped, "")
	}
	if h.Attempts == 0 {
		if redacted, err := b.journal.redacted(ctx, h.ID, ""); err != nil {
			return err
		} else if redacted {
			return b.journal.end(ctx, h, stateDropped, "taken back before it ran")
		}
	}
	root := threadOf(said.Event)
	if h.Doubted {
		if answered, err := b.answeredInRoom(ctx, h, root); err != nil {
			return err
		} else if answered {
			return b.journal.end(ctx, h, stateDone, answeredBefore)
		}
	}
	if h.Call == nil {
		if ended, err := b.tooFast(ctx, h, root); err != nil || ended {
			return err
		}
		who, known, err := b.authorise(ctx, h.Sender)
		if err != nil {
			return err
		}
		if !known {
			return b.refuseStranger(ctx, h, root)
		}
		if h.Clear, err = b.mayBeClear(ctx, said); err != nil {
			return err
		}
		if !said.Trusted && !h.Clear {
			return b.refuseUntrusted(ctx, h, said, root)
		}
		attachment, refusal, err := b.attachment(ctx, said, content)
		if err != nil {
			return err
		}
		given := commands.Asked{Text: text, Attachment: attachment, Structured: b.structured(content)}
		if refusal == "" {
			refusal, err = b.pointedAt(ctx, h, content, &given)
		}
		if err != nil {
			return err
		}
		if refusal != "" {
			return b.answer(ctx, h, root, commands.Reply{Markdown: "**Not done.** " + refusal, Mood: commands.MoodRefused})
		}
		prepared, err := b.prepare(ctx, h, who, given, root)
		if err != nil || !prepared {
			return err
		}
	}
	if late := b.tooLate(h, said.Timestamp); late > 0 {
		return b.offer(ctx, h, root, late)
	}
	return b.carryOut(ctx, h, root)
}

// addressed is the text of a command that is meant for the bot.
func (b *Bot) addressed(ctx context.Context, evt *event.Event, content *event.MessageEventContent) (string, bool) {
	text := content.Body
	if content.MsgType == event.MsgFile {
		text = content.GetCaption()
	}
	if content.RelatesTo.GetReplyTo() != "" {
		text = event.TrimReplyFallbackText(text)
	}
	if b.structured(content) != nil {
		return text, true
	}
	direct := b.direct(ctx, evt.RoomID)
	if commands.Short(text, b.options.Prefix) && !direct && !b.directory.bound(evt.RoomID) {
		return text, false // in a room that is not the fleet's, !vote may be another bot's
	}
	if rest, ok := commands.Addressed(text, b.options.Prefix, append(b.names(), b.mentioned(content)...), direct); ok {
		return cmp.Or(b.ackOf(ctx, evt, content, rest), rest), true
	}
	if ack := b.ackOf(ctx, evt, content, text); ack != "" {
		return ack, true
	}
	return text, false
}

// prepare understands a command and stores the finished call, once; a command not understood, and one that is for the bot
// itself, is answered and ended.
func (b *Bot) prepare(ctx context.Context, h *heard, who register.Identity, given commands.Asked, root id.EventID) (bool, error) {
	given.At, given.Said, given.Zone = h.ArrivedAt, b.saidAt(h), b.options.Zone
	given.Origin = register.Origin{Transport: register.OriginTransportMatrix, Room: h.Room.String(), Event: h.ID.String(), Thread: root.String()}
	call, err := commands.Prepare(given)
	var usage *commands.UsageError
	if errors.As(err, &usage) {
		return false, b.answer(ctx, h, root, commands.Reply{Markdown: usage.Markdown(), Mood: commands.MoodRefused})
	}
	if err != nil {
		return false, fmt.Errorf("understanding a command: %w", err)
	}
	if outside, err := b.outsideBoard(ctx, h, root, call); err != nil || outside {
		return false, err
	}
	if h.Clear && commands.Loosens(call) {
		text := fmt.Sprintf("**Not done.** What is said in clear can be forged, so %q takes an encrypted room; or write to me directly.", call.Command)
		return false, b.answer(ctx, h, root, commands.Reply{Markdown: text, Mood: commands.MoodRefused})
	}
	switch name, number, _ := commands.Local(call); name {
	case commands.LocalConfirm:
		return b.takeQuestion(ctx, h, root, number)
	case commands.LocalRun:
		return b.takeOffer(ctx, h, root, number)
	case commands.LocalReplay:
		return false, b.replay(ctx, h, root, who, number)
	}
	if refusal, err := b.lacksPower(ctx, h, call); err != nil {
		return false, err
	} else if refusal != "" {
		return false, b.answer(ctx, h, root, commands.Reply{Markdown: refusal, Mood: commands.MoodRefused})
	}
	if h.Pointed != "" {
		question, err := commands.AskBrief(call, h.Pointed)
		if err != nil {
			return false, err
		}
		return false, b.askBack(ctx, h, root, call, question)
	}
	question, asked, err := commands.Ask(ctx, b.api, register.By{Actor: h.Sender.String()}, call)
	if err != nil {
		return false, fmt.Errorf("asking whether to ask back: %w", err)
	}
	if asked {
		return false, b.askBack(ctx, h, root, call, question)
	}
	return true, b.journal.prepare(ctx, h, call)
}

// carryOut sends the stored call to the gateway and answers. A retryable error leaves the call for another attempt.
func (b *Bot) carryOut(ctx context.Context, h *heard, root id.EventID) error {
	fault("command.prepared")
	if err := b.journal.attempt(ctx, h); err != nil {
		return fmt.Errorf("noting an attempt: %w", err)
	}
	hourglass := b.hourglass(ctx, h)
	attempt, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	answer, err := commands.Run(attempt, b.api, register.By{Actor: h.Sender.String(), Key: h.ID.String()}, *h.Call)
	hourglass.stop()
	if err != nil {
		return fmt.Errorf("carrying out %q: %w", h.Call.Command, err)
	}
	fault("gateway.answered")
	if h.Call.Command == "status" {
		answer.Markdown += b.ownStatus(ctx)
	}
	return b.answer(ctx, h, root, answer)
}

// answer ends a command with its reply and its sign, in one transaction.
func (b *Bot) answer(ctx context.Context, h *heard, root id.EventID, answer commands.Reply) error {
	markdown := b.clip(answer.Markdown)
	if late := b.lateness(h); late > 0 {
		markdown = fmt.Sprintf("_I could read this only %s after it came._\n\n%s", late, markdown)
	}
	err := transaction(ctx, b.database, func(ctx context.Context) error {
		on, err := b.signedOn(ctx, h)
		if err != nil {
			return err
		}
		said := outgoing{
			Txn: txnID("reply", h.ID.String()), Room: h.Room, Rank: reply, Type: event.EventMessage.Type,
			Content: inThread(words(markdown, nil), root, h.ID),
		}
		if d, ok := answer.Data.(register.Dispatch); ok && d.Origin.Event == h.ID.String() { // whoever only looks at one keeps what they were shown
			promise(&said, d)
		}
		row, err := b.outbox.add(ctx, said)
		if err != nil {
			return err
		}
		if answer.Picture != nil {
			_, err := b.outbox.add(ctx, outgoing{
				Txn: txnID("picture", h.ID.String()), Room: h.Room, Rank: reply, Type: event.EventMessage.Type,
				Content: inThread(pictured(answer.Picture), root, h.ID),
			})
			if err != nil {
				return err
			}
		}
		if answer.File.Text != "" {
			_, err := b.outbox.add(ctx, outgoing{
				Txn: txnID("file", h.ID.String()), Room: h.Room, Rank: reply, Type: event.EventMessage.Type,
				Content: inThread(attached(answer.File), root, h.ID),
			})
			if err != nil {
				return err
			}
		}
		if on != "" {
			if err := b.sign(ctx, h.Room, on, signOf(answer.Mood), "answer"); err != nil {
				return err
			}
		}
		if err := b.noteDispatch(ctx, h, root, row, answer); err != nil {
			return err
		}
		if err := b.removeHourglass(ctx, h); err != nil {
			return err
		}
		return b.journal.end(ctx, h, stateDone, "")
	})
	if err != nil {
		return err
	}
	fault("reply.queued")
	b.metrics.commands.WithLabelValues(string(answer.Mood)).Inc()
	b.speaking.wake(h.Room)
	return nil
}

// lateness is how long a command's key was waited for beyond what anyone notices, to the second.
func (b *Bot) lateness(h *heard) time.Duration {
	if !h.Waited {
		return 0
	}
	late := b.now().Sub(h.ArrivedAt)
	if late < laneHold {
		return 0
	}
	return late.Round(time.Second)
}

// clip makes a text fit into a message, and the commands in it begin with the room's prefix.
func (b *Bot) clip(text string) string {
	text = commands.WithPrefix(text, b.options.Prefix)
	if utf8.RuneCountInString(text) <= longest {
		return text
	}
	return string([]rune(text)[:longest]) + "\n\n…"
}

func signRef(event id.EventID) string { return "sign:" + event.String() }

// sign puts the bot's reaction on a command, in place of the one it has; why makes it one per cause.
func (b *Bot) sign(ctx context.Context, room id.RoomID, on id.EventID, key, why string) error {
	before, err := b.outbox.latest(ctx, room, signRef(on))
	if err != nil {
		return fmt.Errorf("reading the sign of a command: %w", err)
	}
	txn := txnID("sign", on.String(), why)
	if before != nil && (before.Txn == txn || keyOf(before) == key) {
		return nil
	}
	if before != nil {
		if err := b.outbox.withdraw(ctx, before); err != nil {
			return err
		}
	}
	_, err = b.outbox.add(ctx, outgoing{
		Txn: txn, Room: room, Rank: rankOfSign(key), Type: event.EventReaction.Type, Content: reaction(on, key), Ref: signRef(on),
	})
	return err
}

// rankOfSign puts a sign behind the words that say the same; the lock may be all that its sender can read.
func rankOfSign(key string) rank {
	if key == signLock {
		return reply
	}
	return notice
}

func keyOf(message *outgoing) string {
	relation, _ := message.Content["m.relates_to"].(map[string]any)
	key, _ := relation["key"].(string)
	return key
}

// hourglass shows that a command takes longer than a second.
type hourglass struct {
	mutex   sync.Mutex
	timer   *time.Timer
	stopped bool
}

func hourglassRef(event id.EventID) string { return "hourglass:" + event.String() }

func (b *Bot) hourglass(ctx context.Context, h *heard) *hourglass {
	glass := &hourglass{}
	glass.timer = time.AfterFunc(slow, func() {
		glass.mutex.Lock()
		defer glass.mutex.Unlock()
		if glass.stopped || h.Type != event.EventMessage.Type && h.Type != event.EventEncrypted.Type {
			return
		}
		if b.sender.pace.wait() > 0 {
			return // under limits it would only delay the answer
		}
		_, err := b.outbox.add(ctx, outgoing{
			Txn: txnID("hourglass", h.ID.String()), Room: h.Room, Rank: reply, Type: event.EventReaction.Type,
			Content: reaction(h.ID, signHourglass), Ref: hourglassRef(h.ID),
		})
		if err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("Hourglass cannot be queued")
			return
		}
		b.speaking.wake(h.Room)
	})
	return glass
}

// stop returns when the hourglass is either queued or never will be.
func (g *hourglass) stop() {
	g.timer.Stop()
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.stopped = true
}

func (b *Bot) removeHourglass(ctx context.Context, h *heard) error {
	shown, err := b.outbox.latest(ctx, h.Room, hourglassRef(h.ID))
	if err != nil || shown == nil {
		return err
	}
	return b.outbox.withdraw(ctx, shown)
}

// refuseUntrusted answers a command that no trusted device has signed: sent in clear, or from a device nobody vouches for. The sign is
// readable by all. How to verify is told to the sender's trusted devices alone; where a reset person has none, to the room, whose
// admins can accept the new keys.
func (b *Bot) refuseUntrusted(ctx context.Context, h *heard, said *said, root id.EventID) error {
	encrypted, err := b.keys.rooms.IsEncrypted(ctx, h.Room)
	if err != nil {
		return fmt.Errorf("reading whether the room is encrypted: %w", err)
	}
	line, only := "**Not done.** Your command came from a session that is not verified. Verify it in your client's settings, then send the command again.", h.Sender
	if !said.Mautrix.WasEncrypted {
		line, only = "**Not done.** Your command was sent in clear. Turn on encryption in this room, then send it again.", ""
		if encrypted {
			line = "**Not done.** Your command was sent in clear, though this room is encrypted. Send it again from a client that encrypts."
		}
	} else if reset, err := b.wasReset(ctx, h.Sender); err != nil {
		return err
	} else if reset {
		line, only = "**Not done.** Your keys were reset since I first saw you. An admin has to accept the new ones on a terminal, with `identity trust`; then send the command again.", ""
	}
	err = transaction(ctx, b.database, func(ctx context.Context) error {
		if err := b.sign(ctx, h.Room, h.ID, signLock, "lock"); err != nil {
			return err
		}
		if encrypted || b.optional(ctx, h.Room) {
			_, err := b.outbox.add(ctx, outgoing{
				Txn: txnID("reply", h.ID.String()), Room: h.Room, Rank: reply, Type: event.EventMessage.Type, Only: only,
				Content: inThread(words(line, nil), root, h.ID),
			})
			if err != nil {
				return err
			}
		}
		return b.journal.end(ctx, h, stateDone, "not from a trusted device")
	})
	b.speaking.wake(h.Room)
	return err
}

// hearEdit tells, once, that an edited command does not run again.
func (b *Bot) hearEdit(ctx context.Context, h *heard, said *said, content *event.MessageEventContent, original id.EventID) error {
	if content.NewContent == nil {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	edited := *content.NewContent
	if _, addressed := b.addressed(ctx, said.Event, &edited); !addressed {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	_, known, err := b.authorise(ctx, h.Sender)
	if err != nil {
		return err
	}
	if !known {
		return b.refuseStranger(ctx, h, original)
	}
	return b.sayOnce(ctx, h, "edit:"+original.String(), "An edit does not run a command, neither again nor for the first time. Send it as a new message.", original)
}

// names are what a command may begin with to be meant for the bot.
func (b *Bot) names() []string {
	names := []string{b.client.UserID.String(), "@" + b.client.UserID.Localpart(), b.client.UserID.Localpart()}
	if b.displayName != "" && !strings.EqualFold(b.displayName, b.client.UserID.Localpart()) {
		names = append(names, b.displayName)
	}
	return names
}
