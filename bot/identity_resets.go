package bot

import (
	"context"
	"fmt"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// keyChange is that a person's cross-signing identity is not the one first seen of them.
type keyChange struct {
	User     id.UserID
	Old, New id.Ed25519
	Reported bool
}

// reportResets tells the register whose keys were reset, once for each key, so that an admin can accept the new ones. What cannot be
// told now is told by the next sweep.
func (b *Bot) reportResets(ctx context.Context) error {
	changes, err := b.keyChanges(ctx)
	if err != nil || len(changes) == 0 {
		return err
	}
	identities, _, err := b.directory.read(ctx)
	if err != nil {
		return err
	}
	for _, identity := range identities {
		for _, change := range changes {
			if identity.MatrixID != change.User.String() {
				continue
			}
			report := b.reportReset
			if change.Reported {
				report = b.trustIfAccepted
			}
			if err := report(ctx, identity.Name, change); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Bot) keyChanges(ctx context.Context) ([]keyChange, error) {
	rows, err := b.database.Query(ctx, `SELECT k.user_id, k.first_seen_key, k.key, r.user_id IS NOT NULL
		FROM crypto_cross_signing_keys k LEFT JOIN identity_reset r ON r.user_id = k.user_id AND r.new_key = k.key
		WHERE k.usage = 'master' AND k.key <> k.first_seen_key AND k.user_id <> $1`, b.client.UserID)
	changes, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (c keyChange, err error) {
		return c, row.Scan(&c.User, &c.Old, &c.New, &c.Reported)
	}, err).AsList()
	if err != nil {
		return nil, fmt.Errorf("reading whose keys were reset: %w", err)
	}
	return changes, nil
}

// trustIfAccepted is for an acceptance whose event was never heard, as after a long absence.
func (b *Bot) trustIfAccepted(ctx context.Context, name string, change keyChange) error {
	identity, err := b.api.Identity(ctx, register.By{}, name)
	if err != nil {
		return fmt.Errorf("asking whether the keys of %s are accepted: %w", change.User, err)
	}
	if identity.Reset.NewKey != change.New.String() || identity.Reset.AcceptedBy == "" {
		return nil
	}
	_, err = b.trust(ctx, change.User, change.New.String())
	return err
}

func (b *Bot) reportReset(ctx context.Context, name string, change keyChange) error {
	report := register.IdentityResetReport{MatrixID: change.User.String(), OldKey: change.Old.String(), NewKey: change.New.String()}
	err := b.api.Send(ctx, register.By{Key: txnID("reset", name, change.User.String(), change.Old.String(), change.New.String())}, register.ReportReset(name, report), nil)
	if err != nil {
		return fmt.Errorf("reporting that the keys of %s were reset: %w", change.User, err)
	}
	_, err = b.database.Exec(ctx, `INSERT INTO identity_reset (user_id, new_key, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, change.User, change.New, b.now().UTC())
	if err != nil {
		return fmt.Errorf("noting that a reset is reported: %w", err)
	}
	zerolog.Ctx(ctx).Warn().Stringer("user_id", change.User).Msg("Someone's keys were reset; an admin has to accept the new ones")
	return nil
}

// trust takes a person's key as theirs if they still have it. It may be done again.
func (b *Bot) trust(ctx context.Context, user id.UserID, key string) (trusted bool, err error) {
	b.keys.RLock()
	defer b.keys.RUnlock()
	// Whoever shares a room's keys meanwhile has looked at the old trust, and would store a session that withholds them for good.
	b.keys.fetching.Lock()
	defer b.keys.fetching.Unlock()
	err = transaction(ctx, b.database, func(ctx context.Context) error {
		result, err := b.database.Exec(ctx, `UPDATE crypto_cross_signing_keys SET first_seen_key = key WHERE user_id = $1 AND usage = 'master' AND key = $2`, user, key)
		if err != nil {
			return fmt.Errorf("trusting the accepted key of %s: %w", user, err)
		}
		count, err := result.RowsAffected()
		if err != nil || count == 0 {
			return err
		}
		trusted = true
		b.keys.machine.OnDevicesChanged(ctx, user) // what is said from now on is for their devices too
		return nil
	})
	return trusted && err == nil, err
}

// planTrust takes the accepted key of a person as theirs before the event's position is stored: a crash between has it taken twice, which
// changes nothing. If they have yet another key by now, nothing is trusted and the fleet is told.
func (b *Bot) planTrust(ctx context.Context, e register.Event) ([]step, error) {
	trusted, err := b.trust(ctx, id.UserID(e.Identity.Reset.MatrixID), e.Identity.Reset.NewKey)
	if err != nil {
		return nil, err
	}
	steps, err := b.planQuiet(ctx, e, register.RoomPurposeFleet)
	if err != nil || trusted {
		return steps, err
	}
	return append(steps, func(ctx context.Context) (id.RoomID, error) {
		text := fmt.Sprintf("**The keys of %s changed once more** after %s accepted them, so I trust none of them. Look again: `%s identity trust %s`",
			plain(e.Identity.Name), plain(e.Actor), b.options.Prefix, e.Identity.Name)
		return "", b.alert(ctx, causedBy(e, "", "trust"), text)
	}), nil
}

// wasReset says whether someone came back with other keys that nobody has accepted, and has the register know.
func (b *Bot) wasReset(ctx context.Context, user id.UserID) (bool, error) {
	changes, err := b.keyChanges(ctx)
	if err != nil {
		return false, err
	}
	for _, change := range changes {
		if change.User == user {
			if err := b.reportResets(ctx); err != nil {
				zerolog.Ctx(ctx).Warn().Err(err).Msg("A reset of keys cannot be reported yet")
			}
			return true, nil
		}
	}
	return false, nil
}
