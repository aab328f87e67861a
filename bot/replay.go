package bot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// shownAside is how many events set aside one reply lists.
const shownAside = 20

// replay lists what was set aside, or has one of it dealt with again.
func (b *Bot) replay(ctx context.Context, h *heard, root id.EventID, who register.Identity, number int64) error {
	if !slices.Contains(who.Roles, register.FleetRoleAdmin) {
		return b.answer(ctx, h, root, commands.Reply{Markdown: "**Not done.** Only an admin of the fleet may replay events. Who is one: `" + b.options.Prefix + " identity list`", Mood: commands.MoodRefused})
	}
	if number == 0 {
		text, err := b.asideText(ctx)
		if err != nil {
			return err
		}
		return b.answer(ctx, h, root, commands.Reply{Markdown: text, Mood: commands.MoodDone})
	}
	room, found, err := b.journal.takeUp(ctx, number)
	if err != nil {
		return err
	}
	if !found {
		text := fmt.Sprintf("**Not done.** E%d is not set aside; `%s replay` lists what is.", number, b.options.Prefix)
		return b.answer(ctx, h, root, commands.Reply{Markdown: text, Mood: commands.MoodRefused})
	}
	b.hearing.wake(room)
	return b.answer(ctx, h, root, commands.Reply{Markdown: fmt.Sprintf("**E%d is tried again.** Its answer comes where it was asked.", number), Mood: commands.MoodDone})
}

func (b *Bot) asideText(ctx context.Context) (string, error) {
	rows, err := b.database.Query(ctx, `SELECT seq, sender, arrived_at, coalesce(reason, '') FROM journal WHERE state = 'aside' ORDER BY seq DESC LIMIT $1`, shownAside)
	lines, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (string, error) {
		var h heard
		var reason string
		if err := row.Scan(&h.Seq, &h.Sender, &h.ArrivedAt, &reason); err != nil {
			return "", err
		}
		reason, _, _ = strings.Cut(reason, "\n")
		return fmt.Sprintf("- **E%d** from %s at %s: %s", h.Seq, plain(h.Sender.String()), h.ArrivedAt.In(b.options.Zone).Format("2 Jan 15:04"), plain(reason)), nil
	}, err).AsList()
	if err != nil {
		return "", fmt.Errorf("reading what is set aside: %w", err)
	}
	if len(lines) == 0 {
		return "**Nothing is set aside.**", nil
	}
	return "**Set aside, the newest first**\n\n" + strings.Join(lines, "\n"), nil
}
