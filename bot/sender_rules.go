package bot

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
)

// shunnedError says that a sender is to be shown no sign of life.
type shunnedError struct{ reason string }

func (e *shunnedError) Error() string { return e.reason }

// allowedServer says whether people of a user's homeserver may command the bot at all.
func (b *Bot) allowedServer(user id.UserID) bool {
	server := user.Homeserver()
	return server == b.client.UserID.Homeserver() || slices.Contains(b.options.Servers, server)
}

// shunForeign is for someone of a homeserver that is not allowed. Those who run the fleet are told if it is someone they know.
func (b *Bot) shunForeign(ctx context.Context, user id.UserID, known bool) error {
	if known {
		text := fmt.Sprintf("**%s is linked in the register, but I do not listen to its homeserver.** Allow it with `--allow-server %s` if you trust it.",
			plain(user.String()), user.Homeserver())
		if err := b.alert(ctx, "foreign:"+user.String(), text); err != nil {
			return err
		}
	}
	return &shunnedError{"sent from a homeserver that is not allowed"}
}

// shunLookAlike is for someone whose Matrix ID could be taken for that of a known person.
func (b *Bot) shunLookAlike(ctx context.Context, user id.UserID, detail string) error {
	text := fmt.Sprintf("**Someone who is not who they seem wrote to me.** %s I do not answer. If it is theirs after all, an admin can link it: `%s identity link NAME %s --look-alike`",
		plain(detail), b.options.Prefix, user)
	if err := b.alert(ctx, "look-alike:"+user.String(), text); err != nil {
		return err
	}
	return &shunnedError{"sent by someone who looks like a known person"}
}

// quotas limit how many commands each sender may give; they are kept in memory, since a restart is no way to give more.
type quotas struct {
	mutex sync.Mutex
	of    map[id.UserID]*quota
}

// quota is a bucket of commands that fills evenly; told says that its owner knows that it is empty.
type quota struct {
	left float64
	at   time.Time
	told bool
}

// sendersKept is how many senders' quotas are remembered.
const sendersKept = 10000

// take uses up one command of a sender. Without one left it says how long until the next, and whether this is the first to tell.
func (p *quotas) take(user id.UserID, now time.Time, perMinute int) (wait time.Duration, first bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if len(p.of) > sendersKept || p.of == nil {
		p.of = map[id.UserID]*quota{}
	}
	mine := p.of[user]
	if mine == nil {
		mine = &quota{left: float64(perMinute), at: now}
		p.of[user] = mine
	}
	perSecond := float64(perMinute) / 60
	mine.left = min(float64(perMinute), mine.left+max(0, now.Sub(mine.at).Seconds())*perSecond)
	mine.at = now
	if mine.left < 1 {
		first, mine.told = !mine.told, true
		return time.Duration((1 - mine.left) / perSecond * float64(time.Second)), first
	}
	mine.left--
	mine.told = false
	return 0, false
}

// tooFast ends what a sender asked beyond the commands a minute allows. They are told with the first; a stranger is not.
func (b *Bot) tooFast(ctx context.Context, h *heard, root id.EventID) (bool, error) {
	wait, first := b.quotas.take(h.Sender, b.now(), b.options.CommandsPerMinute)
	if wait == 0 {
		return false, nil
	}
	b.metrics.tooFast.Inc()
	if h.Type == event.EventReaction.Type || !first || !b.knownBefore(ctx, h.Sender) {
		return true, b.journal.end(ctx, h, stateDropped, "more commands a minute than allowed")
	}
	text := fmt.Sprintf("**Not done.** That was your command number %d within a minute, and I take no more. Wait %s; what you send until then is not carried out.",
		b.options.CommandsPerMinute+1, spoken(max(wait.Round(time.Second), time.Second)))
	return true, b.answer(ctx, h, root, commands.Reply{Markdown: text, Mood: commands.MoodRefused})
}

// lacksPower is why a sender may not change anything from a room, where the room's own power is required too; empty if they may.
func (b *Bot) lacksPower(ctx context.Context, h *heard, call commands.Call) (string, error) {
	if b.options.RoomPower <= 0 || call.Mutation == nil {
		return "", nil
	}
	may, err := b.hasPower(ctx, h.Room, h.Sender, func(*event.PowerLevelsEventContent) int { return b.options.RoomPower })
	if err != nil || may {
		return "", err
	}
	return fmt.Sprintf("**Not done.** What changes something takes a power level of %d in this room, beside your role; a moderator can give it to you.", b.options.RoomPower), nil
}
