package bot

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// authorise asks the register who sender is. A stranger is known=false without an error; nothing but the one polite line may
// be said to them. Someone who looks like a known person, or is of a homeserver that is not allowed, is a *shunnedError and is shown
// nothing at all. Every later call names the actor too, so the gateway decides again what they may do.
func (b *Bot) authorise(ctx context.Context, sender id.UserID) (who register.Identity, known bool, err error) {
	who, err = b.api.WhoAmI(ctx, register.By{Actor: sender.String()})
	unknown := register.CodeOf(err) == register.ProblemCodeActorUnknown
	var refusal *register.Error
	switch {
	case register.CodeOf(err) == register.ProblemCodeActorLooksAlike && errors.As(err, &refusal):
		return who, false, b.shunLookAlike(ctx, sender, refusal.Detail)
	case err != nil && !unknown:
		return who, false, fmt.Errorf("asking who %s is: %w", sender, err)
	case !b.allowedServer(sender):
		return who, false, b.shunForeign(ctx, sender, !unknown)
	case unknown:
		return who, false, nil
	}
	if err := b.noteKnown(ctx, []register.Identity{{MatrixID: sender.String()}}); err != nil {
		return who, false, err
	}
	return who, true, nil
}

// noteKnown keeps whom the register vouches for, for when it cannot be asked.
func (b *Bot) noteKnown(ctx context.Context, identities []register.Identity) error {
	var known []string
	for _, identity := range identities {
		if identity.MatrixID != "" {
			known = append(known, identity.MatrixID)
		}
	}
	_, err := b.database.Exec(ctx, `INSERT INTO known_sender (user_id, seen_at) SELECT DISTINCT unnest($1::text[]), $2::timestamptz
		ON CONFLICT (user_id) DO UPDATE SET seen_at = excluded.seen_at`, known, b.now().UTC())
	if err != nil {
		return fmt.Errorf("noting who is known: %w", err)
	}
	return nil
}

// knownBefore says whether the register vouched for sender at some time; it is no authority to do anything.
func (b *Bot) knownBefore(ctx context.Context, sender id.UserID) bool {
	var known bool
	if err := b.database.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM known_sender WHERE user_id = $1)`, sender).Scan(&known); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("Known senders cannot be read")
		return false
	}
	return known
}

// firstTime says whether user is to be told something that is told once; it counts as told when the transaction commits.
func (b *Bot) firstTime(ctx context.Context, user id.UserID, what string) (bool, error) {
	result, err := b.database.Exec(ctx, `INSERT INTO told (user_id, what, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, user, what, b.now().UTC())
	if err != nil {
		return false, fmt.Errorf("noting what someone was told: %w", err)
	}
	count, err := result.RowsAffected()
	return count > 0, err
}

// sayOnce ends an event with a line that its sender is told at most once, in the thread of root.
func (b *Bot) sayOnce(ctx context.Context, h *heard, what, line string, root id.EventID) error {
	err := transaction(ctx, b.database, func(ctx context.Context) error {
		first, err := b.firstTime(ctx, h.Sender, what)
		if err != nil {
			return err
		}
		if first {
			_, err = b.outbox.add(ctx, outgoing{
				Txn: txnID("once", h.Sender.String(), what), Room: h.Room, Rank: reply, Type: event.EventMessage.Type,
				Content: inThread(words(line, nil), root, h.ID),
			})
			if err != nil {
				return err
			}
		}
		return b.journal.end(ctx, h, stateDropped, what)
	})
	if err != nil {
		return err
	}
	b.speaking.wake(h.Room)
	return nil
}

const strangerLine = "I work only for people this fleet knows, and I do not know you yet. An admin of the fleet can add you."

func (b *Bot) refuseStranger(ctx context.Context, h *heard, root id.EventID) error {
	return b.sayOnce(ctx, h, "stranger", strangerLine, root)
}
