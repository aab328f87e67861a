package bot

import (
	"context"
	"fmt"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// alert keeps something the bot has to tell those who run it, in the caller's transaction. The same key is told once.
func (b *Bot) alert(ctx context.Context, key, markdown string) error {
	_, err := b.database.Exec(ctx, `INSERT INTO alert (key, markdown, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, key, markdown, b.now().UTC())
	if err != nil {
		return fmt.Errorf("keeping an alert: %w", err)
	}
	return nil
}

type storedAlert struct{ key, markdown string }

// queueAlerts queues what is to be told for the rooms bound for admins, or if there is none those for the fleet. Without such a room it is kept until there is one.
func (b *Bot) queueAlerts(ctx context.Context) error {
	rows, err := b.database.Query(ctx, `SELECT key, markdown FROM alert WHERE queued_at IS NULL ORDER BY at`)
	alerts, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (a storedAlert, err error) {
		return a, row.Scan(&a.key, &a.markdown)
	}, err).AsList()
	if err != nil {
		return fmt.Errorf("reading alerts: %w", err)
	}
	if len(alerts) == 0 {
		return nil
	}
	_, bindings, err := b.directory.read(ctx)
	if err != nil {
		if bindings, err = keptBindings(ctx, b.database); err != nil {
			return err
		}
	}
	rooms := forAdmins(bindings)
	if len(rooms) == 0 {
		return nil
	}
	for _, a := range alerts {
		if err := b.queueAlert(ctx, a, rooms); err != nil {
			return err
		}
	}
	b.speaking.wake(rooms...)
	return nil
}

func (b *Bot) queueAlert(ctx context.Context, a storedAlert, rooms []id.RoomID) error {
	return transaction(ctx, b.database, func(ctx context.Context) error {
		for _, room := range rooms {
			_, err := b.outbox.add(ctx, outgoing{
				Txn: txnID("alert", a.key, room.String()), Room: room, Rank: notice, Type: event.EventMessage.Type, Content: words(a.markdown, nil),
			})
			if err != nil {
				return err
			}
		}
		_, err := b.database.Exec(ctx, `UPDATE alert SET queued_at = $2 WHERE key = $1`, a.key, b.now().UTC())
		if err != nil {
			return fmt.Errorf("noting that an alert is queued: %w", err)
		}
		return nil
	})
}
