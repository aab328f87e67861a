package bot

import (
	"context"
	"fmt"
)

// Encryption is how end-to-end encryption does. None of it keeps the bot from its work; all of it someone has to look at.
type Encryption struct {
	// Unreadable counts messages whose key is waited for longer than anyone expects.
	Unreadable int `json:"unreadable"`
	// Untrusted counts people whose keys were reset and not accepted.
	Untrusted int `json:"untrusted"`
}

func (b *Bot) encryption(ctx context.Context) (Encryption, error) {
	var e Encryption
	err := b.database.QueryRow(ctx, `SELECT count(*) FROM journal WHERE state = 'waiting' AND arrived_at < $1`,
		b.now().Add(-keySignAfter).UTC()).Scan(&e.Unreadable)
	if err != nil {
		return e, fmt.Errorf("counting what cannot be read: %w", err)
	}
	changes, err := b.keyChanges(ctx)
	e.Untrusted = len(changes)
	return e, err
}
