package bot

import (
	"context"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
	"maunium.net/go/mautrix/pushrules"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// inRoomFor starts the bot and waits until ada is in the room it makes for a purpose.
func (b *bench) inRoomFor(t *testing.T, purpose register.RoomPurpose) *Bot {
	t.Helper()
	b.options.CreateRooms = true
	running := b.start(t)
	b.enters(t, purpose)
	return running
}

// processInRoomFor is inRoomFor with the bot in a process of its own.
func (b *bench) processInRoomFor(t *testing.T, purpose register.RoomPurpose) *exec.Cmd {
	t.Helper()
	b.options.CreateRooms = true
	running := b.process(t)
	b.enters(t, purpose)
	return running
}

func (b *bench) enters(t *testing.T, purpose register.RoomPurpose) {
	t.Helper()
	b.room = b.bound(t, purpose)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, b.ada.UserID))
}

// used says by hand what claude's window has used.
func (b *bench) used(t *testing.T, credits int64) {
	t.Helper()
	b.fleet.send(t, b.fleet.admin, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Unit: register.UnitCredits, LimitMicros: 500_000_000, UsedMicros: new(credits * 1_000_000), ResetAt: time.Now().Add(time.Hour),
	}), nil)
}

// exec runs SQL on the register itself, to let time pass there.
func (f *fleet) exec(t *testing.T, sql string) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), f.Database.Gateway)
	require.NoError(t, err)
	defer connection.Close(context.WithoutCancel(t.Context()))
	_, err = connection.Exec(t.Context(), sql)
	require.NoError(t, err)
}

const (
	ringsDue  = `UPDATE fleet.rings SET first_at = first_at - interval '16 minutes', next_at = next_at - interval '16 minutes' WHERE next_at IS NOT NULL`
	dwellOver = `UPDATE fleet.windows SET step_held_at = step_held_at - interval '10 minutes' WHERE ended_at IS NULL`
)

func (b *bench) heardFromBot(t *testing.T, text string, also ...client.Predicate) client.Seen {
	t.Helper()
	seen, err := b.ada.WaitFor(soon(t), append([]client.Predicate{b.fromBot(), client.In(b.room), client.Contains(text)}, also...)...)
	require.NoError(t, err)
	return seen
}

func original(seen client.Seen) bool { return seen.EditOf == "" && seen.Reaction == "" }

func TestTheNewestTextOfAWindowIsAlwaysItsStep(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.inRoomFor(t, register.RoomPurposeBudget)
	b.used(t, 270)
	first := b.heardFromBot(t, "normal → downgrade", original)
	require.Equal(t, event.MsgNotice, first.MsgType)
	require.Empty(t, first.Mentions)

	b.used(t, 100)
	b.fleet.exec(t, dwellOver)
	edited := b.heardFromBot(t, "downgrade → normal", client.Edits(first.EventID))
	require.Empty(t, edited.Mentions)

	b.used(t, 500)
	rung := b.heardFromBot(t, "normal → refuse", original)
	require.Equal(t, event.MsgText, rung.MsgType)
	require.Equal(t, []id.UserID{b.ada.UserID}, rung.Mentions)
	require.Contains(t, rung.Body, "ack R-1")

	b.used(t, 270)
	b.fleet.exec(t, dwellOver)
	eased := b.heardFromBot(t, "refuse → downgrade", client.Edits(rung.EventID))
	require.Empty(t, eased.Mentions)
	b.used(t, 500)
	b.heardFromBot(t, "downgrade → refuse", client.Edits(rung.EventID))
}

func TestARefusalRingsAgainThroughARestartUntilSomebodySaysAck(t *testing.T) {
	t.Parallel()
	b := setup(t)
	process := b.processInRoomFor(t, register.RoomPurposeBudget)
	b.used(t, 500)
	first := b.heardFromBot(t, "normal → refuse", original)
	require.NoError(t, process.Process.Kill())
	_, _ = process.Process.Wait()
	b.fleet.exec(t, ringsDue)

	b.start(t)
	again := b.heardFromBot(t, "still refuses", original)
	require.Equal(t, event.MsgText, again.MsgType)
	require.Equal(t, []id.UserID{b.ada.UserID}, again.Mentions)
	require.NotEqual(t, first.EventID, again.EventID)
	said, err := b.ada.ReplyInThread(t.Context(), b.room, again.EventID, "Ack")
	require.NoError(t, err)
	told := b.heardFromBot(t, "ada has seen it", client.InThread(again.EventID))
	require.Equal(t, event.MsgNotice, told.MsgType)
	require.Eventually(t, func() bool { signs := b.signs(said); return len(signs) == 1 && signs[0] == signDone }, patience, tick)
	rings, err := b.fleet.admin.Rings(t.Context(), register.By{})
	require.NoError(t, err)
	require.Equal(t, "ada", rings.Rings[0].AckedBy)
	require.True(t, rings.Rings[0].NextAt.IsZero())
}

func TestEyesOnARingAcknowledgeItAndAStrangersDoNot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.inRoomFor(t, register.RoomPurposeBudget)
	stranger := localtest.Person(t, "Stranger")
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, b.ada.UserID))
	b.used(t, 500)
	rung := b.heardFromBot(t, "normal → refuse", original)
	require.NoError(t, b.ada.Invite(t.Context(), b.room, stranger.UserID))
	_, err := stranger.Join(t.Context(), b.room.String())
	require.NoError(t, err)
	_, err = stranger.React(t.Context(), b.room, rung.EventID, "👀")
	require.NoError(t, err)
	b.heardFromBot(t, "I do not know you yet")
	rings, err := b.fleet.admin.Rings(t.Context(), register.By{})
	require.NoError(t, err)
	require.Empty(t, rings.Rings[0].AckedBy)

	_, err = b.ada.React(t.Context(), b.room, rung.EventID, "👀")
	require.NoError(t, err)
	b.heardFromBot(t, "ada has seen it")
}

func TestAnAckWhereNothingRangIsNoCommand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	said := b.say(t, "ack")
	b.answered(t, b.say(t, "!mosaic ack"), "Nothing rings")
	require.Empty(t, b.replies(said))
}

func TestAQuietRoomHearsRefusalsOnlyAndATalkativeOneEveryAdmission(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.inRoomFor(t, register.RoomPurposeBudget)
	b.answered(t, b.say(t, "!mosaic room verbosity low"), "only refusals")
	b.used(t, 270)
	b.used(t, 500)
	rung := b.heardFromBot(t, "downgrade → refuse", original)
	for _, seen := range b.ada.Seen() {
		require.NotContains(t, seen.Body, "normal → downgrade", "a quiet room hears no step")
	}
	b.used(t, 270)
	b.fleet.exec(t, dwellOver)
	b.heardFromBot(t, "refuse → downgrade", client.Edits(rung.EventID))

	b.answered(t, b.say(t, "!mosaic room verbosity high"), "lowered or queued")
	b.used(t, 0)
	b.fleet.send(t, b.fleet.admin, register.CreateDispatch(register.DispatchRequest{
		Role: "coder", Brief: "later", Model: "haiku", Exact: true, Estimate: []register.EstimateAmount{{Micros: 400_000_000}},
	}), nil)
	said := b.heardFromBot(t, "D-1 queued")
	require.Equal(t, event.MsgNotice, said.MsgType)
}

// group is a room as the push rules see it.
type group struct{ members int }

func (g group) GetOwnDisplayname() string { return "someone" }
func (g group) GetMemberCount() int       { return g.members }

// mentioned is the default rule for mentions of the specification, which clients add where the homeserver has it not.
func mentioned(user id.UserID) *pushrules.PushRule {
	return &pushrules.PushRule{
		Type: pushrules.OverrideRule, RuleID: ".m.rule.is_user_mention", Default: true, Enabled: true,
		Actions: pushrules.PushActionArray{
			{Action: pushrules.ActionNotify},
			{Action: pushrules.ActionSetTweak, Tweak: pushrules.TweakHighlight},
			{Action: pushrules.ActionSetTweak, Tweak: pushrules.TweakSound, Value: "default"},
		},
		Conditions: []*pushrules.PushCondition{{Kind: pushrules.KindEventPropertyContains, Key: `content.m\.mentions.user_ids`, Value: user.String()}},
	}
}

// sounds asks the default rules an account has at the homeserver what an event, as decrypted, does there.
func sounds(t *testing.T, person *client.Client, seen client.Seen) pushrules.PushActionArrayShould {
	t.Helper()
	rules, err := person.Matrix.GetPushRules(t.Context())
	require.NoError(t, err)
	silent := slices.IndexFunc(rules.Override, func(rule *pushrules.PushRule) bool { return rule.RuleID == ".m.rule.suppress_notices" })
	require.GreaterOrEqual(t, silent, 0)
	rules.Override = slices.Insert(rules.Override, silent+1, mentioned(person.UserID))
	evt := &event.Event{Type: event.EventMessage, Sender: seen.Sender, RoomID: seen.Room, ID: seen.EventID, Content: event.Content{Raw: seen.Content}}
	return rules.GetActions(group{5}, evt).Should()
}

func TestByDefaultPushRulesOnlyARefusalSoundsAndExactlyForTheOperators(t *testing.T) {
	t.Parallel()
	b := setup(t)
	vera := localtest.Person(t, "Vera")
	b.fleet.identify(t, "vera", vera.UserID.String(), register.FleetRoleViewer)
	b.inRoomFor(t, register.RoomPurposeBudget)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), b.room, vera.UserID))
	b.used(t, 270)
	b.heardFromBot(t, "normal → downgrade", original)
	b.used(t, 500)
	rung := b.heardFromBot(t, "downgrade → refuse", original)
	b.used(t, 270)
	b.fleet.exec(t, dwellOver)
	b.heardFromBot(t, "refuse → downgrade", client.Edits(rung.EventID))
	for _, person := range []*client.Client{b.ada, vera} {
		_, err := person.WaitFor(soon(t), b.fromBot(), client.In(b.room), client.Edits(rung.EventID))
		require.NoError(t, err)
		for _, seen := range person.Seen() {
			if seen.Room != b.room || seen.Sender != id.UserID(b.options.UserID) || seen.Type != event.EventMessage.Type {
				continue
			}
			does := sounds(t, person, seen)
			rings := seen.EventID == rung.EventID && person == b.ada
			require.Equal(t, rings, does.Highlight, "%s", seen)
			require.Equal(t, rings, does.PlaySound, "%s", seen)
			if seen.EventID != rung.EventID {
				require.False(t, does.Notify, "%s", seen)
			}
		}
	}
}

func TestAChartIsAPictureThatSaysTheSameInWords(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	asked := b.say(t, "!mosaic budget chart claude")
	b.answered(t, asked, "0 of 500 credits used")
	picture, err := b.ada.WaitFor(soon(t), b.fromBot(), client.InThread(asked), func(seen client.Seen) bool { return seen.MsgType == event.MsgImage })
	require.NoError(t, err)
	require.Contains(t, picture.Body, "0 of 500 credits used")
	require.Contains(t, picture.Body, "resets")
	require.Empty(t, picture.Mentions)
	require.True(t, picture.WasEncrypted)
	require.NotContains(t, picture.Content, pictureKey)
	require.Contains(t, picture.Content, "file", "it lies on the homeserver encrypted")
	require.NotContains(t, picture.Content, "url")
}
