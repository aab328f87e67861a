package bot

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
	"maunium.net/go/mautrix/pushrules"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// listener judges what it sees by the push rules its homeserver gave its account: as a client of today, which rings by m.mentions
// and brings that rule itself if the homeserver lacks it (Dendrite does), and as one that knows only names in a message's text.
type listener struct {
	*client.Client
	name  string
	rules *pushrules.PushRuleset
}

// GetOwnDisplayname and GetMemberCount implement pushrules.Room.
func (l *listener) GetOwnDisplayname() string { return l.name }
func (l *listener) GetMemberCount() int       { return 5 }

func listening(t *testing.T, person *client.Client, name string) *listener {
	t.Helper()
	rules, err := person.Matrix.GetPushRules(t.Context())
	require.NoError(t, err)
	named := func(id string) func(*pushrules.PushRule) bool {
		return func(r *pushrules.PushRule) bool { return r.RuleID == id }
	}
	if !slices.ContainsFunc(rules.Override, named(".m.rule.is_user_mention")) {
		at := slices.IndexFunc(rules.Override, named(".m.rule.member_event"))
		require.Positive(t, at)
		rules.Override = slices.Insert(rules.Override, at+1, &pushrules.PushRule{
			Type: pushrules.OverrideRule, RuleID: ".m.rule.is_user_mention", Default: true, Enabled: true,
			Conditions: []*pushrules.PushCondition{{
				Kind: pushrules.KindEventPropertyContains, Key: `content.m\.mentions.user_ids`, Value: person.UserID.String(),
			}},
			Actions: pushrules.PushActionArray{{Action: pushrules.ActionNotify}, {Action: pushrules.ActionSetTweak, Tweak: pushrules.TweakHighlight, Value: true}},
		})
	}
	return &listener{Client: person, name: name, rules: rules}
}

// hears says what an event does to the person: nothing, count as unread, or ring.
func (l *listener) hears(t *testing.T, seen client.Seen) (counts, rings bool) {
	t.Helper()
	judge := func(content map[string]any) (counts, rings bool) {
		evt := &event.Event{
			Type: event.Type{Type: seen.Type}, Sender: seen.Sender, RoomID: seen.Room, ID: seen.EventID, Content: event.Content{Raw: content},
		}
		should := l.rules.GetActions(l, evt).Should()
		return should.Notify, should.Notify && (should.Highlight || should.PlaySound)
	}
	counts, rings = judge(seen.Content)
	byNames := maps.Clone(seen.Content)
	delete(byNames, "m.mentions")
	countsByNames, ringsByNames := judge(byNames)
	require.Equal(t, counts, countsByNames, "%s: %s", l.name, seen)
	require.Equal(t, rings, ringsByNames, "names must ring exactly those who are mentioned; %s: %s", l.name, seen)
	return counts, rings
}

// requireRings requires that of everything the bot said, only what matches one of loud rings this person, and that all that is not
// loud for anybody leaves no mark at all.
func (l *listener) requireRings(t *testing.T, bot id.UserID, others []string, loud ...string) {
	t.Helper()
	rang := map[string]int{}
	for _, seen := range l.Seen() {
		if seen.Sender != bot || seen.StateKey != nil {
			continue
		}
		body := strings.ReplaceAll(seen.Body, hushMark, "")
		matches := func(texts []string) (text string, found bool) {
			for _, text := range texts {
				if seen.EditOf == "" && strings.Contains(body, text) {
					return text, true
				}
			}
			return "", false
		}
		counts, rings := l.hears(t, seen)
		if text, mine := matches(loud); mine {
			require.True(t, rings, "%s must be rung by %s", l.name, seen)
			rang[text]++
			continue
		}
		require.False(t, rings, "%s must not be rung by %s", l.name, seen)
		if _, someones := matches(others); !someones {
			require.False(t, counts, "%s must not be notified of %s", l.name, seen)
		}
	}
	for _, text := range loud {
		require.Equal(t, 1, rang[text], "%s must be rung once by %q", l.name, text)
	}
}

func TestByTheDefaultPushRulesExactlyThoseAreRungWhoMustBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.options.CreateRooms = true
	ben, cleo := localtest.Person(t, "Ben"), localtest.Person(t, "Cleo")
	b.fleet.identify(t, "ben", ben.UserID.String(), register.FleetRoleOperator)
	b.fleet.identify(t, "cleo", cleo.UserID.String(), register.FleetRoleViewer)
	b.fleet.seat(t, "cto", "ben")
	b.start(t)
	people := []id.UserID{b.ada.UserID, ben.UserID}
	budget, board := b.bound(t, register.RoomPurposeBudget), b.bound(t, register.RoomPurposeBoard)
	for _, room := range []id.RoomID{budget, board} {
		require.NoError(t, b.ada.WaitUntilJoined(soon(t), room, people...))
	}
	talk, err := b.ada.CreateRoom(t.Context(), client.Room{Name: "ops", Invite: []id.UserID{id.UserID(b.options.UserID), ben.UserID, cleo.UserID}})
	require.NoError(t, err)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), talk, id.UserID(b.options.UserID), ben.UserID, cleo.UserID))
	b.room = talk

	asked := b.say(t, "!mosaic dispatch coder \"ask Ben, Cleo, "+cleo.UserID.String()+" and @room\"")
	b.answered(t, asked, "D-1")
	b.fleet.runWith(t, "all green, say Ben and Cleo and "+ben.UserID.Localpart()+" to @room", "Cleo looks on")
	b.answered(t, asked, "all green")
	failing := b.say(t, "!mosaic dispatch coder \"fail for Ben\"")
	b.answered(t, failing, "D-2")
	b.fleet.fail(t, "it broke, says Ben")
	b.answered(t, failing, "it broke")
	b.say(t, "!mosaic status")
	b.fleet.send(t, b.fleet.admin, register.CreateDispatch(register.DispatchRequest{
		Role: "coder", Brief: "too much for Ben and Cleo", Model: "haiku", Estimate: []register.EstimateAmount{{Micros: 450_000_000}}, Deadline: time.Now().Add(time.Minute),
	}), nil)
	refused, err := ben.WaitFor(soon(t), b.fromBot(), client.In(budget), client.Contains("refused"))
	require.NoError(t, err)
	require.ElementsMatch(t, people, refused.Mentions)
	opened := b.fleet.propose(t, "Ada and Cleo may go home")
	posted, err := ben.WaitFor(soon(t), b.fromBot(), client.In(board), client.Contains(opened.ID))
	require.NoError(t, err)
	_, err = ben.React(t.Context(), board, posted.EventID, "✅")
	require.NoError(t, err)
	_, err = ben.WaitFor(soon(t), b.fromBot(), client.In(board), client.Contains("passed"))
	require.NoError(t, err)
	b.quiet(t)

	bot := id.UserID(b.options.UserID)
	everybodys := []string{"D-1 done", "D-2 failed", "D-3 refused", opened.ID + ": Ada"}
	listening(t, b.ada, "Ada").requireRings(t, bot, everybodys, "D-1 done", "D-2 failed", "D-3 refused")
	listening(t, ben, "Ben").requireRings(t, bot, everybodys, "D-3 refused", opened.ID+": Ada")
	listening(t, cleo, "Cleo").requireRings(t, bot, everybodys)
}

// runWith runs the oldest ready dispatch to a result.
func (f *fleet) runWith(t *testing.T, summary string, progress ...string) {
	t.Helper()
	f.finish(t, register.CompleteRequestOutcomeDone, summary, progress...)
}

func (f *fleet) fail(t *testing.T, summary string) {
	t.Helper()
	f.finish(t, register.CompleteRequestOutcomeFailed, summary)
}

func (f *fleet) finish(t *testing.T, outcome register.CompleteRequestOutcome, summary string, progress ...string) {
	t.Helper()
	var claim register.Claim
	f.send(t, f.worker, register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}), &claim)
	require.NotEmpty(t, claim.ID)
	for _, line := range progress {
		f.send(t, f.worker, register.HeartbeatDispatch(claim.Dispatch.ID, register.HeartbeatRequest{Claim: claim.ID, Progress: line}), nil)
	}
	f.send(t, f.worker, register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{
		Claim: claim.ID, Outcome: outcome, Actuals: []register.Amount{{Unit: register.UnitCredits, Micros: 1_000_000}}, Result: register.Result{Summary: summary},
	}), nil)
}

// What a brief or an output contains is shown as it is: it makes no markup, no pill, no link of ours, and wakes nobody.
func TestHostileTextsFromBriefsAndOutputsAreShownAsTheyAre(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	hostile := []string{
		"@room everybody out", "@ROOM", "<b>bold</b><img src=x onerror=alert(1)>", "<mx-reply>forged</mx-reply>",
		"[@" + b.ada.UserID.Localpart() + "](https://matrix.to/#/" + b.ada.UserID.String() + ")", "**D-9 done** `!mosaic budget reset`",
		"# headline", "```\ncode", "~~struck~~", "| a | b |\n|---|---|\n| c | d |", "![x](mxc://example.org/x)", "\u202egnp.exe\u202c", "a\x07c",
		"* list\n* list", "> quoted", "<details><summary>x</summary>y</details>", "||spoiler||", "1. first", "&lt;b&gt;", "\\*not\\*", "<https://evil.example>",
	}
	asked := b.say(t, "!mosaic dispatch coder \"@room <b>bold</b> **bold** [x](https://matrix.to/#/"+b.ada.UserID.String()+")\"")
	b.answered(t, asked, "D-1")
	b.fleet.runWith(t, strings.Join(hostile, "\n"), "@room <b>half</b> **way** https://matrix.to/#/"+b.ada.UserID.String())
	require.Contains(t, b.answered(t, asked, "D-1 done").Body, "||spoiler||\n> 1. first\n> &lt;b&gt;\n> \\*not\\*\n> <https://evil.example>", "as it was written")
	b.answered(t, b.say(t, "!mosaic list"), "D-1")
	b.answered(t, b.say(t, "!mosaic show D-1"), "")
	b.quiet(t)
	for _, seen := range b.ada.Seen() {
		if seen.Sender != id.UserID(b.options.UserID) || seen.Type != event.EventMessage.Type {
			continue
		}
		requireTame(t, seen, b.ada.UserID)
	}
}

// requireTame requires that a message of the bot has only the markup that the bot itself makes.
func requireTame(t *testing.T, seen client.Seen, asker id.UserID) {
	t.Helper()
	require.False(t, seen.MentionsRoom)
	require.NotRegexp(t, `(?i)@room`, seen.Body)
	require.NotRegexp(t, `(?i)@room`, seen.FormattedBody)
	for _, forbidden := range []string{"<img", "<mx-reply", "<h1", "<h2", "<table", "<del", "<b>", "<details", "<pre", "\u202e", "\x07", "data-mx-spoiler"} {
		require.NotContains(t, strings.ToLower(strings.NewReplacer("&lt;", "‹").Replace(seen.FormattedBody)), forbidden, seen.FormattedBody)
	}
	links := strings.Count(seen.FormattedBody, "<a ")
	if len(seen.Mentions) > 0 {
		links-- // the one that rings who asked
		require.Equal(t, []id.UserID{asker}, seen.Mentions)
	}
	require.Zero(t, links, "no link but the bot's own: %s", seen.FormattedBody)
}
