package bot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

const (
	// laneHold is how long an event that cannot be read yet holds up what was said after it.
	laneHold = 5 * time.Second
	// keyPatience is how long its key is waited for before it is set aside.
	keyPatience = 24 * time.Hour
	// faultsAllowed is how often our own fault may hit one event before it is set aside.
	faultsAllowed = 5
	// gatewayPatience is the longest pause between attempts while the gateway cannot be reached.
	gatewayPatience = 5 * time.Second
	// page is how many events of a room are taken up at a time.
	page = 200
)

// hear deals with what a room has journalled, in order, and says when to come back. A command that the gateway could not
// take holds those after it; an event that is at fault itself does not.
func (b *Bot) hear(ctx context.Context, room id.RoomID) time.Duration {
	ctx = zerolog.Ctx(ctx).With().Stringer("room_id", room).Logger().WithContext(ctx)
	rows, err := b.journal.open(ctx, room, page)
	if err != nil {
		if ctx.Err() == nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("Journal cannot be read")
		}
		return time.Second
	}
	next, err := b.showUnreadable(ctx, room)
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("What cannot be read cannot be shown")
		next = time.Second
	}
	held := false
	for _, h := range rows {
		if ctx.Err() != nil {
			return 0
		}
		if wait := h.RetryAt.Sub(b.now()); wait > 0 {
			held = held || h.Failures == 0
			next = sooner(next, wait)
			continue
		}
		if held {
			b.tellHeld(ctx, h, nil)
			continue
		}
		hold, wait := b.dealWith(ctx, h)
		next = sooner(next, wait)
		held = held || hold
		if hold && h.State == stateWaiting {
			break
		}
	}
	if len(rows) == page && next == 0 && !held {
		return time.Millisecond
	}
	return next
}

func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// dealWith brings one event as far as it goes now. It says whether the event holds the lane, and when to try again.
func (b *Bot) dealWith(ctx context.Context, h *heard) (hold bool, wait time.Duration) {
	log := zerolog.Ctx(ctx).With().Stringer("event_id", h.ID).Stringer("sender", h.Sender).Logger()
	ctx = log.WithContext(ctx)
	err := b.attempt(ctx, h)
	var unreadable *unreadableError
	var shunned *shunnedError
	switch {
	case err == nil || ctx.Err() != nil:
		return false, 0
	case errors.Is(err, errNeedsKey):
		return b.awaitKey(ctx, h)
	case errors.As(err, &shunned):
		if err := b.journal.end(ctx, h, stateDropped, shunned.reason); err != nil {
			log.Warn().Err(err).Msg("Journal cannot be written")
			return true, time.Second
		}
		return false, 0
	case register.Retryable(err):
		return b.keep(ctx, h, err)
	case errors.As(err, &unreadable):
		b.setAside(ctx, h, unreadable.Error())
		return false, 0
	case unanswered(err):
		return b.awaitHomeserver(ctx, h, err)
	}
	log.Error().Err(err).Int("failures", h.Failures+1).Msg("Dealing with an event failed")
	if h.Failures+1 >= faultsAllowed {
		b.giveUp(ctx, h, err)
		return false, 0
	}
	wait = backoff(h.Failures)
	if err := b.journal.fail(ctx, h, b.now().Add(wait), err.Error()); err != nil {
		log.Warn().Err(err).Msg("Journal cannot be written")
		return true, time.Second
	}
	return false, wait
}

func (b *Bot) setAside(ctx context.Context, h *heard, reason string) {
	zerolog.Ctx(ctx).Warn().Str("reason", reason).Msg("Event set aside")
	if err := b.journal.end(ctx, h, stateAside, reason); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("Journal cannot be written")
	}
}

// giveUp sets aside an event that our own faults hit too often; someone whose command was begun is told.
func (b *Bot) giveUp(ctx context.Context, h *heard, failure error) {
	if root, asked := b.askedForSomething(ctx, h); asked && h.Call != nil {
		_, err := b.outbox.add(ctx, outgoing{
			Txn: txnID("gave up", h.ID.String()), Room: h.Room, Rank: reply, Type: event.EventMessage.Type,
			Content: inThread(words("**I do not know whether this was done.** I kept failing at it and stopped; look before you ask again. "+
				fmt.Sprintf("An admin sees why with `%s replay`, and can have it tried again with `%s replay E%d`.", b.options.Prefix, b.options.Prefix, h.Seq), nil), root, h.ID),
		})
		if err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("Outbox cannot be written")
		}
		b.speaking.wake(h.Room)
	}
	b.setAside(ctx, h, failure.Error())
}

func (b *Bot) attempt(ctx context.Context, h *heard) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())
		}
	}()
	switch h.Type {
	case inviteType:
		return b.hearInvite(ctx, h)
	case tombstoneType:
		return b.hearTombstone(ctx, h)
	case emptiedType:
		return b.hearEmptied(ctx, h)
	}
	said, err := b.understand(ctx, h)
	if errors.Is(err, errTakenBack) {
		return b.hearTakenBack(ctx, h)
	}
	if err != nil {
		return err
	}
	if err := b.hideKeyMissing(ctx, h); err != nil {
		return err
	}
	switch said.Type.Type {
	case event.EventMessage.Type:
		return b.hearMessage(ctx, h, said)
	case event.EventReaction.Type:
		return b.hearSign(ctx, h, said)
	case event.EventRedaction.Type:
		return b.hearRedaction(ctx, h)
	case event.EventUnstablePollResponse.Type:
		return b.hearPoll(ctx, h, said)
	}
	return b.journal.end(ctx, h, stateDropped, "")
}

// awaitKey holds the lane for a short while, asks for the key once, and waits on beside the lane.
func (b *Bot) awaitKey(ctx context.Context, h *heard) (hold bool, wait time.Duration) {
	if h.State != stateWaiting {
		if err := b.journal.wait(ctx, h); err != nil {
			return true, time.Second
		}
	}
	if !h.KeyAsked {
		b.syncer.hurry() // the homeserver may have let go of the key
		b.askForKey(ctx, h)
	}
	if age := b.now().Sub(h.ArrivedAt); age < laneHold {
		return true, laneHold - age
	}
	return false, 0
}

// awaitHomeserver keeps an event that needs something asked of a homeserver that does not answer.
func (b *Bot) awaitHomeserver(ctx context.Context, h *heard, failure error) (hold bool, wait time.Duration) {
	wait = gatewayPatience
	if err := b.journal.retry(ctx, h, b.now().Add(wait), failure.Error(), h.Told); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("Journal cannot be written")
		return true, time.Second
	}
	return true, wait
}

// keep holds a command or vote that the gateway did not take, for the same bytes to be sent again, and tells its sender once.
func (b *Bot) keep(ctx context.Context, h *heard, failure error) (hold bool, wait time.Duration) {
	wait = min(backoff(h.Attempts), gatewayPatience)
	var answer *register.Error
	if errors.As(failure, &answer) && answer.RetryAfter > 0 {
		wait = answer.RetryAfter
	}
	if err := b.journal.retry(ctx, h, b.now().Add(wait), failure.Error(), h.Told); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("Journal cannot be written")
		return true, time.Second
	}
	b.gatewayFailed(ctx, failure)
	b.tellHeld(ctx, h, answer)
	return true, wait
}

// tellHeld says, once, that a command is kept. While the gateway cannot say who someone is, only those it vouched for before
// are told: to anyone else it would acknowledge what may not be theirs to ask.
func (b *Bot) tellHeld(ctx context.Context, h *heard, failure *register.Error) {
	if h.Told || h.Type == inviteType || h.Type == tombstoneType || h.Type == emptiedType {
		return
	}
	root, ok := b.askedForSomething(ctx, h)
	if !ok || !b.knownBefore(ctx, h.Sender) {
		return
	}
	err := transaction(ctx, b.database, func(ctx context.Context) error {
		retry := h.RetryAt
		if retry.IsZero() {
			retry = b.now()
		}
		if err := b.journal.retry(ctx, h, retry, "kept while the gateway cannot be reached", true); err != nil {
			return err
		}
		_, err := b.outbox.add(ctx, outgoing{
			Txn: txnID("kept", h.ID.String()), Room: h.Room, Rank: reply, Type: event.EventMessage.Type,
			Content: inThread(words("**Kept.** "+whyHeld(failure)+"; I will carry this out and answer here.", nil), root, h.ID),
		})
		return err
	})
	if err != nil {
		h.Told = false
		zerolog.Ctx(ctx).Warn().Err(err).Msg("Telling that a command is kept failed")
		return
	}
	b.speaking.wake(h.Room)
}

// whyHeld is why a command waits; the request is what whoever runs the gateway finds in its log.
func whyHeld(failure *register.Error) string {
	switch {
	case failure == nil:
	case failure.Status >= http.StatusInternalServerError && failure.RequestID != "":
		return "The gateway fails at this now (request " + plain(failure.RequestID) + ")"
	case failure.Status == http.StatusUnauthorized:
		return "The gateway does not accept my token now, and the admins are told"
	case failure.Status == http.StatusTooManyRequests:
		return "The gateway takes no more requests of mine for now, and the admins are told"
	}
	return "The gateway cannot be reached now"
}

// askedForSomething says whether an event is a command or a vote, and the thread in which to answer it.
func (b *Bot) askedForSomething(ctx context.Context, h *heard) (root id.EventID, ok bool) {
	said, err := b.understand(ctx, h)
	if err != nil {
		return "", false
	}
	switch content := said.Content.Parsed.(type) {
	case *event.MessageEventContent:
		if content.RelatesTo.GetReplaceID() != "" {
			return "", false
		}
		text, addressed := b.addressed(ctx, said.Event, content)
		_, addressed, err := b.askedInThread(ctx, said.Event, text, addressed)
		return threadOf(said.Event), addressed && err == nil
	case *event.ReactionEventContent:
		if h.Call != nil && h.Call.Command == "cancel" {
			return b.rootOf(ctx, h, content.RelatesTo.EventID), true
		}
		proposal, err := b.proposalAt(ctx, content.RelatesTo.EventID)
		board, failed := b.board.read(ctx)
		return content.RelatesTo.EventID, err == nil && failed == nil && proposal != "" && verdictOf(content.RelatesTo.Key, board.Keys) != ""
	}
	return "", false
}

// threadOf is the thread in which an event is answered: its own, or the one it is in.
func threadOf(evt *event.Event) id.EventID {
	if content, ok := evt.Content.Parsed.(event.Relatable); ok {
		if root := content.OptionalGetRelatesTo().GetThreadParent(); root != "" {
			return root
		}
	}
	return evt.ID
}
