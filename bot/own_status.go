package bot

import (
	"context"
	"strings"
)

// ownStatus is what only the bot knows of the fleet at a glance: encryption, and what it could not deal with.
func (b *Bot) ownStatus(ctx context.Context) string {
	said := "Encryption ok: my device is verified"
	if verified, err := b.keys.verified(ctx); err != nil || !verified {
		said = "**Encryption not well**: my device is not verified; `mosaic-matrix doctor` says how that is mended"
	}
	lines := []string{said}
	var waiting, aside, failed int
	err := b.database.QueryRow(ctx, `SELECT (SELECT count(*) FROM journal WHERE state = 'waiting'), (SELECT count(*) FROM journal WHERE state = 'aside'),
		(SELECT count(*) FROM outbox WHERE state = 'failed')`).Scan(&waiting, &aside, &failed)
	if err == nil {
		if waiting > 0 {
			lines[0] += "; " + counted(waiting, "message") + " cannot be read yet"
		}
		if aside > 0 {
			lines = append(lines, "**"+counted(aside, "event")+" set aside**: `!mosaic replay`")
		}
		if failed > 0 {
			lines = append(lines, "**"+counted(failed, "message")+" could not be sent**: `mosaic-matrix doctor` says why")
		}
	}
	return "\n- " + strings.Join(lines, "\n- ")
}
